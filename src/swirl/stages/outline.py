"""What a run's generation has to hold, shard by shard: which questions, in which chunks, and the trajectories made of them.

A shard holds whole questions, `generate.shard` trajectories of them at most (but those of one question at least), in the order of the run's
draw, so that which file a trajectory belongs to is decided before anything is made, whoever makes it.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby, islice

from msgspec import Struct

from swirl.catalog import open_task
from swirl.rollout import begin
from swirl.run import Run
from swirl.shards import ALL, Part, shard
from swirl.stages.chunks import Item, Plan, finished, same_id
from swirl.stages.start import samples_of
from swirl.tasks import Task
from swirl.types import Question, Rules, Trajectory


class Shard(Struct, frozen=True):
    """One shard of a run."""

    number: int
    questions: tuple[Question, ...]
    samples: int
    """Trajectories a question, where its task asks for no others."""

    @property
    def num_trajectories(self) -> int:
        """How many trajectories it holds once it is whole."""
        return sum(len(samples_of(each, self.samples)) for each in self.questions)

    @property
    def names(self) -> list[str]:
        """The ids of its trajectories, in order."""
        return [
            begin(each, Rules(), sample=sample).id
            for each in self.questions
            for sample in samples_of(each, self.samples)
        ]

    @property
    def label(self) -> str:
        """How a note about a piece of it begins; of the first one nothing is said."""
        return f"shard {self.number}, " if self.number else ""


def outline(run: Run, part: Part = ALL) -> list[Shard]:
    """The shards of a run, or of a part of it; raises `ConfigError` where two questions have one id."""
    tasks = map(open_task, run.config.generate.tasks)
    return outlined(run, [question for task in tasks for question in drawn(run, task)], part)


def drawn(run: Run, task: Task) -> Iterator[Question]:
    """The questions of a task that a run is about."""
    return islice(task.questions("train", run.config.seed), run.config.generate.questions)


def outlined(run: Run, questions: Sequence[Question], part: Part = ALL) -> list[Shard]:
    """The shards of so many questions, in order."""
    config = run.config.generate
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise same_id(question.task, question.id)
        seen.add(question.id)
    size = max(1, config.shard // config.samples)
    return [
        Shard(number, tuple(questions[start : start + size]), config.samples)
        for number, start in enumerate(range(0, len(questions), size))
        if part.has(number)
    ]


def chunks(run: Run, own: Shard) -> list[Sequence[Question]]:
    """The questions of a shard in chunks, each of one task."""
    size = run.config.generate.chunk
    of_task = [list(group) for _, group in groupby(own.questions, key=lambda question: question.task)]
    return [group[start : start + size] for group in of_task for start in range(0, len(group), size)]


def plan(run: Run, own: Shard) -> Plan[Trajectory]:
    """The trajectories that a shard has to hold."""
    return Plan(
        stage="generate",
        run=run.path,
        path=shard(run.trajectories, own.number),
        kind=Trajectory,
        item=lambda trajectory: Item.about(trajectory.id, trajectory.question),
        chunks=[
            [
                Item.about(begin(question, Rules(), sample=sample).id, question)
                for question in chunk
                for sample in samples_of(question, own.samples)
            ]
            for chunk in chunks(run, own)
        ],
        unit="trajectories",
    )


def trajectories_in(run: Run, own: Shard) -> Iterator[Trajectory]:
    """The trajectories of a shard, one by one, for the stages that go on from them; raises where they are not all there, or were asked
    other questions."""
    run.require(run.trajectories, "generate")
    yield from finished(plan(run, own))
