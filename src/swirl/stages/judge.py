"""Judging: a verdict on every step of every trajectory, shard by shard.

Judges that need but a processor work on several shards at once (`swirl.workers`); those that need a model, here or behind a service, on one
after the other.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from swirl.catalog import open_judge
from swirl.errors import ConfigError
from swirl.judges import Hindsight, Judge, StepSample, Streaming
from swirl.judges.agreement import agreement
from swirl.judges.missing import PASSING, Missing, together
from swirl.records import Appender
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.shards import ALL, Part, expect
from swirl.stages.chunks import Plan, in_order, require_whole, resume
from swirl.stages.judged import Judgement, has_all, judgements, num_steps, verdict_plan
from swirl.stages.origin import of_verdicts
from swirl.stages.outline import Shard, outline, plan, trajectories_in
from swirl.stages.recorded import judges_of
from swirl.stages.start import initial_policy, judge_server, tell_unasked
from swirl.stages.stream import Tally, kinds, require_fewer, require_same, sample_of, say_missing, statuses, stream
from swirl.terminal import progress, say
from swirl.types import Answer, JudgedStep, Question, Rules, Step, Trajectory, Verdict, VerdictStatus
from swirl.workers import Advance, spread

KNOWING = ("solver", "reference")
"""Judges that know the solutions of some tasks."""

CHUNK = 200
"""Trajectories whose verdicts are committed together."""

_Wrapped = Callable[[Judge], Judge] | None


class _Done(NamedTuple):
    """What became of a shard."""

    verdicts: int
    """That are there now."""
    made: bool
    """Whether any of them was made now."""
    missing: Missing
    """Of a model's, those that are missing."""


def judge(run: Run, names: Sequence[str] = (), part: Part = ALL) -> None:
    """Write a verdict on every step of every trajectory, by the run's judge and those its filter names, or by the judges named; of several
    processes that work on parts of a run each calls this with its own, once its trajectories are there."""
    wanted = names or judges_of(run.config)
    tell_unasked(run.config, "judge", wanted)
    for name in wanted:
        _judge_all(run, name, part)


def _judge_all(run: Run, name: str, part: Part = ALL, wrapped: _Wrapped = None) -> None:
    everything = outline(run)
    shards = [own for own in everything if part.has(own.number)]
    for own in shards:
        require_whole(plan(run, own))
    expect(run.verdicts(name), len(everything))
    if name == "model":
        judging = cache(partial(_model, run))
        tally = Tally(sum(num_steps(run, own) for own in shards))
        found = [_by_model(run, judging, own, _which(own, len(everything)), tally) for own in shards]
    else:
        work = partial(_by_processor, run.path, run.config, name, wrapped)
        whole = [own for own in shards if has_all(run, name, own)]
        left = [own for own in shards if own not in whole]
        with progress(f"judge ({name})", sum(map(_size, shards)), sum(map(_size, whole)), "trajectories") as advance:
            found = list(spread(work, left, run.config.workers, advance=advance, size=_size))
        found += spread(work, whole, run.config.workers, advance=_silent, size=_size)
        run.lapped()
    if not any(done.made for done in found):
        say(f"judge ({name}): all {sum(done.verdicts for done in found)} verdicts are there already")
    if name == "model":
        say_missing(f"judge ({name})", run, together(done.missing for done in found))


def _which(own: Shard, of: int) -> str:
    return f", shard {own.number + 1} of {of}" if of > 1 else ""


def _silent(count: int) -> None:
    """What is there already is looked at, and no progress."""


def _size(own: Shard) -> int:
    return own.num_trajectories


def _texts(run: Run, own: Shard) -> list[Trajectory]:
    """The trajectories of a shard without token ids and log-probabilities, which no judge reads and which take most of the memory."""
    return [
        msgspec.structs.replace(
            each,
            steps=tuple(msgspec.structs.replace(s, token_ids=(), thinking_tokens=0, logprobs=()) for s in each.steps),
        )
        for each in trajectories_in(run, own)
    ]


def _asked(run: Run, name: str, own: Shard, trajectories: Sequence[Trajectory]) -> Plan[JudgedStep]:
    sizes = [(each.id, len(each.steps)) for each in trajectories]
    return verdict_plan(run, name, own.number, [sizes[i : i + CHUNK] for i in range(0, len(sizes), CHUNK)])


def _by_processor(folder: Path, config: RunConfig, name: str, wrapped: _Wrapped, own: Shard, advance: Advance) -> _Done:
    """Judge a shard by a judge that needs no model, in whatever process."""
    run = Run(folder, config)

    def opened() -> Judge:
        judging = open_judge(name, config.judge, initial_policy(run), config.seed)
        return wrapped(judging) if wrapped else judging

    trajectories = _texts(run, own)
    asked = _asked(run, name, own, trajectories)
    with Appender(asked.path, JudgedStep) as out:
        return _in_chunks(run, name, asked, trajectories, out, opened, advance)


def _model(run: Run) -> Judge | Streaming | Hindsight:
    return open_judge("model", run.config.judge, initial_policy(run), run.config.seed, judge_server(run, "judge"))


def _by_model(
    run: Run, opened: Callable[[], Judge | Streaming | Hindsight], own: Shard, which: str, tally: Tally
) -> _Done:
    """A model behind a service is asked only for what is not there; one on this machine goes on from whole chunks."""
    trajectories = _texts(run, own)
    asked = _asked(run, "model", own, trajectories)
    with Appender(asked.path, JudgedStep) as out:
        there = statuses(asked)
        tally.look_at(there)
        again = sum(status in PASSING for status in there.values())
        made = len(there) < len(asked.items) or again > 0
        if made:
            judging = opened()
            require_same(asked, judging.name)
            if not isinstance(judging, Streaming | Hindsight):
                label = f"judge (model{which})"
                with progress(label, len(trajectories), 0, "trajectories") as advance:
                    _in_chunks(run, "model", asked, trajectories, out, lambda: judging, advance, tally)
            else:
                if again:
                    say(
                        f"judge (model{which}): {again} verdicts are missing for a reason that may have passed; they are asked for again"
                    )
                stream(run, asked, judging, trajectories, out, there, tally)
        in_order(asked)
    return _Done(len(asked.items), made, Missing.among(kinds(trajectories, statuses(asked))))


def _in_chunks(
    run: Run,
    name: str,
    asked: Plan[JudgedStep],
    trajectories: Sequence[Trajectory],
    out: "Appender[JudgedStep]",
    opened: Callable[[], Judge],
    advance: Advance,
    tally: Tally | None = None,
) -> _Done:
    start, found = resume(out, asked), tally.asked if tally else Missing()
    advance(min(start * CHUNK, len(trajectories)))
    if start == len(asked.chunks):
        return _Done(len(out), False, found)
    judging = opened()
    origin = of_verdicts(run, name, judging)
    for number in range(start, len(asked.chunks)):
        chunk = trajectories[number * CHUNK :][:CHUNK]
        judged = judge_steps(judging, chunk, origin)
        out.append(judged)
        for step, record in zip((step for each in chunk for step in each.steps), judged, strict=True):
            found.add(step, record.verdict.status)
        if tally:
            require_fewer(run, found, tally.places)
        run.lap("judge", f"{name}, chunk {number}", count=len(chunk))
        advance(len(chunk))
    return _Done(len(out), True, found)


def judge_steps(judging: Judge, trajectories: Sequence[Trajectory], origin: str = "") -> list[JudgedStep]:
    """A verdict on every step of the trajectories, each blind to its own result and to what came later."""
    places = [(trajectory, index) for trajectory in trajectories for index in range(len(trajectory.steps))]
    samples = [sample_of(trajectory, index) for trajectory, index in places]
    return [
        JudgedStep(trajectory=trajectory.id, step=index, judge=judging.name, verdict=verdict, origin=origin)
        for (trajectory, index), verdict in zip(places, judging.judge(samples), strict=True)
    ]


def objection(judging: Judge, question: Question) -> str:
    """Why a judge cannot judge steps on a question; empty where it can. Not for the model judge, which would be asked in earnest."""
    state = Trajectory(id=question.id, question=question, rules=Rules())
    try:
        judging.judge([StepSample(state, Step(text="", action=Answer("?")))])
    except ConfigError as error:
        return str(error)
    return ""


def measured(run: Run) -> dict[str, Any] | None:
    """How far the run's judge agrees, on the run's steps, with one that knows the solutions (`KNOWING`); None where none does, where it is
    the run's judge itself, or where nothing was judged."""
    own = run.config.judge.name
    if not run.verdicts(own).exists():
        return None
    knowing = _knowing(run)
    mine: list[Verdict] = []
    theirs: list[Verdict] = []
    for trajectory, (verdicts,) in judgements(run, [own]):
        if knowing:
            mine += map(without_reason, verdicts)
            theirs += (without_reason(each.verdict) for each in judge_steps(knowing, [trajectory]))
    if knowing is None:
        return None
    return {"judge": own, "against": knowing.name, **msgspec.to_builtins(agreement(mine, theirs))}


def _knowing(run: Run) -> Judge | None:
    """A judge that is not the run's own and knows the solutions of all its questions."""
    questions = [question for own in outline(run) for question in own.questions]
    for name in KNOWING:
        knowing = open_judge(name, run.config.judge, run.config.policy, run.config.seed)
        if name != run.config.judge.name and not any(objection(knowing, question) for question in questions):
            return knowing
    return None


@cache
def _scored(score: float | None, status: VerdictStatus) -> Verdict:
    return Verdict(score, "", status)


def without_reason(verdict: Verdict) -> Verdict:
    """A verdict without the judge's words, which take most of its memory; equal ones are one.

    >>> without_reason(Verdict(1.0, "it follows")) is without_reason(Verdict(1.0, "it is so"))
    True
    """
    return _scored(verdict.score, verdict.status)


class _WhereItKnows:
    """A judge that refuses the questions it cannot judge, one by one, where the judge itself would raise."""

    def __init__(self, judging: Judge) -> None:
        self.name = judging.name
        self._judging = judging
        self._objections: dict[tuple[str, str], str] = {}

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        known = iter(self._judging.judge([sample for sample in samples if not self._objection(sample.state.question)]))
        return [
            Verdict(None, objecting, VerdictStatus.REFUSED)
            if (objecting := self._objection(sample.state.question))
            else next(known)
            for sample in samples
        ]

    def _objection(self, question: Question) -> str:
        if self._judging.name not in KNOWING:
            return ""
        key = (question.task, question.id)
        if key not in self._objections:
            self._objections[key] = objection(self._judging, question)
        return self._objections[key]


def judged_by(run: Run, names: Sequence[str]) -> Iterator[Judgement]:
    """Every trajectory with the verdicts of these judges, made where they are not there yet. A judge that is not the run's own refuses the
    questions it does not know, with a reason, where the run's own would raise."""
    for name in names:
        _judge_all(run, name, wrapped=None if name == run.config.judge.name else _WhereItKnows)
    return judgements(run, names)
