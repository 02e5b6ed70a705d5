"""The page people read: a run folder -> `report.html`, one self-contained file that needs no network and runs no script.

Whatever a model wrote is hostile input: the template escapes everything but the plots, which hold numbers and our own words.
A part whose files are not there yet says so; nothing is computed here that is not in the run folder.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from swirl.filters import Selection
from swirl.records import read, read_document, write_atomically
from swirl.samples import evaluated_samples, training_samples

SHARPENING = "A gain at temperature 1 alone may be mere sharpening; greedy decoding stands beside it."


class _Figures(Struct, frozen=True):
    accuracy: float
    accuracy_ci95: tuple[float, float]
    process_label: float | None


class _Gain(Struct, frozen=True):
    mean: float
    ci95: tuple[float, float]


class _Stand(Struct, frozen=True, kw_only=True, omit_defaults=True):
    before: _Figures | None = None
    after: _Figures | None = None
    gain: _Gain | None = None
    greedy: "_Stand | None" = None


class _Judges(Struct, frozen=True):
    reward: str | None
    labels: str | None


class _Seconds(Struct, frozen=True):
    total: float
    by_stage: dict[str, float]


class _Agreement(Struct, frozen=True):
    judge: str
    against: str
    accuracy: float
    n: int
    precision: float
    recall: float
    kappa: float


class Summary(_Stand, frozen=True, kw_only=True, omit_defaults=True, tag="swirl.summary/1", tag_field="schema"):
    """What the page and the table need of `summary.json`."""

    seed: int
    n: int
    judges: _Judges
    tasks: dict[str, _Stand]
    seconds: _Seconds
    peak_memory_mb: float
    n_trained_on: int = 0
    """How many of the questions are training questions too."""
    prompts: dict[str, _Stand] = {}
    agreement: _Agreement | None = None


def read_summary(path: Path) -> dict[str, Any]:
    """The summary of a run folder; raises `RecordError` where it lacks what the page and the table need."""
    return dict(to_builtins(read_document(path / "summary.json", Summary, f"swirl evaluate {path}")))


def remarks(summary: Mapping[str, Any]) -> list[str]:
    """How to read the figures: what a sampled gain is worth, what process labels are, and how far the judge can be trusted.

    >>> remarks({"judges": {"labels": "solver", "reward": "solver"}})[1]
    'Process labels are by the training judge (solver): they are the training reward, not independent evidence.'
    """
    labels, reward = summary["judges"]["labels"], summary["judges"]["reward"]
    said = [SHARPENING]
    if labels and labels == reward:
        said.append(
            f"Process labels are by the training judge ({labels}): they are the training reward, not independent evidence."
        )
    elif labels:
        trained = f"training was rewarded by {reward}" if reward else "training imitated, and nothing was rewarded"
        said.append(f"Process labels are by {labels}; {trained}.")
    if found := summary.get("agreement"):
        said.append(
            f"The judge {found['judge']} agrees with {found['against']}, which knows the solutions, on {found['accuracy']:.1%} of "
            f"{found['n']} steps (precision {found['precision']:.2f}, recall {found['recall']:.2f}, kappa {found['kappa']:.2f})."
        )
    return said


def questions(summary: Mapping[str, Any]) -> str:
    """What was asked: held-out questions, or not.

    >>> questions({"n": 64, "n_trained_on": 0}), questions({"n": 64, "n_trained_on": 10})
    ('64 held-out questions', '64 questions, 10 of them trained on')
    """
    trained_on = summary.get("n_trained_on", 0)
    return (
        f"{summary['n']} questions, {trained_on} of them trained on"
        if trained_on
        else f"{summary['n']} held-out questions"
    )


def terminal_table(summary: Mapping[str, Any]) -> RenderableType:
    """The summary for a terminal of 80 columns: sampled and greedy side by side."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for heading in ("", "decoding", "before", "after", "gain [95 %]", "labels"):
        table.add_column(heading, no_wrap=True)
    for name, stand in _places(summary):
        for place, (decoding, part) in enumerate(_decodings(stand)):
            table.add_row("" if place else name, decoding, *_cells(part))
    notes = [
        f"{questions(summary)}, seed {summary['seed']}, {summary['seconds']['total']:.0f} s, "
        f"{summary['peak_memory_mb']:.0f} MB.",
        *remarks(summary),
    ]
    return Group(table, Text(), *(Text(note) for note in notes))


def _places(summary: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    tasks, prompts = summary["tasks"], summary.get("prompts", {})
    if len(tasks) != 1:
        yield "overall", summary
    if len(tasks) != 1 or not prompts:
        yield from tasks.items()
    for style, stand in prompts.items():
        yield f"{', '.join(tasks) if len(tasks) == 1 else 'overall'}, {style}", stand


def _decodings(stand: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if "before" in stand:
        yield "sampled", stand
    if "greedy" in stand:
        yield "greedy", stand["greedy"]


def _cells(part: Mapping[str, Any]) -> list[str]:
    before, after, gain = part.get("before"), part.get("after"), part.get("gain")
    labels = [
        f"{stand['process_label']:.2f}" for stand in (before, after) if stand and stand["process_label"] is not None
    ]
    return [
        f"{before['accuracy']:.1%}" if before else "",
        f"{after['accuracy']:.1%}" if after else "",
        f"{gain['mean']:+.3f} [{gain['ci95'][0]:+.3f}, {gain['ci95'][1]:+.3f}]" if gain else "",
        " → ".join(labels),
    ]


def write_report(path: Path) -> None:
    """Write `report.html` into a run folder."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("swirl"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("report.html.jinja").render(**view(path))
    write_atomically(path / "report.html", page.encode())


def view(path: Path) -> dict[str, Any]:
    """All that the page shows."""
    config = tomllib.loads((path / "run.toml").read_text("utf-8"))
    summary = read_summary(path) if (path / "summary.json").exists() else None
    selection = _read_selection(path) if (path / "selection.json").exists() else None
    return {
        "name": path.resolve().name,
        "config": config,
        "summary": summary,
        "headline": _headline(summary),
        "questions": questions(summary) if summary else "",
        "remarks": remarks(summary) if summary else [],
        "accuracy_plot": _accuracy_plot(summary),
        "curves": _curves(path / "train" / "metrics.jsonl"),
        "selection": selection,
        "reasons": _reasons(selection),
        "evaluated": evaluated_samples(path / "evaluation"),
        "trained": training_samples(path, selection),
    }


def _read_selection(path: Path) -> Selection:
    return read_document(path / "selection.json", Selection, f"swirl filter {path}")


def _headline(summary: Mapping[str, Any] | None) -> list[tuple[str, str, list[str]]]:
    places = _places(summary) if summary else ()
    return [(name, decoding, _cells(part)) for name, stand in places for decoding, part in _decodings(stand)]


def _accuracy_plot(summary: Mapping[str, Any] | None) -> str:
    rows = [
        (f"{name}, {decoding}", when, part[when]["accuracy"], tuple(part[when]["accuracy_ci95"]))
        for name, stand in (_places(summary) if summary else ())
        for decoding, part in _decodings(stand)
        for when in ("before", "after")
        if when in part
    ]
    if not rows:
        return ""
    from swirl.plots import bars

    return bars(rows)


def _curves(metrics: Path) -> str:
    if not metrics.exists():
        return ""
    from swirl.plots import curves
    from swirl.train import Metrics

    updates = list(read(metrics, Metrics))
    return curves(
        {
            "reward (mean verdict)": [update.reward for update in updates],
            "KL to the initial policy (nats an action)": [update.kl for update in updates],
            "loss": [update.loss for update in updates],
            "malformed (share)": [update.malformed for update in updates],
            "missing verdicts (count)": [float(update.missing.total) for update in updates],
            "states with a signal (share)": [update.signal for update in updates],
            "tokens read, of all rows (share)": [
                update.tokens_read / update.naive_tokens if update.naive_tokens else None for update in updates
            ],
            "states that share nothing (share)": [update.unshared for update in updates],
            "drift in training (nats a token)": [update.drift for update in updates],
        }
    )


def _reasons(selection: Selection | None, most: int = 8) -> Sequence[tuple[str, int]]:
    """Why trajectories fell, the commonest reasons first; a judge's own words are left out."""
    counts: dict[str, int] = {}
    for decision in selection.decisions if selection else ():
        if not decision.kept:
            reason = decision.reason.partition(":")[0]
            counts[reason] = counts.get(reason, 0) + 1
    return sorted(counts.items(), key=lambda item: -item[1])[:most]
