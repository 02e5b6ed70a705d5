"""Whether what training put on record is about the trajectories that the filter keeps, its own updates, and the first of them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from swirl.records import num_lines
from swirl.selection import Selection
from swirl.train import Metrics
from swirl.train.recorded import Probe, SampledAction, SampledState
from swirl.verify import Checking, Finding
from swirl.verify.reading import records_of
from swirl.verify.records import Trajectories


class _First(NamedTuple):
    """A state of the first update, as its probes have to name it."""

    task: str
    trajectory: str
    step: int
    lengths: tuple[int, ...]
    """Of its actions, in ids."""


def check_training(checking: Checking, met: Trajectories, selection: Selection | None) -> None:
    """Check `train/samples.jsonl` and `train/probes.jsonl`, where they are there."""
    folder = checking.run.path / "train"
    samples, probes = folder / SampledState.FILE, folder / Probe.FILE
    updates = num_lines(folder / Metrics.FILE)
    kept = None if selection is None else {each.trajectory for each in selection.decisions if each.kept}
    first: dict[int, _First] = {}
    before = (0, 0)
    for place, record in records_of(checking, samples, SampledState) if samples.exists() else ():
        where = f"the state at place {record.place} of update {record.update}"
        for problem in _wrong(record, met, kept, updates, before):
            _add(checking, place, "sample at odds", f"{where}: {problem}")
        before = (record.update, record.place + 1)
        if record.update == 1:
            lengths = tuple(len(action.token_ids) for action in record.actions)
            first[record.place] = _First(record.task, record.trajectory, record.step, lengths)
    _check_probes(checking, probes, first, updates)


def _wrong(
    record: SampledState, met: Trajectories, kept: set[str] | None, updates: int, before: tuple[int, int]
) -> Iterator[str]:
    if not 1 <= record.update <= updates:
        yield f"there are {updates} updates, from 1"
    elif (record.update, record.place) < before:
        yield "it stands out of its order, or a second time"
    yield from _misplaced(record, met.steps, met.damaged)
    if kept is not None and record.trajectory in met.steps and record.trajectory not in kept:
        yield f"it is of trajectory {record.trajectory!r}, which the filter dropped"
    yield from (
        f"action {number}: {problem}" for number, each in enumerate(record.actions) for problem in _at_odds(each)
    )


def _misplaced(record: SampledState, steps: Mapping[str, int], damaged: set[str]) -> Iterator[str]:
    if record.trajectory not in steps:
        if record.trajectory not in damaged:
            yield f"it is of trajectory {record.trajectory!r}, which is not there"
    elif not 0 <= record.step < steps[record.trajectory]:
        yield f"it is of step {record.step} of trajectory {record.trajectory!r}, which has {steps[record.trajectory]}, from 0"


def _at_odds(action: SampledAction) -> Iterator[str]:
    told = {len(action.tokens), len(action.logprobs), len(action.initial_logprobs or action.logprobs)}
    if told != {len(action.token_ids)}:
        yield f"it has {len(action.token_ids)} token ids, and not as many texts and log-probabilities"
    if (action.score is None) == (action.status == "ok"):
        yield f"a verdict has a score exactly when its status is ok, found {action.score!r} with {action.status}"


def _check_probes(checking: Checking, path: Path, first: Mapping[int, _First], updates: int) -> None:
    before = (0, 0)
    for place, record in records_of(checking, path, Probe) if path.exists() else ():
        where = f"the probe of checkpoint {record.checkpoint} at place {record.place}"
        lengths = tuple(len(logprobs) for logprobs in record.logprobs)
        if first.get(record.place) != _First(record.task, record.trajectory, record.step, lengths):
            _add(checking, place, "probe at odds", f"{where} is not of the actions that update 1 sampled there")
        if not 0 <= record.checkpoint <= updates or (record.checkpoint, record.place) < before:
            problem = f"{where} stands out of its order, or a second time, or there are only {updates} updates"
            _add(checking, place, "probe out of place", problem)
        before = (record.checkpoint, record.place + 1)


def _add(checking: Checking, place: str, kind: str, problem: str) -> None:
    checking.add(Finding(place, kind, problem, checking.again("train"), "train"))
