"""How far two judges agree on a run's steps.

A comparison goes over the steps that both can judge: a judge may know the questions of some tasks alone.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from sys import intern
from typing import NamedTuple

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from swirl.errors import ConfigError
from swirl.judges.agreement import KINDS, Agreement, agreement, kind_of
from swirl.run import Run
from swirl.stages.judge import KNOWING, judged_by, without_reason
from swirl.types import Verdict, VerdictStatus


class Comparison(msgspec.Struct, frozen=True):
    """How far two judges agree on a run's steps."""

    whole: Agreement
    by_kind: Mapping[str, Agreement]
    """Kind of action (searches, calculations, answers, malformed) -> agreement on its steps, where there are any."""
    left_out: Mapping[str, int]
    """Task -> steps on questions that one of the judges does not know."""


def compare(run: Run, first: str, second: str) -> Comparison:
    """How far two judges agree on this run's steps, the second taken as the truth; raises `ConfigError` where one of them knows none of the
    questions."""
    steps = [
        _JudgedTwice(
            trajectory.question.task,
            kind_of(step),
            without_reason(mine),
            without_reason(theirs),
            intern(_refusal({first: mine, second: theirs})),
        )
        for trajectory, (judged, truth) in judged_by(run, (first, second))
        for step, mine, theirs in zip(trajectory.steps, judged, truth, strict=True)
    ]
    known = [step for step in steps if not step.refusal]
    if steps and not known:
        raise ConfigError(steps[0].refusal)
    kinds = dict.fromkeys([*KINDS, *sorted({step.kind for step in known})])
    of_kind = {kind: [step for step in known if step.kind == kind] for kind in kinds}
    return Comparison(
        whole=_agreement(known),
        by_kind={kind: _agreement(own) for kind, own in of_kind.items() if own},
        left_out=dict(Counter(step.task for step in steps if step.refusal)),
    )


class _JudgedTwice(NamedTuple):
    """A step with the verdicts of two judges."""

    task: str
    kind: str
    mine: Verdict
    theirs: Verdict
    refusal: str
    """Why one of them does not know the question; empty where both do."""


def _refusal(verdicts: Mapping[str, Verdict]) -> str:
    """Why a judge that knows some questions alone does not know this one; what a service refused to judge is just missing."""
    refused = (verdicts[name] for name in KNOWING if name in verdicts)
    return next((verdict.reason for verdict in refused if verdict.status is VerdictStatus.REFUSED), "")


def _agreement(steps: Sequence[_JudgedTwice]) -> Agreement:
    return agreement([step.mine for step in steps], [step.theirs for step in steps])


def print_agreement(run: Run, names: Sequence[str]) -> None:
    """Judge with two judges and print how far they agree, the second taken as the truth."""
    if len(names) != 2:
        raise ConfigError(f"expected two judges, e.g. --compare rule reference, found {len(names)}")
    first, second = names
    found = compare(run, first, second)
    table = Table(
        title=f"{first} against {second}, which is taken as the truth",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=0,
        show_edge=False,
    )
    for heading in ("", "n", "missing", "accuracy [95 %]", "precision", "recall", "kappa", "good"):
        table.add_column(heading, no_wrap=True)
    for kind, figures in {"all": found.whole, **found.by_kind}.items():
        table.add_row(kind, str(figures.n), str(figures.missing), *_told(figures))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"good: the share that {first} calls good / that {second} does")
    for task, count in found.left_out.items():
        console.print(f"Left out: {count} steps of {task}, whose questions {first} or {second} does not know.")


def _told(figures: Agreement) -> list[str]:
    low, high = figures.accuracy_ci95
    return [
        f"{figures.accuracy:.2f} [{low:.2f}, {high:.2f}]",
        *(f"{figure:.2f}" for figure in (figures.precision, figures.recall, figures.kappa)),
        f"{figures.good:.2f}/{figures.truth:.2f}",
    ]
