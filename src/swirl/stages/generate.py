"""Generation: samples of the policy on every training question.

A policy on this machine writes them chunk by chunk. One behind a server writes each on its own: it is committed as it ends, and when all
are there the file is put in order, so that two equal runs have equal files.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from swirl.catalog import open_task
from swirl.errors import ServiceFailure, ToolFailure
from swirl.policies import Policy, Serving
from swirl.records import Appender
from swirl.rollout import begin, rollout, rollout_as_ready
from swirl.run import Run
from swirl.stages.chunks import Item, Plan, finished, in_order, resume, resume_any
from swirl.stages.groups import Groups
from swirl.stages.start import policy_of, rules_of, tell_refused, toolbox_of, training_questions
from swirl.tasks import Task
from swirl.terminal import progress, say
from swirl.tools import Toolbox
from swirl.types import Question, Rules, StopReason, Trajectory


@dataclass(frozen=True)
class _Chunk:
    task: Task
    toolbox: Toolbox
    questions: Sequence[Question]


def generate(run: Run) -> None:
    """Write `trajectories.jsonl`: samples of the policy on every training question."""
    chunks = [chunk for spec in run.config.generate.tasks for chunk in _chunks(run, open_task(spec))]
    plan = _plan(run, [chunk.questions for chunk in chunks])
    if run.config.policy_server.url:
        _generate_as_ready(run, chunks, plan)
        in_order(plan)
    else:
        _generate_in_chunks(run, chunks, plan)


def _states(run: Run, chunk: _Chunk, policy: Policy) -> list[Trajectory]:
    rules = rules_of(run, chunk.task)
    return [
        begin(question, rules, sample=sample, seed=run.config.seed, policy=policy.name)
        for question in chunk.questions
        for sample in range(run.config.generate.samples)
    ]


def _opened(run: Run) -> Policy:
    policy = policy_of(run, "generate")
    run.lap("generate", "load the policy")
    return policy


def _generate_in_chunks(run: Run, chunks: Sequence[_Chunk], plan: Plan[Trajectory]) -> None:
    config, total = run.config.generate, len(plan.items)
    with Appender(run.trajectories, Trajectory) as out:
        start = resume(out, plan)
        if start == len(chunks):
            say(f"generate: all {total} trajectories are there already")
            return
        policy = _opened(run)
        with progress("generate", total, len(out), "trajectories") as advance:
            for number, chunk in enumerate(chunks[start:], start=start):
                done = rollout(
                    _states(run, chunk, policy),
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


def _generate_as_ready(run: Run, chunks: Sequence[_Chunk], plan: Plan[Trajectory]) -> None:
    """Of a policy behind a server: what is there is kept, what is missing is made, each trajectory on its own; written as they end."""
    config, total = run.config.generate, len(plan.items)
    with Appender(run.trajectories, Trajectory) as out:
        there = resume_any(out, plan)
        if len(there) == total:
            say(f"generate: all {total} trajectories are there already")
            return
        policy = _opened(run)
        if not isinstance(policy, Serving):
            raise TypeError(f"a policy behind a server was expected, found {policy.name}")
        states = (state for chunk in chunks for state in _states(run, chunk, policy) if state.id not in there)
        boxes = {question.task: chunk.toolbox for chunk in chunks for question in chunk.questions}
        ending = rollout_as_ready(states, policy, boxes, config.sampling, on_tool_failure=config.tool_failure)
        made: Counter[StopReason | None] = Counter()
        tokens = 0
        try:
            with (
                progress("generate", total, len(there), "trajectories") as advance,
                Groups(out) as groups,
                closing(ending),
            ):
                for _, trajectory in ending:
                    groups.put(trajectory)
                    made[trajectory.stop] += 1
                    tokens += trajectory.num_tokens
                    advance(1)
        except (ServiceFailure, ToolFailure):
            say(f"generate: {len(out)} of {total} trajectories are there, and kept; the same command goes on")
            raise
        finally:
            run.lap("generate", "trajectories", count=made.total(), tokens=tokens)
    tell_refused("generate", made)


def generated(run: Run, keep: Callable[[Trajectory], Trajectory] | None = None) -> list[Trajectory]:
    """The trajectories, for the stages that go on from them, or what `keep` makes of each; raises where they are not all there, or were
    asked other questions."""
    run.require(run.trajectories, "generate")
    config, tasks = run.config.generate, map(open_task, run.config.generate.tasks)
    questions = [list(islice(task.questions("train", run.config.seed), config.questions)) for task in tasks]
    return finished(_plan(run, questions), keep)


def _chunks(run: Run, task: Task) -> list[_Chunk]:
    toolbox, size = toolbox_of(run, task, "generate"), run.config.generate.chunk
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
