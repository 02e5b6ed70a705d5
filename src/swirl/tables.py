"""A summary as rows of text, the same for the terminal and the page: the headline, every figure, and what tools are worth.

Shares are shown in per cent, their differences in points.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from swirl.terminal import table_of

SHARPENING = "A gain at temperature 1 alone may be mere sharpening; greedy decoding stands beside it."

LEGEND = (
    "Shares in %, differences in points with 95 % intervals (paired bootstrap over questions). Steps, tool calls and tokens are means an "
    "answer; calls refused are a share of calls, malformed and good steps of steps. p is McNemar's, on first answers alone."
)

_LABELS = {
    "accuracy": "accuracy",
    "exact_match": "exact match",
    "f1": "F1 of words",
    "precision": "precision of words",
    "recall": "recall of words",
    "judged": "right by the grader",
    "pass": "pass",
    "answered": "answered",
    "steps": "steps",
    "calls": "tool calls",
    "tool_errors": "calls refused",
    "malformed": "steps malformed",
    "tokens": "tokens written",
    "process_label": "steps judged good",
    "gold_recall": "gold passages found",
}
"""Figure -> its name in a table, in the order of the rows; what comes after an `@` in a figure is a row of its own."""
_COUNTS = ("steps", "calls", "tokens")
"""Figures that are no shares."""
_OF_SOME = {"judged": "  questions graded", "gold_recall": "  questions with gold"}
"""Figures that not every question has -> the name of the row with how many do."""

Row = tuple[str, str, str, str]
"""Figure, before, after, difference."""


def headings(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """What the policies are called: one or two.

    >>> headings({"policies": {"against": "runs/demo/train/model"}, "table": [{"after": {}}]})
    ('policy', 'against')
    """
    if not any("after" in sheet for sheet in summary["table"]):
        return ("policy",)
    return ("policy", "against") if summary["policies"]["against"] else ("before", "after")


def columns(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """What stands above the rows of a sheet; where there is one policy there is no difference."""
    names = headings(summary)
    return ("figure", *names, f"{_second_less_first(names)} [95 %]") if len(names) > 1 else ("figure", *names)


def _second_less_first(names: Sequence[str], word: str = "difference") -> str:
    """What a difference of two policies is called: where they are no before and after, which is taken from which has to be told."""
    return word if names[0] == "before" else " - ".join(reversed(names))


def remarks(summary: Mapping[str, Any]) -> list[str]:
    """How to read the figures: what a sampled gain is worth, what process labels are, and how far the judge can be trusted.

    >>> remarks({"judges": {"labels": "solver", "reward": "solver"}})[1]
    'Process labels are by the training judge (solver): they are the training reward, not independent evidence.'
    """
    labels, reward = summary["judges"]["labels"], summary["judges"]["reward"]
    said = [SHARPENING] if summary.get("trained", True) else []
    if labels and not summary.get("trained", True):
        said.append(f"Process labels are by {labels}.")
    elif labels and labels == reward:
        said.append(
            f"Process labels are by the training judge ({labels}): they are the training reward, not independent evidence."
        )
    elif labels:
        trained = f"training was rewarded by {reward}" if reward else "training imitated, and nothing was rewarded"
        said.append(f"Process labels are by {labels}; {trained}.")
    if found := summary.get("agreement"):
        steps = f"{found['n']} steps" + (f", {found['missing']} more having no verdict" if found.get("missing") else "")
        known = f"{found['against']}, which knows the solutions, on {found['accuracy']:.1%} of {steps}"
        how = f"precision {found['precision']:.2f}, recall {found['recall']:.2f}, kappa {found['kappa']:.2f}"
        said.append(f"The judge {found['judge']} agrees with {known} ({how}).")
    return said


def questions(summary: Mapping[str, Any]) -> str:
    """What was asked: held-out questions, or not.

    >>> questions({"n": 64}), questions({"n": 64, "n_trained_on": 10, "trained_on": {"gsm8k": 10}})
    ('64 held-out questions', '64 questions, 10 of them training questions too (10 of gsm8k)')
    """
    if not summary.get("n_trained_on"):
        return f"{summary['n']} held-out questions"
    each = ", ".join(f"{count} of {task}" for task, count in summary["trained_on"].items())
    return f"{summary['n']} questions, {summary['n_trained_on']} of them training questions too ({each})"


def points(difference: Mapping[str, Any]) -> str:
    """A difference of shares in points, with its interval.

    >>> points({"mean": 0.408, "ci95": [0.365, 0.4517]})
    '+40.8 [+36.5, +45.2]'
    """
    return _signed(difference, 100.0, 1)


def _signed(difference: Mapping[str, Any], times: float, digits: int) -> str:
    """Nothing is below zero but what is still below it when rounded."""
    rounded = (round(times * value, digits) + 0.0 for value in (difference["mean"], *difference["ci95"]))
    mean, low, high = (f"{value:+.{digits}f}" for value in rounded)
    return f"{mean} [{low}, {high}]"


def places(summary: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What the headline has a row for: all of it, each task, each prompt style."""
    tasks, prompts = summary["tasks"], summary.get("prompts", {})
    if len(tasks) != 1:
        yield "overall", summary
    if len(tasks) != 1 or not prompts:
        yield from tasks.items()
    for style, stand in prompts.items():
        yield f"{', '.join(tasks) if len(tasks) == 1 else 'overall'}, {style}", stand


def decodings(stand: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Sampled and greedy, as far as they are there."""
    if "before" in stand:
        yield "sampled", stand
    if "greedy" in stand:
        yield "greedy", stand["greedy"]


def headline(summary: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Accuracy overall, by task and by prompt style, as far as there are several; what stands above the rows is the first of them."""
    names = headings(summary)
    gain = (f"{_second_less_first(names, 'gain')} [95 %]",) if len(names) > 1 else ()
    found: list[tuple[str, ...]] = [("", "decoding", *names, *gain, "labels")]
    for name, stand in places(summary):
        for decoding, part in decodings(stand):
            stands = [part.get(when) for when in ("before", "after")[: len(names)]]
            accuracies = [f"{one['accuracy']:.1%}" if one else "" for one in stands]
            labels = [f"{one['process_label']:.2f}" for one in stands if one and one["process_label"] is not None]
            points_gained = [points(part["gain"]) if "gain" in part else ""] if gain else []
            found.append((name, decoding, *accuracies, *points_gained, " → ".join(labels)))
    return found


def title(sheet: Mapping[str, Any]) -> str:
    """What a sheet is about.

    >>> title({"task": "world", "mode": "greedy", "tools": False, "prompt": "bare"})
    'world, greedy, without tools, prompt bare'
    """
    return (
        f"{sheet['task']}, {sheet['mode']}, {'with' if sheet['tools'] else 'without'} tools, prompt {sheet['prompt']}"
    )


def place(sheet: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """The same in a few words, for a plot.

    >>> place({"task": "world", "mode": "greedy", "tools": False, "prompt": "bare"}, {})
    'world, greedy, without tools'
    """
    tools = "" if sheet["tools"] else ", without tools"
    return f"{sheet['task']}, {sheet['mode']}{tools}{', ' + sheet['prompt'] if summary.get('prompts') else ''}"


def about(sheet: Mapping[str, Any]) -> str:
    """How many questions a sheet is of, how often each was answered, and what its accuracy compares."""
    n = max(stand["accuracy"]["n"] for stand in (sheet.get("before"), sheet.get("after")) if stand)
    samples = f", {sheet['samples']} answers each" if sheet["samples"] > 1 else ""
    compared = "by value" if sheet["by_value"] else "by exact match"
    return f"{n} questions{samples}; accuracy {compared}"


def rows(sheet: Mapping[str, Any]) -> list[Row]:
    """Every figure of a sheet.

    >>> before = {"accuracy": {"mean": 0.5, "ci95": [0.2, 0.8], "n": 8}, "steps": {"mean": 2.25, "ci95": [2.0, 2.5], "n": 8}}
    >>> for row in rows({"before": before}): print(row)
    ('accuracy', '50.0', '', '')
    ('  95 % interval', '20.0–80.0', '', '')
    ('steps', '2.25', '', '')
    """
    before, after, difference = (sheet.get(part, {}) for part in ("before", "after", "difference"))
    found: list[Row] = []
    for name in sorted({**before, **after}, key=_order):
        one, other = before.get(name), after.get(name)
        found.append((_label(name), _mean(name, one), _mean(name, other), _difference(name, difference.get(name))))
        if name == "accuracy":
            found.append(("  95 % interval", _interval(one), _interval(other), ""))
        if name in _OF_SOME:
            mine, its = (str(figure["n"]) if figure else "" for figure in (one, other))
            found.append((_OF_SOME[name], mine, its, ""))
    return found


def _order(name: str) -> tuple[int, int]:
    family, _, number = name.partition("@")
    return list(_LABELS).index(family), int(number or 0)


def _label(name: str) -> str:
    family, _, number = name.partition("@")
    return _LABELS[name] if not number else f"pass@{number}" if family == "pass" else f"  after step {number}"


def _mean(name: str, figure: Mapping[str, Any] | None) -> str:
    times, digits = (1.0, 2) if name in _COUNTS else (100.0, 1)
    return f"{times * figure['mean']:.{digits}f}" if figure else ""


def _interval(figure: Mapping[str, Any] | None) -> str:
    return "" if figure is None else "–".join(f"{100 * end:.1f}" for end in figure["ci95"])


def _difference(name: str, figure: Mapping[str, Any] | None) -> str:
    times, digits = (1.0, 2) if name in _COUNTS else (100.0, 1)
    return _signed(figure, times, digits) if figure else ""


def changes(sheet: Mapping[str, Any]) -> str:
    """Questions gained and lost; empty where there are no two policies.

    >>> changes({"samples": 1, "mcnemar": {"b": 2, "c": 12, "p": 0.0129}})
    "Gained 12 questions, lost 2; McNemar's exact test: p = 0.013"
    """
    found = sheet.get("mcnemar")
    if not found:
        return ""
    first = " (first answers)" if sheet["samples"] > 1 else ""
    return f"Gained {found['c']} questions, lost {found['b']}{first}; McNemar's exact test: {probability(found['p'])}"


def probability(p: float) -> str:
    """A p-value, to two figures.

    >>> probability(0.0129), probability(1.0), probability(2e-7)
    ('p = 0.013', 'p = 1', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def tool_rows(summary: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What tools are worth: accuracy without them, with them, the difference, and McNemar's p."""
    names = dict(zip(("before", "after"), headings(summary), strict=False))
    found: list[tuple[str, ...]] = []
    for one in summary.get("tools", ()):
        label = f"{one['task']}, {one['mode']}, {names[one['policy']]}"
        label += f", {one['prompt']}" if summary.get("prompts") else ""
        shares = (f"{100 * one[side]['mean']:.1f}" for side in ("without", "with_tools"))
        test = probability(one["mcnemar"]["p"]).removeprefix("p ").removeprefix("= ")
        found.append((label, *shares, points(one["difference"]), test))
    return found


def terminal_table(summary: Mapping[str, Any]) -> RenderableType:
    """The headline for a terminal of 80 columns: sampled and greedy below each other."""
    above, *others = headline(summary)
    shown = [("" if place and others[place - 1][0] == row[0] else row[0], *row[1:]) for place, row in enumerate(others)]
    notes = [
        f"{questions(summary)}, seed {summary['seed']}, {summary['seconds']['total']:.0f} s, "
        f"{summary['peak_memory_mb']:.0f} MB.",
        *remarks(summary),
    ]
    return Group(table_of(above, shown), Text(), *(Text(note) for note in notes))


def terminal_figures(summary: Mapping[str, Any]) -> RenderableType:
    """Every figure for a terminal of 80 columns: a table for each task and way to answer, then what tools are worth."""
    parts: list[RenderableType] = []
    for sheet in summary["table"]:
        below = [Text(changes(sheet), style="dim")] if changes(sheet) else []
        table = table_of(columns(summary), rows(sheet), widths=(20, 11, 11, 24))
        parts += [Text(title(sheet), style="bold"), Text(about(sheet), style="dim"), table, *below, Text()]
    if compared := tool_rows(summary):
        above = ("accuracy", "without", "with", "difference [95 %]", "p")
        parts += [Text("What tools are worth", style="bold"), table_of(above, compared), Text()]
    return Group(*parts, Text(LEGEND, style="dim"), Text())
