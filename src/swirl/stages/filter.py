"""Filtering: which trajectories training sees, and why the rest fell. One pass over what is on record; nothing is judged."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from swirl.catalog import open_task
from swirl.errors import ConfigError, RunFolderError
from swirl.filters import Decision, Rule
from swirl.judges.missing import Missing
from swirl.records import read_document, write_atomically
from swirl.run import Run
from swirl.selection import Selecting, Selection, document
from swirl.slim import SlimTrajectory, answer_of
from swirl.stages.chunks import require_whole
from swirl.stages.outline import outline, plan, trajectories_in
from swirl.stages.recorded import Recorded, asked_of, recorded
from swirl.stages.stream import say_missing
from swirl.terminal import progress, say
from swirl.types import Question, Step, Trajectory

_REMEMBERED = 1000
"""Grades of answers that are given again and again, by the samples of one question."""


def select(run: Run, ready: Callable[[], None] = lambda: None) -> Sequence[Decision]:
    """Write `selection.json`: which trajectories the rule keeps, why the rest fell, and what every other rule would keep. `ready` is called
    once all is decided, before anything is written."""
    config = run.config.filter
    judges = config.judges or (run.config.judge.name,)
    asked = asked_of(run)
    require_answers(asked.values(), config.rule)
    graded = all(question.answers for question in asked.values())
    selecting, grade, missing = Selecting(config, judges, run.seed, graded=graded), _grading(run), Missing()
    label = f"filter ({config.rule})"
    with progress(label, len(asked), unit="trajectories") as advance:
        for count, each in enumerate(recorded(run, judges, asked, config.threshold), start=1):
            selecting.add(*each, grade(each.trajectory) if graded else None)
            if config.rule.needs_verdicts:
                _count(missing, each)
            if count % 1000 == 0 or count == len(asked):
                advance((count - 1) % 1000 + 1)
    say_missing(label, run, missing)
    selection = selecting.selection()
    ready()
    write_atomically(run.selection, document(selection))
    run.lap("filter", config.rule.value, count=len(asked))
    kept = sum(decision.kept for decision in selection.decisions)
    if kept < config.size:
        say(
            f"filter.size = {config.size}, but only {kept} trajectories pass: not of equal size with arms that keep more"
        )
    say(f"{label}: {kept} of {len(asked)} trajectories kept")
    return selection.decisions


def _count(missing: Missing, recorded: Recorded) -> None:
    for verdicts in recorded.verdicts.values():
        for step, verdict in zip(recorded.trajectory.steps, verdicts, strict=True):
            missing.add(Step(text="", action=step.action), verdict.status)


def _grading(run: Run) -> Callable[[SlimTrajectory], bool]:
    """Whether the answer of a trajectory is right. Samples of one question stand together and often agree, so what was graded is remembered
    for a while."""
    tasks = {task.name: task for task in map(open_task, run.config.generate.tasks)}
    known: dict[tuple[str, str, str], bool] = {}

    def grade(trajectory: SlimTrajectory) -> bool:
        question, answer = trajectory.question, answer_of(trajectory)
        if answer is None:
            return False
        key = (question.task, question.id, answer)
        if key not in known:
            if len(known) >= _REMEMBERED:
                known.clear()
            known[key] = tasks[question.task].grade(question, answer).correct
        return known[key]

    return grade


def kept_of(run: Run) -> Iterator[Trajectory]:
    """The trajectories that the filter keeps, one by one; raises where it has not decided on just those that are there."""
    run.require(run.selection, "filter")
    selection = read_document(run.selection, Selection, f"swirl filter {run.path}")
    shards, kept = outline(run), selection.kept
    for own in shards:
        require_whole(plan(run, own))
    ids, decided = {name for own in shards for name in own.names}, [each.trajectory for each in selection.decisions]
    known = len(ids.intersection(decided))
    if not known == len(decided) == len(ids) == selection.num_trajectories:
        raise RunFolderError(
            f"`filter` is out of date: expected {len(ids)} decisions in {run.selection}, one on each trajectory, found {len(decided)} on "
            f"{known} of them; run `swirl filter {run.path}` first"
        )
    return (each for own in shards for each in trajectories_in(run, own) if each.id in kept)


def require_answers(questions: Iterable[Question], rule: Rule) -> None:
    """Raise `ConfigError` where a rule compares with gold answers and a question has none."""
    unknown = next((question for question in questions if not question.answers), None)
    if unknown is not None and rule.needs_answers:
        raise ConfigError(
            f'filter.rule = "{rule}" compares with gold answers, but question {unknown.id!r} has none; add its answer, or use the rule '
            '"process" or "none"'
        )
