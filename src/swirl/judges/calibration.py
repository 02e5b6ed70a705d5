"""How far a judge's scores can be trusted, measured on steps whose truth is known.

Pure: points in, figures out. Only verdicts whose status is ok count; those that are missing are counted by kind of action, and are never a
zero. Shares have Wilson's interval, as if steps were independent. The area under the ROC curve and Cohen's kappa have the percentile
interval of a bootstrap over questions, which keeps the steps of a question together; it has no width where the judge makes no error.

Not here: agreement as such (`swirl.judges.agreement`), where the truth comes from (`swirl.stages.calibrate`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from swirl.judges.agreement import KINDS, Agreement, agreement
from swirl.seeds import derive
from swirl.statistics import auroc, resampled_aurocs, resampled_ratios, wilson
from swirl.types import Verdict

BINS = 10
"""Bins of the reliability diagram, of equal width over the scores from 0 to 1."""
LAST = 4
"""Steps from this one on are told together."""
DRAWS = 2_000
"""Resamples of the questions."""

Interval95 = tuple[float, float]


class Point(NamedTuple):
    """A judged step of which the truth is known."""

    judged: Verdict
    truth: Verdict
    """It has a score."""
    step: int
    """Index of the step, from 0."""
    length: int
    """Characters of the action, its chain of thought included."""
    kind: str
    """As `swirl.judges.agreement.kind_of` tells it."""
    question: str
    """What tells its question from the others."""


class Rate(Struct, frozen=True):
    """A share of n steps, with Wilson's interval."""

    count: int
    n: int
    share: float | None
    """None of no steps."""
    ci95: Interval95


class Errors(Struct, frozen=True):
    """How often a judge errs."""

    false_positive: Rate
    """Of the bad steps, those it calls good."""
    false_negative: Rate
    """Of the good steps, those it calls bad."""


class Bin(Struct, frozen=True):
    """Steps of about the same score."""

    score: float
    """Mean score that the judge gave."""
    good: Rate
    """Those that are good."""


class Missing(Struct, frozen=True):
    """Verdicts that are missing, of those that were asked for."""

    missing: int
    n: int


class Measures(Struct, frozen=True, kw_only=True):
    """A judge measured against the truth."""

    agreement: Agreement
    """Accuracy and kappa among them; its `missing` counts the judge's verdicts alone."""
    kappa_ci95: Interval95 | None
    """None with fewer than two questions."""
    auroc: float | None
    """Probability that a good step scores above a bad one, ties counted half; None where one of the two is absent."""
    auroc_ci95: Interval95 | None
    errors: Errors
    brier: float | None
    """Mean squared distance of the score from the truth (1 good, 0 bad); None of no steps."""
    bins: tuple[Bin, ...]
    """By rising score, empty ones left out."""
    by_step: dict[str, Errors]
    """Position of the step, from 1 -> errors."""
    by_length: dict[str, Errors]
    """Tercile of the action's length -> errors. Equal lengths stand together, so terciles may differ in size."""
    missing: dict[str, Missing]
    """Kind of action -> verdicts that are missing."""


def calibrate(points: Sequence[Point], *, seed: int) -> Measures:
    """Measure a judge; raises `ValueError` where a truth has no score.

    >>> good, bad = Verdict(1.0), Verdict(0.0)
    >>> pairs = [(good, good), (good, bad), (bad, bad), (bad, bad)]
    >>> found = calibrate([Point(mine, truth, 0, 9, "answers", "q") for mine, truth in pairs], seed=1)
    >>> found.auroc, found.errors.false_positive.count, found.errors.false_positive.n, found.brier
    (0.8333333333333334, 1, 3, 0.25)
    """
    if any(point.truth.score is None for point in points):
        raise ValueError("expected a truth with a score for each step, found one without")
    known = [point for point in points if point.judged.score is not None]
    scores, truth = [_score(point) for point in known], [point.truth.good for point in known]
    area = auroc(scores, truth)
    numbers = {name: number for number, name in enumerate(dict.fromkeys(point.question for point in known))}
    questions = [numbers[point.question] for point in known]
    several = len(numbers) > 1
    return Measures(
        agreement=agreement([point.judged for point in points], [point.truth for point in points]),
        kappa_ci95=_percentiles(_kappas(known, questions, seed)) if several else None,
        auroc=area,
        auroc_ci95=(
            _percentiles(resampled_aurocs(scores, truth, questions, seed=derive(seed, "auroc"), draws=DRAWS))
            if several and area is not None
            else None
        ),
        errors=_errors(known),
        brier=_mean([(score - good) ** 2 for score, good in zip(scores, truth, strict=True)]),
        bins=_bins(known),
        by_step=_grouped(sorted(known, key=lambda point: point.step), lambda point: _position(point.step)),
        by_length=_grouped(sorted(known, key=lambda point: point.length), _tercile([p.length for p in known])),
        missing=_missing(points),
    )


def _score(point: Point) -> float:
    assert point.judged.score is not None
    return point.judged.score


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def rate(count: int, n: int) -> Rate:
    """A share with its interval.

    >>> rate(0, 0).share is None
    True
    """
    found = wilson(count, n)
    return Rate(count, n, found.mean if n else None, (found.low, found.high))


def _errors(points: Sequence[Point]) -> Errors:
    good = [point.judged.good for point in points if point.truth.good]
    bad = [point.judged.good for point in points if not point.truth.good]
    return Errors(false_positive=rate(sum(bad), len(bad)), false_negative=rate(len(good) - sum(good), len(good)))


def _grouped(points: Sequence[Point], name: Callable[[Point], str]) -> dict[str, Errors]:
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(name(point), []).append(point)
    return {name: _errors(own) for name, own in groups.items()}


def _position(step: int) -> str:
    return str(step + 1) if step + 1 < LAST else f"{LAST}+"


def _tercile(lengths: Sequence[int]) -> Callable[[Point], str]:
    """Names the tercile of a step by the lengths that bound it."""
    ordered = sorted(lengths)
    first, second = (ordered[max(0, -(-len(ordered) * part // 3) - 1)] if ordered else 0 for part in (1, 2))

    def name(point: Point) -> str:
        if point.length <= first:
            return f"up to {first}"
        return f"{first + 1} to {second}" if point.length <= second else f"over {second}"

    return name


def _bins(points: Sequence[Point]) -> tuple[Bin, ...]:
    """Scores outside 0 to 1, which no judge here gives, are in the first bin or the last."""
    filled: list[list[Point]] = [[] for _ in range(BINS)]
    for point in points:
        filled[min(BINS - 1, max(0, int(_score(point) * BINS)))].append(point)
    return tuple(
        Bin(sum(map(_score, own)) / len(own), rate(sum(point.truth.good for point in own), len(own)))
        for own in filled
        if own
    )


def _missing(points: Sequence[Point]) -> dict[str, Missing]:
    kinds = dict.fromkeys([*KINDS, *sorted({point.kind for point in points})])
    of_kind: Mapping[str, list[bool]] = {
        kind: [point.judged.score is None for point in points if point.kind == kind] for kind in kinds
    }
    return {kind: Missing(sum(own), len(own)) for kind, own in of_kind.items() if own}


def _kappas(points: Sequence[Point], questions: Sequence[int], seed: int) -> NDArray[np.float64]:
    """Cohen's kappa of resampled questions, 0 where chance alone explains everything: one a draw."""
    tops_QF, bottoms_QF = (np.zeros((max(questions) + 1, 3)) for _ in range(2))
    for point, question in zip(points, questions, strict=True):
        mine, theirs = point.judged.good, point.truth.good
        tops_QF[question] += (mine == theirs, mine, theirs)
        bottoms_QF[question] += 1
    equal_D, mine_D, theirs_D = resampled_ratios(tops_QF, bottoms_QF, seed=derive(seed, "kappa"), draws=DRAWS).T
    chance_D = mine_D * theirs_D + (1 - mine_D) * (1 - theirs_D)
    kappas_D: NDArray[np.float64] = np.zeros_like(chance_D)
    np.divide(equal_D - chance_D, 1 - chance_D, out=kappas_D, where=chance_D < 1)
    return kappas_D


def _percentiles(values_D: NDArray[np.float64]) -> Interval95 | None:
    """The middle 95 %; draws without a value are left out."""
    told = values_D[~np.isnan(values_D)]
    if not told.size:
        return None
    low, high = np.quantile(told, [0.025, 0.975])
    return float(low), float(high)
