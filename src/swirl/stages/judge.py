"""Judging: a verdict on every step of every trajectory."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from swirl.catalog import open_judge
from swirl.errors import ConfigError
from swirl.judges import Hindsight, Judge, StepSample, Streaming
from swirl.judges.agreement import agreement
from swirl.judges.missing import PASSING, Missing
from swirl.records import Appender
from swirl.run import Run
from swirl.stages.chunks import Item, Plan, finished, in_order, resume
from swirl.stages.generate import generated
from swirl.stages.start import initial_policy, judge_server, tell_unasked
from swirl.stages.stream import kinds, require_fewer, require_same, sample_of, say_missing, statuses, stream
from swirl.terminal import progress, say
from swirl.types import Answer, JudgedStep, Question, Rules, Step, Trajectory, Verdict, VerdictStatus

KNOWING = ("solver", "reference")
"""Judges that know the solutions of some tasks."""

CHUNK = 200
"""Trajectories whose verdicts are committed together."""


def judge(run: Run, names: Sequence[str] = ()) -> None:
    """Write a verdict on every step of every trajectory, by the run's judge or by the judges named."""
    tell_unasked(run.config, "judge", names)
    trajectories = generated(run, _text_alone)
    for name in names or [run.config.judge.name]:
        _judge_all(run, name, trajectories)


def _judge_all(
    run: Run, name: str, trajectories: Sequence[Trajectory], wrapped: "Callable[[Judge], Judge] | None" = None
) -> None:
    chunks = [trajectories[i : i + CHUNK] for i in range(0, len(trajectories), CHUNK)]
    plan = _plan(run, name, chunks)
    with Appender(run.verdicts(name), JudgedStep) as out:
        if name == "model":
            _judge_by_model(run, plan, trajectories, out)
        else:
            _judge_in_chunks(run, name, plan, trajectories, out, partial(_opened, run, name, wrapped))
    if name == "model":
        in_order(plan)
        say_missing(f"judge ({name})", run, Missing.among(kinds(trajectories, statuses(plan))))


def _judge_by_model(
    run: Run, plan: Plan[JudgedStep], trajectories: Sequence[Trajectory], out: "Appender[JudgedStep]"
) -> None:
    """A model behind a service is asked only for what is not there; one on this machine goes on from whole chunks."""
    there = statuses(plan)
    again = sum(status in PASSING for status in there.values())
    if len(there) == len(plan.items) and not again:
        say(f"judge (model): all {len(there)} verdicts are there already")
        return
    served = judge_server(run, "judge")
    judging = open_judge("model", run.config.judge, initial_policy(run), run.config.seed, served)
    require_same(plan, judging.name)
    if not isinstance(judging, Streaming | Hindsight):
        _judge_in_chunks(run, "model", plan, trajectories, out, lambda: judging)
        return
    if again:
        say(f"judge (model): {again} verdicts are missing for a reason that may have passed; they are asked for again")
    stream(run, plan, judging, trajectories, out, there)


def _opened(run: Run, name: str, wrapped: "Callable[[Judge], Judge] | None") -> Judge:
    judging = open_judge(name, run.config.judge, initial_policy(run), run.config.seed)
    return wrapped(judging) if wrapped else judging


def _judge_in_chunks(
    run: Run,
    name: str,
    plan: Plan[JudgedStep],
    trajectories: Sequence[Trajectory],
    out: "Appender[JudgedStep]",
    opened: Callable[[], Judge],
) -> None:
    start = resume(out, plan)
    if start == len(plan.chunks):
        say(f"judge ({name}): all {len(out)} verdicts are there already")
        return
    judging, found = opened(), Missing()
    with progress(f"judge ({name})", len(trajectories), start * CHUNK, "trajectories") as advance:
        for number in range(start, len(plan.chunks)):
            chunk = trajectories[number * CHUNK :][:CHUNK]
            judged = judge_steps(judging, chunk)
            out.append(judged)
            for step, record in zip((step for each in chunk for step in each.steps), judged, strict=True):
                found.add(step, record.verdict.status)
            if name == "model":
                require_fewer(run, found, len(plan.items))
            run.lap("judge", f"{name}, chunk {number}", count=len(chunk))
            advance(len(chunk))


def _plan(run: Run, name: str, chunks: Sequence[Sequence[Trajectory]]) -> Plan[JudgedStep]:
    return Plan(
        stage="judge",
        run=run.path,
        path=run.verdicts(name),
        kind=JudgedStep,
        item=lambda judged: _item(judged.trajectory, judged.step),
        chunks=[[_item(each.id, index) for each in chunk for index in range(len(each.steps))] for chunk in chunks],
        unit="verdicts",
        passing=lambda judged: judged.verdict.status in PASSING,
    )


def _text_alone(trajectory: Trajectory) -> Trajectory:
    """Without token ids and log-probabilities, which no judge reads and which take most of the memory."""
    steps = (msgspec.structs.replace(step, token_ids=(), thinking_tokens=0, logprobs=()) for step in trajectory.steps)
    return msgspec.structs.replace(trajectory, steps=tuple(steps))


def _item(trajectory: str, step: int) -> Item:
    return Item(f"step {step} of trajectory {trajectory!r}")


def verdicts_of(run: Run, name: str, trajectories: Sequence[Trajectory]) -> Mapping[str, Sequence[Verdict]]:
    """A judge's verdicts on the steps of each trajectory, by its id; raises where a step has none, or two."""
    run.require(run.verdicts(name), "judge")
    judged = finished(_plan(run, name, [trajectories]))
    by_place = {(record.trajectory, record.step): record.verdict for record in judged}
    return {each.id: [by_place[each.id, index] for index in range(len(each.steps))] for each in trajectories}


def judge_steps(judging: Judge, trajectories: Sequence[Trajectory]) -> list[JudgedStep]:
    """A verdict on every step of the trajectories, each blind to its own result and to what came later."""
    places = [(trajectory, index) for trajectory in trajectories for index in range(len(trajectory.steps))]
    samples = [sample_of(trajectory, index) for trajectory, index in places]
    return [
        JudgedStep(trajectory=trajectory.id, step=index, judge=judging.name, verdict=verdict)
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
    trajectories = generated(run) if run.trajectories.exists() else []
    if not run.verdicts(own).exists():
        return None
    judged = _in_order(verdicts_of(run, own, trajectories))
    asked = {(trajectory.question.task, trajectory.question.id): trajectory.question for trajectory in trajectories}
    for name in KNOWING:
        knowing = open_judge(name, run.config.judge, run.config.policy, run.config.seed)
        if name != own and not any(objection(knowing, question) for question in asked.values()):
            found = agreement(judged, [record.verdict for record in judge_steps(knowing, trajectories)])
            return {"judge": own, "against": name, **msgspec.to_builtins(found)}
    return None


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


def judged_by(run: Run, name: str, trajectories: Sequence[Trajectory]) -> Mapping[str, Sequence[Verdict]]:
    """A judge's verdicts on the steps of each trajectory, by its id, made where they are not there yet. A judge that is not the run's own
    refuses the questions it does not know, with a reason, where the run's own would raise."""
    _judge_all(run, name, trajectories, None if name == run.config.judge.name else _WhereItKnows)
    return verdicts_of(run, name, trajectories)


def _in_order(verdicts: Mapping[str, Sequence[Verdict]]) -> list[Verdict]:
    return [verdict for each in verdicts.values() for verdict in each]
