"""Filtering: which trajectories training sees, and why the rest fell."""

from collections.abc import Iterable, Iterator, Mapping

from swirl.catalog import open_task
from swirl.errors import ConfigError, RunFolderError
from swirl.filters import Decision, Kept, Rule, Selection, decide, trim
from swirl.judges.missing import Missing
from swirl.records import read_document, write_json
from swirl.run import Run
from swirl.stages.chunks import require_whole
from swirl.stages.judged import judgements_in
from swirl.stages.outline import outline, plan, recorded
from swirl.stages.stream import say_missing
from swirl.tasks import Task
from swirl.terminal import progress, say
from swirl.types import Question, Trajectory


def select(run: Run) -> list[Decision]:
    """Write `selection.json`: which trajectories the rule keeps, why the rest fell, and what every other rule would keep."""
    rule, judge, shards = run.config.filter.rule, run.config.judge.name, outline(run)
    tasks = _grading(run, [question for own in shards for question in own.questions])
    rules = [each for each in Rule if tasks or each in (Rule.NONE, Rule.PROCESS)]
    kept, missing, total = dict.fromkeys(rules, 0), Missing(), sum(own.num_trajectories for own in shards)
    decisions: list[Decision] = []
    with progress(f"filter ({rule})", total, 0, "trajectories") as advance:
        for own in shards:
            for trajectory, (verdicts,) in judgements_in(run, own, [judge]):
                correct = _correct(trajectory, tasks)
                for each in rules:
                    decision = decide(trajectory, verdicts, correct, each)
                    kept[each] += decision.kept
                    if each is rule:
                        decisions.append(decision)
                for step, verdict in zip(trajectory.steps, verdicts, strict=True):
                    missing.add(step, verdict.status)
                advance(1)
    if rule in (Rule.PROCESS, Rule.BOTH):
        say_missing(f"filter ({rule})", run, missing)
    decisions = _trimmed(run, decisions, kept[rule])
    selection = Selection(
        rule=rule,
        judge=judge,
        num_trajectories=total,
        rules={each: Kept(count) for each, count in kept.items()},
        decisions=tuple(decisions),
    )
    write_json(run.selection, selection)
    run.lap("filter", rule.value, count=total)
    say(f"filter ({rule}): {len(selection.kept)} of {total} trajectories kept")
    return decisions


def _trimmed(run: Run, decisions: list[Decision], kept: int) -> list[Decision]:
    wanted = run.config.filter.size
    if kept < wanted:
        say(f"filter.size = {wanted}, but only {kept} trajectories pass: not of equal size with arms that keep more")
    return trim(decisions, wanted, run.config.seed) if wanted else decisions


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
    return (trajectory for own in shards for trajectory in recorded(run, own) if trajectory.id in kept)


def _grading(run: Run, questions: Iterable[Question]) -> Mapping[str, Task]:
    """The tasks that grade answers; none where questions have no gold answer and no rule needs one."""
    known = list(questions)
    require_answers(known, run.config.filter.rule)
    if not all(question.answers for question in known):
        return {}
    return {task.name: task for task in map(open_task, run.config.generate.tasks)}


def _correct(trajectory: Trajectory, tasks: Mapping[str, Task]) -> bool | None:
    if not tasks:
        return None
    question, answer = trajectory.question, trajectory.answer
    return answer is not None and tasks[question.task].grade(question, answer).correct


def require_answers(questions: Iterable[Question], rule: Rule) -> None:
    """Raise `ConfigError` where a rule compares with gold answers and a question has none."""
    unknown = next((question for question in questions if not question.answers), None)
    if unknown is not None and rule in (Rule.OUTCOME, Rule.BOTH):
        raise ConfigError(
            f'filter.rule = "{rule}" compares with gold answers, but question {unknown.id!r} has none; add its answer, or use the rule '
            '"process" or "none"'
        )
