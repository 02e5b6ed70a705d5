"""Generation: samples of the policy on every training question."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from swirl.catalog import open_policy, open_task, open_toolbox
from swirl.records import Appender
from swirl.rollout import begin, rollout
from swirl.run import Run
from swirl.stages.chunks import resume
from swirl.stages.start import initial_policy, rules_of, training_questions
from swirl.tasks import Task
from swirl.terminal import progress
from swirl.tools import Toolbox
from swirl.types import Question, Trajectory


@dataclass(frozen=True)
class _Chunk:
    task: Task
    toolbox: Toolbox
    questions: Sequence[Question]


def generate(run: Run) -> None:
    """Write `trajectories.jsonl`: samples of the policy on every training question."""
    config = run.config.generate
    chunks = [chunk for spec in config.tasks for chunk in _chunks(run, open_task(spec))]
    sizes = [len(chunk.questions) * config.samples for chunk in chunks]
    with Appender(run.trajectories, Trajectory) as out:
        start = resume(out, sizes)
        if start == len(chunks):
            return
        policy = open_policy(initial_policy(run), run.config.seed)
        run.lap("generate", "load the policy")
        with progress("generate", sum(sizes), len(out), "trajectories") as advance:
            for number, chunk in enumerate(chunks[start:], start=start):
                rules = rules_of(run, chunk.task)
                states = [
                    begin(question, rules, sample=sample, seed=run.config.seed, policy=policy.name)
                    for question in chunk.questions
                    for sample in range(config.samples)
                ]
                finished = rollout(
                    states,
                    policy,
                    chunk.toolbox,
                    config.sampling,
                    slots=config.slots,
                    on_tool_failure=config.tool_failure,
                )
                out.append(finished)
                tokens = sum(trajectory.num_tokens for trajectory in finished)
                run.lap("generate", f"chunk {number}", count=len(finished), tokens=tokens)
                advance(len(finished))


def _chunks(run: Run, task: Task) -> Iterator[_Chunk]:
    toolbox, size = open_toolbox(task), run.config.generate.chunk
    questions = training_questions(run, task, run.config.generate.questions)
    for start in range(0, len(questions), size):
        yield _Chunk(task, toolbox, questions[start : start + size])
