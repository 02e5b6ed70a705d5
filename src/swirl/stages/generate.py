"""Generation: samples of the policy on every training question."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from swirl.catalog import open_policy, open_task, open_toolbox
from swirl.records import Appender
from swirl.rollout import begin, rollout
from swirl.run import Run
from swirl.stages.chunks import Item, Plan, finished, resume
from swirl.stages.start import initial_policy, rules_of, training_questions
from swirl.tasks import Task
from swirl.terminal import progress, say
from swirl.tools import Toolbox
from swirl.types import Question, Rules, Trajectory


@dataclass(frozen=True)
class _Chunk:
    task: Task
    toolbox: Toolbox
    questions: Sequence[Question]


def generate(run: Run) -> None:
    """Write `trajectories.jsonl`: samples of the policy on every training question."""
    config = run.config.generate
    chunks = [chunk for spec in config.tasks for chunk in _chunks(run, open_task(spec))]
    plan = _plan(run, [chunk.questions for chunk in chunks])
    total = len(plan.items)
    with Appender(run.trajectories, Trajectory) as out:
        start = resume(out, plan)
        if start == len(chunks):
            say(f"generate: all {total} trajectories are there already")
            return
        policy = open_policy(initial_policy(run), run.config.seed)
        run.lap("generate", "load the policy")
        with progress("generate", total, len(out), "trajectories") as advance:
            for number, chunk in enumerate(chunks[start:], start=start):
                rules = rules_of(run, chunk.task)
                states = [
                    begin(question, rules, sample=sample, seed=run.config.seed, policy=policy.name)
                    for question in chunk.questions
                    for sample in range(config.samples)
                ]
                done = rollout(
                    states,
                    policy,
                    chunk.toolbox,
                    config.sampling,
                    slots=config.slots,
                    on_tool_failure=config.tool_failure,
                    on_ended=advance,
                )
                out.append(done)
                tokens = sum(trajectory.num_tokens for trajectory in done)
                run.lap("generate", f"chunk {number}", count=len(done), tokens=tokens)


def generated(run: Run) -> list[Trajectory]:
    """The trajectories, for the stages that go on from them; raises where they are not all there, or were asked other questions."""
    run.require(run.trajectories, "generate")
    config, tasks = run.config.generate, map(open_task, run.config.generate.tasks)
    return finished(
        _plan(run, [list(islice(task.questions("train", run.config.seed), config.questions)) for task in tasks])
    )


def _chunks(run: Run, task: Task) -> list[_Chunk]:
    toolbox, size = open_toolbox(task, run.config.search, run.config.policy), run.config.generate.chunk
    questions = training_questions(run, task, run.config.generate.questions)
    return [_Chunk(task, toolbox, questions[start : start + size]) for start in range(0, len(questions), size)]


def _plan(run: Run, chunks: Sequence[Sequence[Question]]) -> Plan[Trajectory]:
    samples = range(run.config.generate.samples)
    return Plan(
        stage="generate",
        run=run.path,
        path=run.trajectories,
        kind=Trajectory,
        item=lambda trajectory: Item.about(trajectory.id, trajectory.question),
        chunks=[
            [
                Item.about(begin(question, Rules(), sample=sample).id, question)
                for question in chunk
                for sample in samples
            ]
            for chunk in chunks
        ],
        unit="trajectories",
    )
