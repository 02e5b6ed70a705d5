"""Counts of a run's trajectories as tables for a terminal of 80 columns; shares are shown in per cent."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from swirl.counts import Agreed, Counts, JudgeCounts, Tally, TaskCounts
from swirl.statistics import Distribution, wilson
from swirl.terminal import harmless, table_of

LEGEND = (
    "Whole numbers are exact counts. Intervals are Wilson's, as if trajectories were independent, which samples of one question are not. A "
    "missing verdict is neither good nor bad. 90 %: nine tenths do not exceed it."
)
_NAMES = {
    "steps": "steps",
    "calls": "tool calls",
    "trajectory_tokens": "tokens written",
    "action_tokens": "tokens of a step",
    "answer_words": "words of an answer",
    "answer_characters": "characters of one",
}

Rows = list[tuple[str, ...]]
"""The first is what stands above the others."""


def share(part: int, whole: int) -> str:
    """Per cent, empty of nothing.

    >>> share(1, 3), share(0, 0)
    ('33.3', '')
    """
    return f"{100 * part / whole:.1f}" if whole else ""


def _whole(number: int) -> str:
    return f"{number:,}"


def endings(counts: Counts) -> Rows:
    """How the trajectories of each task ended, most frequent first."""
    found: Rows = [("task", "ended", "trajectories", "%")]
    for name, task in counts.tasks.items():
        for ending, number in sorted(task.endings.items(), key=lambda item: -item[1]):
            found.append((name, ending.replace("_", " "), _whole(number), share(number, task.trajectories)))
    return found


def results(counts: Counts) -> Rows:
    """Right answers by task, where it is known, of all and of those that the filter keeps."""
    found: Rows = [("task", "graded", "right %", "95 %", "kept", "kept %", "right of kept %")]
    tasks = [*counts.tasks.items(), *([("all", _together(counts.tasks.values()))] if len(counts.tasks) > 1 else [])]
    for name, task in tasks:
        interval = wilson(task.correct, task.graded)
        between = f"{100 * interval.low:.1f}–{100 * interval.high:.1f}" if task.graded else ""
        kept = (_whole(task.kept), share(task.kept, task.decided), share(task.kept_correct, task.kept_graded))
        own = kept if task.decided else ("", "", "")
        found.append((name, _whole(task.graded), share(task.correct, task.graded), between, *own))
    return found if any(task.decided for _, task in tasks) else [row[:4] for row in found]


def _together(tasks: Iterable[TaskCounts]) -> TaskCounts:
    found = TaskCounts()
    for task in tasks:
        for name in ("trajectories", "graded", "correct", "decided", "kept", "kept_graded", "kept_correct"):
            setattr(found, name, getattr(found, name) + getattr(task, name))
    return found


def sizes(counts: Counts) -> Rows:
    """How long trajectories, actions and answers are."""
    found: Rows = [("of each", "n", "mean", "least", "median", "90 %", "most")]
    for name, label in _NAMES.items():
        of: Distribution = getattr(counts, name)
        if of.n:
            values = (of.least, of.median, of.p90, of.most)
            found.append((label, _whole(of.n), f"{of.mean:.2f}", *(_whole(each or 0) for each in values)))
    return found


def steps(counts: Counts) -> Rows:
    """How many trajectories have how many steps."""
    above = ("steps", "trajectories", "%")
    return [above, *((_whole(n), _whole(many), share(many, counts.steps.n)) for n, many in counts.steps.counts.items())]


def actions(counts: Counts) -> Rows:
    """What steps do, and what tools could not use."""
    found: Rows = [("action", "steps", "%", "tool errors", "%", "not made")]
    total = sum(each.steps for each in counts.actions.values())
    for name, each in counts.actions.items():
        called = each.steps - each.no_result if name not in ("answers", "malformed") else 0
        errors = (_whole(each.refused), share(each.refused, called)) if called else ("", "")
        not_made = _whole(each.no_result) if each.no_result else ""
        found.append((name, _whole(each.steps), share(each.steps, total), *errors, not_made))
    return found


def verdicts(judge: JudgeCounts) -> Rows:
    """What a judge said of the first steps, the second ones, and so on, and of each kind of action."""
    by_step = {f"step {place}": tally for place, tally in enumerate(judge.by_step, start=1)}
    found: Rows = [("verdicts", "good", "bad", "missing", "good %")]
    return found + [_tally(name, tally) for name, tally in {**by_step, **judge.by_kind}.items()]


def _tally(name: str, tally: Tally) -> tuple[str, ...]:
    counts = (_whole(number) for number in (tally.good, tally.bad, tally.missing))
    return (name, *counts, share(tally.good, tally.good + tally.bad))


def agreement(found: Sequence[Agreed]) -> Rows:
    """How far judges agree in pairs."""
    rows: Rows = [("judges", "steps of both", "equal %", "95 %", "kappa")]
    for each in found:
        low, high = each.agreement.accuracy_ci95
        equal = (f"{100 * each.agreement.accuracy:.1f}", f"{100 * low:.1f}–{100 * high:.1f}")
        rows.append((f"{each.judge}, {each.against}", _whole(each.agreement.n), *equal, f"{each.agreement.kappa:.2f}"))
    return rows


def sentences(counts: Counts) -> Iterator[str]:
    """What needs no table."""
    twice = counts.duplicates
    if twice.questions:
        yield (
            f"Trajectories that equal an earlier sample of their question: {_whole(twice.trajectories)}; questions with several samples, "
            f"all of them equal: {_whole(twice.all_equal)} of {_whole(twice.questions)}."
        )
    if counts.steps_without_tokens and counts.action_tokens.n:
        yield f"Steps whose token ids are not known: {_whole(counts.steps_without_tokens)}."
    for name, judge in counts.verdicts.items():
        if judge.missing:
            why = ", ".join(f"{_whole(number)} {status}" for status, number in sorted(judge.missing.items()))
            yield f"Missing verdicts of {name}: {why}."


def terminal_counts(counts: Counts) -> RenderableType:
    """All of it."""
    total = sum(length * many for length, many in counts.steps.counts.items())
    said = f"{_whole(counts.trajectories)} trajectories of {_whole(counts.questions)} questions, {_whole(total)} steps"
    tables = [endings(counts), results(counts), sizes(counts), steps(counts), actions(counts)]
    parts: list[RenderableType] = [Text(said, style="bold"), Text(), *_shown(tables)]
    for name, judge in counts.verdicts.items():
        parts += [Text(harmless(f"Judged by {name}"), style="bold"), *_shown([verdicts(judge)])]
    parts += _shown([agreement(counts.agreement)])
    return Group(*parts, *(Text(harmless(line)) for line in sentences(counts)), Text(), Text(LEGEND, style="dim"))


def _shown(tables: Sequence[Rows]) -> Iterator[RenderableType]:
    """Those that have a row, with a free line after each."""
    for above, *rows in tables:
        if rows:
            yield table_of(above, rows)
            yield Text()
