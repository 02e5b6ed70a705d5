"""The verdicts on what was generated, shard by shard, for the stages that build on them: of a whole run, one shard's verdicts and one
trajectory are in memory.

Not here: how verdicts are made (`swirl.stages.judge`), the same for the filter, which needs no whole trajectories and is quicker without
them (`swirl.stages.recorded`), and reading a run that is not finished (`swirl.shards`).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from swirl.judges.missing import PASSING
from swirl.records import num_lines
from swirl.run import Run
from swirl.shards import shard
from swirl.stages.chunks import Item, Plan, finished, require_whole
from swirl.stages.outline import Shard, outline, plan, trajectories_in
from swirl.types import JudgedStep, Trajectory, Verdict

Size = tuple[str, int]
"""Id of a trajectory, and how many steps it has."""


class Judgement(NamedTuple):
    """A trajectory, and what each of the judges that were asked for said of its steps."""

    trajectory: Trajectory
    verdicts: tuple[tuple[Verdict, ...], ...]
    """A tuple a judge, a verdict a step."""


class _Sized(Struct, frozen=True):
    """A trajectory as far as its size goes: the rest is not decoded."""

    id: str
    steps: tuple[msgspec.Raw, ...] = ()


def verdict_plan(run: Run, judge: str, number: int, chunks: Iterable[Iterable[Size]]) -> Plan[JudgedStep]:
    """The verdicts that the shard of this number has to hold."""
    return Plan(
        stage="judge",
        run=run.path,
        path=shard(run.verdicts(judge), number),
        kind=JudgedStep,
        item=lambda judged: _item(judged.trajectory, judged.step),
        chunks=[[_item(name, index) for name, size in chunk for index in range(size)] for chunk in chunks],
        unit="verdicts",
        passing=lambda judged: judged.verdict.status in PASSING,
    )


def _item(trajectory: str, step: int) -> Item:
    return Item(f"step {step} of trajectory {trajectory!r}")


def judgements(run: Run, judges: Sequence[str]) -> Iterator[Judgement]:
    """Every trajectory of a run with the verdicts of these judges on it; raises where a trajectory is missing, or a step has no verdict, or
    two."""
    for own in outline(run):
        yield from judgements_in(run, own, judges)


def judgements_in(run: Run, own: Shard, judges: Sequence[str]) -> Iterator[Judgement]:
    """The same of one shard."""
    run.require(run.trajectories, "generate")
    asked = plan(run, own)
    require_whole(asked)
    for name in judges:
        run.require(run.verdicts(name), "judge")
    sizes = _sizes(asked) if judges else {}
    said = [_said(verdict_plan(run, name, own.number, [sizes.items()]), sizes) for name in judges]
    for trajectory in trajectories_in(run, own):
        yield Judgement(trajectory, tuple(tuple(found[trajectory.id]) for found in said))


def has_all(run: Run, judge: str, own: Shard) -> bool:
    """Whether a shard has as many verdicts as it has to; what they are is not looked at."""
    there = num_lines(shard(run.verdicts(judge), own.number))
    return there > 0 and there == num_steps(run, own)


def num_steps(run: Run, own: Shard) -> int:
    """How many steps the trajectories of a shard have, which is how many verdicts there are to be."""
    return sum(_sizes(plan(run, own)).values())


def _sizes(asked: Plan[Trajectory]) -> dict[str, int]:
    decoder, sizes = msgspec.json.Decoder(_Sized), {}
    with asked.path.open("rb") as stream:
        for line in stream:
            try:
                found = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            sizes[found.id] = len(found.steps)
    return sizes


def _said(asked: Plan[JudgedStep], sizes: dict[str, int]) -> dict[str, list[Verdict]]:
    missing = Verdict(0.0)
    said = {name: [missing] * size for name, size in sizes.items()}
    for record in finished(asked):
        said[record.trajectory][record.step] = record.verdict
    return said
