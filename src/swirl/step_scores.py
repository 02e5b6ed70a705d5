"""How many steps a run's trajectories have, and what the run's own judge gave each: counted from the records in one pass, without texts.

One shard's scores are held at a time. No lock is taken, and a run may go on meanwhile.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, field

from swirl.records import read
from swirl.shards import shard, shards
from swirl.statistics import Interval, wilson
from swirl.types import JudgedStep, Trajectory


class _Step(Struct, frozen=True):
    """All of it is skipped."""


class _Steps(Struct, frozen=True, tag=Trajectory.__struct_config__.tag, tag_field="schema"):
    id: str
    steps: tuple[_Step, ...] = ()


class _Verdict(Struct, frozen=True):
    score: float | None


class _Score(Struct, frozen=True, tag=JudgedStep.__struct_config__.tag, tag_field="schema"):
    trajectory: str
    step: int
    verdict: _Verdict


class AtStep(Struct):
    """What was said of all steps of one index."""

    scores: float = 0.0
    """Their sum."""
    judged: int = 0
    missing: int = 0
    """Verdicts without a score, and steps without a verdict."""

    @property
    def mean(self) -> Interval | None:
        """The mean score, with Wilson's interval; None where nothing was judged."""
        return wilson(self.scores, self.judged) if self.judged else None


class StepScores(Struct):
    """What was counted."""

    lengths: Counter[int] = field(default_factory=Counter)
    """Number of steps -> number of trajectories."""
    by_step: list[AtStep] = field(default_factory=list)
    """By index of the step, from 0."""

    @property
    def trajectories(self) -> int:
        """How many there are."""
        return self.lengths.total()

    @property
    def judged(self) -> int:
        """Steps that have a score."""
        return sum(each.judged for each in self.by_step)

    @property
    def missing(self) -> int:
        """Steps that have none."""
        return sum(each.missing for each in self.by_step)

    def points(self) -> Iterator[tuple[int, float, tuple[float, float], int]]:
        """For `swirl.plots.by_step`: the step, counted from 1, its mean score, interval and n."""
        for number, each in enumerate(self.by_step, start=1):
            if found := each.mean:
                yield number, found.mean, (found.low, found.high), each.judged


def step_scores(run: Path) -> StepScores:
    """Count a run folder's trajectories; of two verdicts on one step the later counts.

    >>> step_scores(Path("nowhere")).trajectories
    0
    """
    found = StepScores()
    for number, path in enumerate(shards(run / Trajectory.FILE)):
        said = _said(shard(run / JudgedStep.FILE, number))
        for each in read(path, _Steps):
            found.lengths[len(each.steps)] += 1
            own = said.get(each.id, {})
            while len(found.by_step) < len(each.steps):
                found.by_step.append(AtStep())
            for index in range(len(each.steps)):
                _count(found.by_step[index], own.get(index))
    return found


def _count(place: AtStep, score: float | None) -> None:
    if score is None:
        place.missing += 1
    else:
        place.judged += 1
        place.scores += score


def _said(path: Path) -> dict[str, dict[int, float | None]]:
    found: dict[str, dict[int, float | None]] = {}
    for each in read(path, _Score) if path.exists() else ():
        found.setdefault(each.trajectory, {})[each.step] = each.verdict.score
    return found
