"""The few figures that a run comes to, for its overview and beside those of other runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from swirl import tables
from swirl.errors import SwirlError
from swirl.records import read
from swirl.settings import RunConfig
from swirl.summary import read_summary
from swirl.train import Metrics
from swirl.viewer.cached import of_file


class Part(Struct, frozen=True):
    """Something of a run folder, or why it is not here."""

    found: Any = None
    why_not: str = ""
    unreadable: bool = False
    """Whether it is there, and no record."""


class Figure(Struct, frozen=True):
    """A share or a difference of shares, with its interval of 95 %."""

    mean: float
    low: float
    high: float


class Accuracy(Struct, frozen=True, kw_only=True):
    """A row of the headline."""

    place: str
    """A task, a prompt style, or overall."""
    decoding: str
    before: Figure | None
    after: Figure | None
    gain: Figure | None


def summary_of(run: Path) -> Part:
    """`summary.json`, or what makes it."""
    if not (run / "summary.json").exists():
        return Part(why_not=f"Not evaluated yet: `swirl evaluate {run}` writes the figures.")
    try:
        return Part(of_file(run / "summary.json", lambda path: read_summary(path.parent), "summary"))
    except SwirlError as error:
        return Part(why_not=str(error), unreadable=True)


def metrics_of(file: Path, command: str) -> Part:
    """The updates of a training so far, or what makes them."""
    if not file.exists():
        return Part([], f"Not trained yet: `{command}` begins it.")
    try:
        found = of_file(file, _metrics)
    except SwirlError as error:
        return Part([], str(error), unreadable=True)
    return Part(found, "" if found else f"No update is done yet: `{command}` is at the first, or goes on with it.")


def _metrics(file: Path) -> list[Metrics]:
    return list(read(file, Metrics))


def accuracies(summary: Mapping[str, Any]) -> list[Accuracy]:
    """Accuracy overall, by task and by prompt style, sampled and greedy, as far as they are there."""
    return [
        Accuracy(
            place=place,
            decoding=decoding,
            before=_share(part.get("before")),
            after=_share(part.get("after")),
            gain=Figure(part["gain"]["mean"], *part["gain"]["ci95"]) if part.get("gain") else None,
        )
        for place, stand in tables.places(summary)
        for decoding, part in tables.decodings(stand)
    ]


def _share(stand: Mapping[str, Any] | None) -> Figure | None:
    return Figure(stand["accuracy"], *stand["accuracy_ci95"]) if stand else None


def in_a_line(slug: str, title: str, run: Path, config: RunConfig) -> dict[str, Any]:
    """A run beside others: what it is about, how far it is, what came of it."""
    summary = summary_of(run).found
    updates: list[Metrics] = metrics_of(run / "train" / "metrics.jsonl", "").found
    rows = accuracies(summary) if summary else []
    return {
        "slug": slug,
        "title": title,
        "tasks": [spec.partition(":")[0] for spec in config.generate.tasks],
        "policy": config.policy.model,
        "policy_name": short(config),
        "judge": config.judge.name,
        "objective": config.train.objective,
        "seed": config.seed,
        "state": _state(run, bool(summary), len(updates), config),
        "headline": rows[0] if rows else None,
        "decoding": rows[0].decoding if rows else "",
        "reward": updates[-1].reward if updates else None,
        "updates": len(updates),
    }


def short(config: RunConfig) -> str:
    """A policy in a few words: what the round before has trained, or the end of a long path.

    >>> from swirl.policies import PolicyConfig
    >>> short(RunConfig(policy=PolicyConfig(model="/models/of/mine/qwen"))), short(RunConfig(round=3))
    ('mine/qwen', 'trained in round 2')
    """
    if config.round > 1:
        return f"trained in round {config.round - 1}"
    return "/".join(Path(config.policy.model).parts[-2:])


def _state(run: Path, evaluated: bool, updates: int, config: RunConfig) -> str:
    if evaluated:
        return "evaluated"
    if list((run / "evaluation").glob("*.jsonl")):
        return "evaluating"
    if updates:
        return f"trained for {updates:,} of {config.train.updates:,} updates"
    for file, words in (
        ("selection.json", "filtered"),
        ("verdicts.jsonl", "judging"),
        ("trajectories.jsonl", "generating"),
    ):
        if (run / file).exists():
            return words
    return "not begun"
