"""Whether the records of an evaluation are answers to its held-out questions, graded as its tasks grade them."""

from pathlib import Path

from swirl.errors import SwirlError
from swirl.evaluate import EvaluatedTrajectory, grade
from swirl.seeds import derive
from swirl.tasks import Task
from swirl.verify import Checking, Finding
from swirl.verify.questions import Questions, drawn
from swirl.verify.reading import records_of
from swirl.verify.records import made_by
from swirl.verify.trajectory import problems


def check_answers(checking: Checking) -> None:
    """Check every file of the evaluation."""
    tasks = _tasks(checking)
    for path in sorted(checking.run.evaluation.glob("*.jsonl")):
        _check_file(checking, path, tasks)


def _tasks(checking: Checking) -> dict[str, tuple[str, Task]]:
    """Name of a task -> what the recipe calls it, and the task."""
    found: dict[str, tuple[str, Task]] = {}
    for spec in checking.run.config.evaluate.tasks if checking.run.evaluation.is_dir() else ():
        try:
            task = checking.open_task(spec)
        except SwirlError as error:
            checking.notes.append(f"the grades of {spec} were not checked ({error})")
            continue
        found[task.name] = (spec, task)
    return found


def _check_file(checking: Checking, path: Path, tasks: dict[str, tuple[str, Task]]) -> None:
    questions: Questions | None = None
    ids: set[str] = set()
    for place, record in records_of(checking, path, EvaluatedTrajectory):
        if not ids:
            questions = _questions(checking, record, tasks)
        found = [("answer at odds", problem) for problem in problems(record.trajectory)]
        found += [("foreign answer", problem) for problem in _out_of_place(path, record, ids, questions)]
        seed = derive(checking.run.config.seed, "evaluate")
        found += [("origin", problem) for problem in made_by(checking, "evaluate", record.trajectory, seed)]
        found += [("grade at odds", problem) for problem in _misgraded(record, tasks)]
        for kind, problem in found:
            told = f"answer {record.trajectory.id!r}: {problem}"
            checking.add(Finding(place, kind, told, checking.again("evaluate")))
        ids.add(record.trajectory.id)
    if missing := questions.missing() if questions else []:
        problem = f"{len(missing)} answers are missing (the first is {missing[0]!r})"
        remedy = f"restore them from a copy, or run `swirl evaluate {checking.run.path}`"
        checking.add(Finding(str(path), "missing answers", problem, remedy, "evaluate"))


def _questions(checking: Checking, first: EvaluatedTrajectory, tasks: dict[str, tuple[str, Task]]) -> Questions | None:
    config = checking.run.config.evaluate
    if first.task not in tasks:
        return None
    spec, samples = tasks[first.task][0], config.samples_in(first.mode)
    return drawn(checking, [spec], "test", config.draw, config.questions, samples)


def _out_of_place(path: Path, record: EvaluatedTrajectory, ids: set[str], questions: Questions | None) -> list[str]:
    found = []
    named = f"{record.policy}-{record.task}-{record.mode}"
    if not path.stem.startswith(named) or record.trajectory.question.task != record.task:
        found.append(f"it is of {named}, and does not belong in {path.name}")
    if record.trajectory.id in ids:
        found.append("there is one of this id before it")
    elif questions and (problem := questions.problem(record.trajectory.question, record.trajectory.sample)):
        found.append(problem)
    if record.verdicts and len(record.verdicts) != len(record.trajectory.steps):
        found.append(f"it has {len(record.verdicts)} verdicts on {len(record.trajectory.steps)} steps")
    return found


def _misgraded(record: EvaluatedTrajectory, tasks: dict[str, tuple[str, Task]]) -> list[str]:
    if record.task not in tasks:
        return []
    now = grade(tasks[record.task][1], record.trajectory)
    return [] if now == record.grade else [f"{record.task} grades it {now}, and {record.grade} is on record"]
