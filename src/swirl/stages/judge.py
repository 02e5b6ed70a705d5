"""Judging: a verdict on every step of every trajectory."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from swirl.catalog import open_judge
from swirl.decompose import state_before
from swirl.errors import ConfigError
from swirl.judges import Judge, StepSample
from swirl.judges.agreement import Agreement, agreement
from swirl.records import Appender
from swirl.run import Run
from swirl.stages.chunks import Item, Plan, finished, resume
from swirl.stages.generate import generated
from swirl.stages.start import initial_policy
from swirl.terminal import progress, say
from swirl.types import Answer, JudgedStep, Question, Rules, Step, Trajectory, Verdict

KNOWING = ("solver", "reference")
"""Judges that know the solutions of some tasks."""

CHUNK = 200
"""Trajectories whose verdicts are committed together."""


def judge(run: Run, names: Sequence[str] = ()) -> None:
    """Write a verdict on every step of every trajectory, by the run's judge or by the judges named."""
    trajectories = generated(run)
    for name in names or [run.config.judge.name]:
        with Appender(run.verdicts(name), JudgedStep) as out:
            _judge_all(run, name, trajectories, out)


def _judge_all(run: Run, name: str, trajectories: Sequence[Trajectory], out: "Appender[JudgedStep]") -> None:
    chunks = [trajectories[i : i + CHUNK] for i in range(0, len(trajectories), CHUNK)]
    start = resume(out, _plan(run, name, chunks))
    if start == len(chunks):
        say(f"judge ({name}): all {len(out)} verdicts are there already")
        return
    judging = open_judge(name, run.config.judge, initial_policy(run), run.config.seed)
    with progress(f"judge ({name})", len(trajectories), start * CHUNK, "trajectories") as advance:
        for number, chunk in enumerate(chunks[start:], start=start):
            out.append(judge_steps(judging, chunk))
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
    )


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
    samples = [
        StepSample(state_before(trajectory, index), msgspec.structs.replace(trajectory.steps[index], observation=None))
        for trajectory, index in places
    ]
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


def compare(run: Run, first: str, second: str) -> Agreement:
    """How far two judges agree on this run's steps, the second taken as the truth."""
    judge(run, [first, second])
    trajectories = generated(run)
    return agreement(*(_in_order(verdicts_of(run, name, trajectories)) for name in (first, second)))


def _in_order(verdicts: Mapping[str, Sequence[Verdict]]) -> list[Verdict]:
    return [verdict for each in verdicts.values() for verdict in each]


def print_agreement(run: Run, names: Sequence[str]) -> None:
    """Judge with two judges and print how far they agree, the second taken as the truth."""
    if len(names) != 2:
        raise ConfigError(f"expected two judges, e.g. --compare rule reference, found {len(names)}")
    first, second = names
    found = compare(run, first, second)
    table = Table(
        title=f"{first} against {second}, {found.n} steps, {found.missing} without a verdict", title_justify="left"
    )
    for heading in ("agree", "precision", "recall", "kappa", f"{first}: good", f"{second}: good"):
        table.add_column(heading)
    figures = (found.accuracy, found.precision, found.recall, found.kappa, found.good, found.truth)
    table.add_row(*(f"{figure:.3f}" for figure in figures))
    Console(highlight=False).print(table)
