"""Filtering: which trajectories training sees, and why the rest fell."""

from collections.abc import Iterable, Mapping, Sequence

from swirl.catalog import open_task
from swirl.errors import ConfigError
from swirl.filters import Decision, Rule, decide, trim
from swirl.records import read, write_json
from swirl.run import Run
from swirl.terminal import say
from swirl.types import JudgedStep, Question, Trajectory, Verdict


def verdicts_of(run: Run) -> Mapping[str, list[Verdict]]:
    """The run's judge's verdicts by trajectory id, in the order of the steps."""
    run.require(run.verdicts(run.config.judge.name), "judge")
    found: dict[str, list[Verdict]] = {}
    for record in read(run.verdicts(run.config.judge.name), JudgedStep):
        found.setdefault(record.trajectory, []).append(record.verdict)
    return found


def select(run: Run) -> list[Decision]:
    """Write `selection.json`: which trajectories the rule keeps, why the rest fell, and what every other rule would keep."""
    run.require(run.trajectories, "generate")
    rule, verdicts = run.config.filter.rule, verdicts_of(run)
    trajectories = list(read(run.trajectories, Trajectory))
    correct = _grades(run, trajectories, needed=rule in (Rule.OUTCOME, Rule.BOTH))
    by_rule = {
        each: [decide(t, _padded(verdicts.get(t.id, []), t), correct.get(t.id), each) for t in trajectories]
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
    write_json(
        run.selection,
        {
            "schema": "swirl.selection/1",
            "rule": rule,
            "judge": run.config.judge.name,
            "num_trajectories": len(trajectories),
            "rules": {each: {"kept": sum(d.kept for d in all_of)} for each, all_of in by_rule.items()},
            "decisions": decisions,
        },
    )
    run.lap("filter", rule.value, count=len(trajectories))
    return decisions


def _padded(verdicts: Sequence[Verdict], trajectory: Trajectory) -> list[Verdict | None]:
    return [*verdicts, *[None] * (len(trajectory.steps) - len(verdicts))]


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
