"""All of a training: its curves, a table of its updates, and the states whose samples stand out."""

from collections.abc import Sequence

from msgspec import Struct, structs

from swirl.train import Metrics
from swirl.viewer import baselines, growing
from swirl.viewer.curves import IMITATED, curves, drawn_up_to
from swirl.viewer.groups import By, Groups
from swirl.viewer.growing import Took
from swirl.viewer.headline import metrics_of
from swirl.viewer.page import Asked, Page, paged
from swirl.viewer.sampled import Seen, foremost, seen
from swirl.viewer.shelf import Opened

SIZE = 50
"""Updates on a page of the table."""
MOST = 20
"""States that stand out, of each kind."""
STANDING_OUT: dict[By, str] = {
    "advantage": "Largest advantage",
    "disagreement": "Most disagreement among verdicts",
    "kl": "Farthest from the initial policy",
}


class Updated(Struct, frozen=True, kw_only=True):
    """A row of the table."""

    metrics: Metrics
    seconds: float | None
    tokens: int | None
    recorded: bool
    """Whether its samples are on record."""


def view(run: Opened, asked: Asked) -> Page:
    """The page."""
    trained = metrics_of(run.path / "train" / "metrics.jsonl", f"swirl train {run.path}")
    warm = metrics_of(run.path / "warm_start" / "metrics.jsonl", f"swirl warm-start {run.path}")
    calls, groups = growing.calls(run.path / "calls.jsonl"), run.groups
    calls.refresh()
    updates: list[Metrics] = trained.found
    page, pages = paged(asked, len(updates), SIZE)
    shown = updates[::-1][(page - 1) * SIZE : page * SIZE]
    recorded, drawn = groups.updates(), drawn_up_to(len(updates), run.config.train.updates)
    data = {
        "updates": len(updates),
        "drawn": drawn,
        "of": run.config.train.updates,
        "why_not": trained.why_not,
        "objective": run.config.train.objective,
        "baseline": baselines.about(run.config.train),
        "rows": _rows(shown, calls.updates, frozenset(recorded)),
        "page": page,
        "pages": pages,
        "recorded": {
            "updates": len(recorded),
            "first": recorded[0] if recorded else None,
            "last": recorded[-1] if recorded else None,
            "why_not": why_not_recorded(run, bool(updates)) if not recorded else "",
            "complete": groups.state().complete,
        },
        "standing_out": {by: _standing_out(run, groups, by) for by in STANDING_OUT} if recorded else {},
        "warm_start": {"updates": len(warm.found), "last": warm.found[-1] if warm.found else None},
    }
    plots = {"curves": curves(updates[:drawn])} if updates else {}
    if warm.found:
        plots["warm_start"] = curves(warm.found, IMITATED)
    return Page("Training", data, _python(run, bool(updates), bool(warm.found)), plots)


def why_not_recorded(run: Opened, trained: bool) -> str:
    """Why no samples of a training are on record."""
    config = run.config.train
    if config.objective == "sft":
        return "Supervised training imitates recorded actions: nothing was sampled."
    if not trained:
        return f"Not trained yet: `swirl train {run.path}` begins it."
    return (
        "No sampled actions are on record: there is no `train/samples.jsonl`, because this run was trained with "
        "`train.record_every = 0`, or by an older version of swirl. Its metrics are here all the same."
    )


def _rows(updates: Sequence[Metrics], took: dict[tuple[str, int], Took], recorded: frozenset[int]) -> list[Updated]:
    rows = []
    for metrics in updates:
        spent = took.get(("train", metrics.update))
        rows.append(
            Updated(
                metrics=metrics,
                seconds=spent.seconds if spent else None,
                tokens=spent.tokens if spent else None,
                recorded=metrics.update in recorded,
            )
        )
    return rows


def _standing_out(run: Opened, groups: Groups, by: By) -> list[Seen]:
    """The states where something is largest, each with the action that shows it."""
    found = []
    for measured in groups.largest(by, MOST):
        everywhere = baselines.of_update(groups, measured.update, run.config.train)
        for state in groups.of_update(measured.update, {measured.place}):
            shown = seen(run, groups, state, measured, everywhere)
            found.append(structs.replace(shown, actions=foremost(shown, by)))
    return found


def _python(run: Opened, trained: bool, warm: bool) -> str:
    from swirl.train.recorded import SampledState

    recorded = (run.path / "train" / SampledState.FILE).exists()
    lines = [
        "from pathlib import Path",
        "from swirl.records import read",
        "from swirl.train import Metrics",
        *(["from swirl.train.recorded import SampledState"] if recorded else []),
        f"folder = Path({str(run.path)!r})",
        *(["updates = list(read(folder / 'train' / Metrics.FILE, Metrics))"] if trained else []),
        *(["sampled = read(folder / 'train' / SampledState.FILE, SampledState)"] if recorded else []),
        *(["warm_start = list(read(folder / 'warm_start' / Metrics.FILE, Metrics))"] if warm else []),
    ]
    return "\n".join(lines)
