"""Verdicts of a judge behind a service, written as they come: no step waits for another, and a rerun asks only for what is not there.

While it goes on, the order in the file is free. A verdict that is missing for a reason that passes is asked for again by a rerun; the new
one comes after it and takes its place, so whatever stops a rerun, nothing that was there is lost. In the end the file is put in order.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Literal, NamedTuple

import msgspec

from swirl.decompose import state_before
from swirl.errors import JudgeFailure, RunFolderError, ServiceFailure
from swirl.judges import Hindsight, StepSample, Streaming
from swirl.judges.missing import PASSING, Missing, hopeless
from swirl.records import Appender
from swirl.run import Run
from swirl.services.faults import Fault
from swirl.stages.chunks import Plan, latest
from swirl.stages.groups import Groups
from swirl.stages.origin import of_verdicts
from swirl.terminal import progress, say
from swirl.types import JudgedStep, Step, Trajectory, Verdict, VerdictStatus

_LAP = 1000
"""Verdicts between two notes of the time."""

Place = tuple[str, int]
"""Id of a trajectory, and the index of a step."""


class Unit(NamedTuple):
    """What one verdict, or one reply about a whole trajectory, is about."""

    trajectory: Trajectory
    steps: tuple[int, ...]
    """Those that still need their verdict."""


@dataclass
class Tally:
    """The verdicts of all shards that a judge goes through in one call: how many may be missing is a share of them, not of a shard's."""

    places: int
    """How many there are to be."""
    left: int = field(init=False)
    """Of them, those that are not there, or not looked at yet."""
    kept: int = 0
    """Of those that are there, the ones that are missing for good."""
    asked: Missing = field(default_factory=Missing)
    """Those that were asked for."""

    def __post_init__(self) -> None:
        self.left = self.places

    def look_at(self, there: Mapping[Place, VerdictStatus]) -> None:
        """Count what is there of a shard."""
        settled = [status for status in there.values() if status not in PASSING]
        self.left -= len(settled)
        self.kept += sum(status is not VerdictStatus.OK for status in settled)


def statuses(plan: Plan[JudgedStep]) -> dict[Place, VerdictStatus]:
    """How the verdicts in the file came out."""
    if not plan.path.exists():
        return {}
    return {(record.trajectory, record.step): record.verdict.status for _, record in latest(plan)}


def stream(
    run: Run,
    plan: Plan[JudgedStep],
    judging: Streaming | Hindsight,
    trajectories: Sequence[Trajectory],
    out: "Appender[JudgedStep]",
    there: Mapping[Place, VerdictStatus],
    tally: Tally,
) -> None:
    """Ask for the verdicts that are not there, or missing for a reason that passes, and write them. Once all that was under way is written,
    raises `ServiceFailure` where it was stopped over budget, and `JudgeFailure` where it was because too many are missing."""
    require_same(plan, judging.name)
    units = _units(trajectories, there, whole=isinstance(judging, Hindsight))
    total = sum(len(unit.steps) for unit in units)
    origin = of_verdicts(run, "model", judging)
    watch = _Watch(run, tally)
    with Groups(out) as groups, progress("judge", len(plan.items), len(plan.items) - total, "verdicts") as advance:
        with closing(_answers(judging, units, watch)) as answers:
            for place, verdicts in answers:
                unit = units[place]
                for record in _records(judging, unit, verdicts, origin):
                    groups.put(record)
                watch.note(unit, verdicts)
                advance(len(unit.steps), watch.problem)
        watch.lap("the last verdicts")
    watch.require()


def _units(trajectories: Sequence[Trajectory], there: Mapping[Place, VerdictStatus], whole: bool) -> list[Unit]:
    units: list[Unit] = []
    for trajectory in trajectories:
        steps = range(len(trajectory.steps))
        left = tuple(i for i in steps if (status := there.get((trajectory.id, i))) is None or status in PASSING)
        if whole and left:
            units.append(Unit(trajectory, left))
        elif not whole:
            units += [Unit(trajectory, (i,)) for i in left]
    return units


def _answers(
    judging: Streaming | Hindsight, units: Sequence[Unit], watch: "_Watch"
) -> Generator[tuple[int, list[Verdict]], None, None]:
    """(place of the unit, the verdicts on its steps) as they come, until the watch says to stop."""
    asked = takewhile(lambda _: not watch.stopped, units)
    if isinstance(judging, Streaming):
        for place, verdict in judging.judge_as_ready(sample_of(unit.trajectory, unit.steps[0]) for unit in asked):
            yield place, [verdict]
    else:
        for place, verdicts in judging.judge_whole(unit.trajectory for unit in asked):
            yield place, [verdicts[i] for i in units[place].steps]


def sample_of(trajectory: Trajectory, index: int) -> StepSample:
    """A recorded step as a judge is to see it, blind to its own result and to what came later."""
    step = msgspec.structs.replace(trajectory.steps[index], observation=None)
    return StepSample(state_before(trajectory, index), step)


def _records(judging: Streaming | Hindsight, unit: Unit, verdicts: Sequence[Verdict], origin: str) -> list[JudgedStep]:
    view: Literal["step", "hindsight"] = "hindsight" if isinstance(judging, Hindsight) else "step"
    about, judge = unit.trajectory.id, judging.name
    return [
        JudgedStep(trajectory=about, step=step, judge=judge, verdict=verdict, view=view, origin=origin)
        for step, verdict in zip(unit.steps, verdicts, strict=True)
    ]


def require_same(plan: Plan[JudgedStep], judge: str) -> None:
    """Raise where the file holds verdicts of another judge: those of another model or prompt are not comparable."""
    for _, record in latest(plan):
        if record.judge != judge:
            raise RunFolderError(
                f"{plan.path} holds verdicts of {record.judge}, and the judge now is {judge}, whose verdicts are not comparable; run "
                f"`{plan.command} --redo`"
            )


class _Watch:
    """Counts what comes, and says when to stop."""

    def __init__(self, run: Run, tally: Tally) -> None:
        self._run = run
        self._tally = tally
        self._asked = tally.asked
        self._since_lap = 0
        self._over_budget = ""
        self._failure = ""
        self.stopped = False

    @property
    def problem(self) -> str:
        """What there is to say of missing ones."""
        return f"{self._asked.count} missing" if self._asked.count else ""

    def note(self, unit: Unit, verdicts: Sequence[Verdict]) -> None:
        """Count verdicts that came."""
        for index, verdict in zip(unit.steps, verdicts, strict=True):
            self._asked.add(unit.trajectory.steps[index], verdict.status)
            if verdict.status is VerdictStatus.OVER_BUDGET:
                self._over_budget = verdict.reason
            elif verdict.score is None and verdict.status is not VerdictStatus.UNREADABLE:
                self._failure = verdict.reason
        self._tally.left -= len(unit.steps)
        self._since_lap += len(unit.steps)
        if self._since_lap >= _LAP:
            self.lap("verdicts")
        self.stopped = self.stopped or bool(self._over_budget) or self._too_many()

    def _too_many(self) -> bool:
        """Whether more are missing than may be, and more than may be can be missing in the end."""
        share, lacking = self._run.config.judge.max_missing, self._asked.count
        most = self._tally.kept + lacking + self._tally.left
        return hopeless(lacking, self._asked.total, most, self._tally.places, share)

    def lap(self, item: str) -> None:
        """Note the time since the last note."""
        self._run.lap("judge", item, count=self._since_lap)
        self._since_lap = 0

    def require(self) -> None:
        """Raise where it was stopped."""
        if self._over_budget:
            places, left = self._tally.places, self._tally.left
            raise ServiceFailure(
                f"judge: {self._over_budget}; {places - left - self._asked.passing} of {places} verdicts are there and "
                f"kept: raise judge_server.budget_usd, then run `swirl judge {self._run.path}` again, which goes on with the others",
                Fault.OVER_BUDGET.value,
            )
        if self.stopped:
            raise too_many(self._run, self._asked, self._failure)


def too_many(run: Run, found: Missing, failure: str = "", *, stage: str = "judge", who: str = "judge") -> JudgeFailure:
    """The error where more verdicts of a judge or grader are missing than `judge.max_missing` allows; `failure` is how the last request
    failed."""
    label = stage if stage == who else f"{stage} ({who})"
    told = failure.partition("\n")[0]
    why = f" (the last that failed: {told:.500})" if told else ""
    command = f"swirl {stage} {run.path}"
    again = (
        f"`{command}` again, which asks for those that failed in passing" if found.passing else f"`{command} --redo`"
    )
    return JudgeFailure(
        f"{label}: {found.told()}, more than judge.max_missing = {run.config.judge.max_missing} allows{why}; all that came is kept: mend "
        f"the {who}, then run {again}, or allow more"
    )


def say_missing(stage: str, run: Run, found: Missing) -> None:
    """Say how many verdicts are missing; raises `JudgeFailure` where they are more than `judge.max_missing` allows."""
    if found.count:
        say(f"{stage}: {found.told()}")
    require_fewer(run, found, found.total)


def require_fewer(run: Run, found: Missing, total: int) -> None:
    """Raise `JudgeFailure` where more are missing already than may be of all."""
    if found.count > run.config.judge.max_missing * total:
        raise too_many(run, found)


def kinds(
    trajectories: Sequence[Trajectory], there: Mapping[Place, VerdictStatus]
) -> Iterator[tuple[Step, VerdictStatus]]:
    """Each step that has a verdict, and how that came out."""
    for trajectory in trajectories:
        for index, step in enumerate(trajectory.steps):
            if (status := there.get((trajectory.id, index))) is not None:
                yield step, status
