"""Filtering: which trajectories training sees, and why the rest fell."""

from collections.abc import Iterable, Sequence

from swirl.catalog import open_task
from swirl.errors import ConfigError, RunFolderError
from swirl.filters import Decision, Kept, Rule, Selection, decide, trim
from swirl.judges.missing import Missing
from swirl.records import read_document, write_json
from swirl.run import Run
from swirl.stages.generate import generated
from swirl.stages.judge import verdicts_of
from swirl.stages.stream import kinds, say_missing
from swirl.terminal import say
from swirl.types import Question, Trajectory


def select(run: Run) -> list[Decision]:
    """Write `selection.json`: which trajectories the rule keeps, why the rest fell, and what every other rule would keep."""
    rule, judge, trajectories = run.config.filter.rule, run.config.judge.name, generated(run)
    verdicts = verdicts_of(run, judge, trajectories)
    if rule in (Rule.PROCESS, Rule.BOTH):
        came = {(name, step): verdict.status for name, own in verdicts.items() for step, verdict in enumerate(own)}
        say_missing(f"filter ({rule})", run, Missing.among(kinds(trajectories, came)))
    correct = _grades(run, trajectories, needed=rule in (Rule.OUTCOME, Rule.BOTH))
    by_rule = {
        each: [decide(t, verdicts[t.id], correct.get(t.id), each) for t in trajectories]
        for each in Rule
        if correct or each in (Rule.NONE, Rule.PROCESS)
    }
    decisions = by_rule[rule]
    if run.config.filter.size:
        kept, wanted = sum(decision.kept for decision in decisions), run.config.filter.size
        if kept < wanted:
            say(
                f"filter.size = {wanted}, but only {kept} trajectories pass: not of equal size with arms that keep more"
            )
        decisions = trim(decisions, wanted, run.config.seed)
    selection = Selection(
        rule=rule,
        judge=judge,
        num_trajectories=len(trajectories),
        rules={each: Kept(sum(decision.kept for decision in all_of)) for each, all_of in by_rule.items()},
        decisions=tuple(decisions),
    )
    write_json(run.selection, selection)
    run.lap("filter", rule.value, count=len(trajectories))
    say(f"filter ({rule}): {len(selection.kept)} of {len(trajectories)} trajectories kept")
    return decisions


def kept_of(run: Run) -> list[Trajectory]:
    """The trajectories that the filter keeps; raises where it has not decided on just those that are there."""
    run.require(run.selection, "filter")
    selection = read_document(run.selection, Selection, f"swirl filter {run.path}")
    trajectories = generated(run)
    ids, decided = {t.id for t in trajectories}, [decision.trajectory for decision in selection.decisions]
    known = len(ids.intersection(decided))
    if not known == len(decided) == len(ids) == selection.num_trajectories:
        raise RunFolderError(
            f"`filter` is out of date: expected {len(ids)} decisions in {run.selection}, one on each trajectory, found {len(decided)} on "
            f"{known} of them; run `swirl filter {run.path}` first"
        )
    return [trajectory for trajectory in trajectories if trajectory.id in selection.kept]


def _grades(run: Run, trajectories: Sequence[Trajectory], needed: bool) -> dict[str, bool]:
    """Whether each trajectory's answer is right; empty where questions have no gold answer and no rule needs one."""
    tasks = {task.name: task for task in map(open_task, run.config.generate.tasks)}
    questions = {t.question.id: t.question for t in trajectories}.values()
    if needed:
        require_answers(questions, run.config.filter.rule)
    elif not all(question.answers for question in questions):
        return {}
    return {
        t.id: t.answer is not None and tasks[t.question.task].grade(t.question, t.answer).correct for t in trajectories
    }


def require_answers(questions: Iterable[Question], rule: Rule) -> None:
    """Raise `ConfigError` where a rule compares with gold answers and a question has none."""
    unknown = next((question for question in questions if not question.answers), None)
    if unknown is not None and rule in (Rule.OUTCOME, Rule.BOTH):
        raise ConfigError(
            f'filter.rule = "{rule}" compares with gold answers, but question {unknown.id!r} has none; add its answer, or use the rule '
            '"process" or "none"'
        )
