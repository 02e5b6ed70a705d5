"""What a filter left, check by check: for its rule and for every other, and for which reasons the rest fell; as rows of text."""

from collections.abc import Sequence
from typing import NamedTuple

from swirl.filters import Check, Rule
from swirl.selection import Selection

_LABELS = {
    Check.STEPS: "enough steps, and not too many",
    Check.ANSWERED: "ended with an answer",
    Check.TOOL_ERRORS: "no tool refused or broke",
    Check.PROCESS: "every step judged good",
    Check.OUTCOME: "answer right",
    Check.EITHER: "steps good, or answer right",
    Check.UNIQUE: "without equal ones",
    Check.PER_QUESTION: "balanced over questions",
    Check.SIZE: "drawn to size",
}


class Fell(NamedTuple):
    """How many fell by a check, and for which reasons."""

    check: str
    total: int
    reasons: Sequence[tuple[str, int]]
    """The commonest first."""
    others: int
    """How many fell for other reasons."""


def survival_rows(selection: Selection) -> list[tuple[str, ...]]:
    """A row for all trajectories and one a check, with how many each rule leaves; above them the rules, the filter's own first."""
    rules = sorted(selection.survival, key=lambda rule: rule is not selection.rule)
    checks = [check for check in Check if any(check in own for own in selection.survival.values())]
    rows = [("left after", *(rule.value for rule in rules)), ("all", *(f"{selection.num_trajectories}",) * len(rules))]
    for check in checks:
        counts = (selection.survival[rule].get(check) for rule in rules)
        rows.append((_LABELS[check], *("" if count is None else str(count) for count in counts)))
    return [*rows, ("kept", *(str(min(selection.survival[rule].values())) for rule in rules))]


def survivors(selection: Selection) -> list[tuple[str, int]]:
    """How many are left after each check of the filter's own rule, all of them first."""
    own = selection.survival[selection.rule]
    return [("all", selection.num_trajectories), *((_LABELS[check], count) for check, count in own.items())]


def rules_kept(selection: Selection) -> list[tuple[str, int]]:
    """How many each rule keeps with the same settings, from the least strict on."""
    return [(rule.value, min(selection.survival[rule].values())) for rule in Rule if rule in selection.survival]


def fell_rows(selection: Selection, most: int = 4) -> list[Fell]:
    """Why trajectories fell by the filter's own rule, check by check; a judge's own words are left out."""
    rows = []
    for check, reasons in selection.fallen.items():
        if reasons:
            shown = list(reasons.items())[:most]
            total = sum(reasons.values())
            rows.append(Fell(_LABELS[check], total, shown, total - sum(count for _, count in shown)))
    return rows
