"""Filtering: which trajectories training sees, and why the rest fell."""

from collections.abc import Mapping, Sequence

from swirl.catalog import open_task
from swirl.errors import ConfigError
from swirl.filters import Decision, Rule, decide, trim
from swirl.records import read, write_json
from swirl.run import Run
from swirl.types import JudgedStep, Trajectory, Verdict


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
        decisions = trim(decisions, run.config.filter.size, run.config.seed)
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
    return decisions


def _padded(verdicts: Sequence[Verdict], trajectory: Trajectory) -> list[Verdict | None]:
    return [*verdicts, *[None] * (len(trajectory.steps) - len(verdicts))]


def _grades(run: Run, trajectories: Sequence[Trajectory], needed: bool) -> dict[str, bool]:
    """Whether each trajectory's answer is right; empty where questions have no gold answer and no rule needs one."""
    tasks = {task.name: task for task in map(open_task, run.config.generate.tasks)}
    unknown = next((t for t in trajectories if not t.question.answers), None)
    if unknown is not None:
        if needed:
            raise ConfigError(
                f'filter.rule = "{run.config.filter.rule}" compares with gold answers, but question {unknown.question.id!r} has none; '
                'add its answer, or use the rule "process" or "none"'
            )
        return {}
    return {
        t.id: t.answer is not None and tasks[t.question.task].grade(t.question, t.answer).correct for t in trajectories
    }
