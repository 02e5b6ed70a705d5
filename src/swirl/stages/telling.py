"""What a tracker is told beside the updates: of an evaluation the headline and some trajectories, of a training some sampled actions."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from swirl import rounds
from swirl.run import Run
from swirl.sampled import at_checkpoints
from swirl.samples import Shown, evaluated_samples, samples_of_one
from swirl.settings import to_table
from swirl.summary import read_summary
from swirl.tables import decodings, headings, places
from swirl.tracking import Table, Tracked, Tracker, without_places
from swirl.tracking.told import Cell

_ENDS = {True: "right", False: "wrong", None: ""}
_TOLD = 1
"""The one point of an evaluation's curves."""
_TRAJECTORIES = (
    *("sample", "kind", "trajectory", "right", "question", "gold"),
    *("step", "action", "observation", "verdict", "reason", "ending"),
)
_ACTIONS = ("update", "task", "trajectory", "step", "action", "reward", "weight", "reason")


def tell_evaluation(run: Run) -> None:
    """Tell the run's tracker what `summary.json` says, and show it the trajectories that the report shows. Once: what comes out the same
    is the same run there, and anything else is another."""
    name = run.config.train.tracker
    if name == "none":
        return
    summary = read_summary(run.path)
    values, table = headline(summary), trajectories(run.evaluation, headings(summary))
    tracked = Tracked(
        run=rounds.label(run.path, run.config.round),
        stage="evaluate",
        settings={"figures": values, "samples": table},
        config=without_places(to_table(run.config)),
        folder=run.evaluation,
    )
    with Tracker(name, tracked) as told:
        told.tell(values, _TOLD, lambda: [table] if table.rows else [])


def headline(summary: Mapping[str, Any]) -> dict[str, float]:
    """Accuracies, their gain and the labels of steps, overall and by task, each with the ends of its interval where it has one.

    >>> stand = {"before": {"accuracy": 0.5, "accuracy_ci95": [0.25, 0.75], "process_label": None}}
    >>> summary = {"tasks": {"world": {"greedy": stand}}, "table": [], "policies": {"against": ""}}
    >>> headline(summary)
    {'world/greedy/accuracy/policy': 0.5, 'world/greedy/accuracy/policy/low': 0.25, 'world/greedy/accuracy/policy/high': 0.75}
    """
    names = dict(zip(("before", "after"), headings(summary), strict=False))
    return {
        f"{place}/{decoding}/{name}": value
        for place, stand in places(summary)
        for decoding, part in decodings(stand)
        for name, value in _figures(part, names)
    }


def _figures(part: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    for when, name in names.items():
        if found := part.get(when):
            yield from _with_interval(f"accuracy/{name}", found["accuracy"], found["accuracy_ci95"])
            if found["process_label"] is not None:
                yield f"process_label/{name}", found["process_label"]
    if "gain" in part:
        yield from _with_interval("gain", part["gain"]["mean"], part["gain"]["ci95"])


def _with_interval(name: str, mean: float, ends: Sequence[float]) -> Iterator[tuple[str, float]]:
    yield name, mean
    yield from zip((f"{name}/low", f"{name}/high"), ends, strict=True)


def trajectories(folder: Path, names: Sequence[str]) -> Table:
    """The evaluated trajectories that the report shows, by what their policies are called: a row a step."""
    if len(names) == 1:
        samples: list[tuple[str, Sequence[Shown]]] = [("", [one]) for one in samples_of_one(folder)]
    else:
        samples = [(kind, pair) for kind, *pair in evaluated_samples(folder, names)]
    rows = [
        row
        for number, (kind, shown) in enumerate(samples, start=1)
        for one in shown
        for row in _steps(number, kind, one)
    ]
    return Table("samples/trajectories", _TRAJECTORIES, rows)


def _steps(number: int, kind: str, shown: Shown) -> Iterator[tuple[Cell, ...]]:
    head = (number, kind, shown.title, _ENDS[shown.right], shown.question, shown.gold)
    for place, step in enumerate(shown.steps, start=1):
        ending = shown.ending if place == len(shown.steps) else ""
        yield *head, place, step.text, step.observation, step.badge, step.reason, ending
    if not shown.steps:
        yield *head, 0, "", "", "", "", shown.ending


def sampled_actions(folder: Path, every: int) -> list[Table]:
    """The actions that were sampled at the first state of each update that a checkpoint follows, and of the last: with their rewards, and
    their weights in the update (advantages, as the objective has them). Nothing where they are not on record."""
    rows = [
        (state.update, state.task, state.trajectory, state.step + 1, one.text, one.score, one.weight, one.reason)
        for state in at_checkpoints(folder, every)
        for one in state.actions
    ]
    return [Table("samples/actions", _ACTIONS, rows)] if rows else []
