"""Whether recorded answers are right, for whoever looks at a run: as the tasks of their questions say, as far as these are here."""

from collections.abc import Callable
from functools import cache

from swirl.catalog import TASKS, open_task
from swirl.errors import SwirlError
from swirl.evaluate import grade
from swirl.settings import RunConfig
from swirl.tasks import Task
from swirl.types import Trajectory


def grader(config: RunConfig) -> Callable[[Trajectory], bool | None]:
    """Says of a trajectory whether its answer is right; without an answer it is not. None where no accepted answer is known, or where the
    question's task cannot be opened: its files may have been moved away, and looking goes on without.

    >>> from swirl.types import Answer, Question, Rules, Step, StopReason
    >>> question = Question(id="q", task="arithmetic", text="What is 2 * 3?", answers=("6",))
    >>> steps = (Step(text="<answer>6.0</answer>", action=Answer("6.0")),)
    >>> grader(RunConfig())(Trajectory(id="q/0", question=question, rules=Rules(), steps=steps, stop=StopReason.ANSWERED))
    True
    """
    specs = {spec.partition(":")[0]: spec for spec in config.generate.tasks}

    @cache
    def task(name: str) -> Task | None:
        try:
            return open_task(specs.get(name, name)) if name in specs or name in TASKS else None
        except SwirlError:
            return None

    def right(trajectory: Trajectory) -> bool | None:
        known_task = task(trajectory.question.task) if trajectory.question.answers else None
        return grade(known_task, trajectory).correct if known_task else None

    return right
