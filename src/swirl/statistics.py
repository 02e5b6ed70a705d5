"""Intervals and tests one can trust: Wilson's for a share, the paired bootstrap for a difference on the same questions, the crossed
bootstrap for one over several seeds too, McNemar's exact test for two policies, pass@k without bias, and the area under the ROC curve; and
how whole numbers are distributed, from how often each came.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

Z = 1.959963984540054
"""Two-sided 95 % of the normal distribution."""
_BLOCK = 2_000_000
"""Most resampled values held at once."""


class Interval(Struct, frozen=True):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


def wilson(successes: int | float, n: int) -> Interval:
    """Wilson's 95 % interval for a share; of nothing at all, everything between 0 and 1 is possible. A success may count in part, as that
    of a question with several samples does: the interval is then wide rather than narrow.

    >>> interval = wilson(8, 10)
    >>> round(interval.low, 3), round(interval.high, 3)
    (0.49, 0.943)
    """
    if not 0 <= successes <= n:
        raise ValueError(f"expected between 0 and {n} successes, found {successes}")
    if n == 0:
        return Interval(0.0, 0.0, 1.0)
    share = successes / n
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def paired_bootstrap(before: Sequence[float], after: Sequence[float], *, seed: int, draws: int = 10_000) -> Interval:
    """Mean of after minus before, question by question, with the percentile interval over resampled questions.

    >>> paired_bootstrap([0.0, 0.0, 1.0], [1.0, 1.0, 1.0], seed=0).high
    1.0
    """
    if len(before) != len(after) or not before:
        raise ValueError(f"expected as many values before as after, and some, found {len(before)} and {len(after)}")
    differences = np.asarray(after, dtype=float) - np.asarray(before, dtype=float)
    rng, n = np.random.default_rng(seed), len(differences)
    block = max(1, _BLOCK // n)
    means = [
        differences[rng.integers(0, n, size=(min(block, draws - start), n))].mean(axis=1)
        for start in range(0, draws, block)
    ]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return Interval(float(differences.mean()), float(low), float(high))


def crossed_bootstrap(differences_SQ: Sequence[Sequence[float]], *, seed: int, draws: int = 10_000) -> Interval:
    """Mean of differences by seed (S rows) and question (Q columns), with the percentile interval over resampled seeds *and* questions: it
    speaks of other questions and of other seeds. With few seeds it is rough, and wider than an interval over questions alone.

    >>> interval = crossed_bootstrap([[0.0, 0.0], [1.0, 1.0]], seed=0)
    >>> interval.low, interval.mean, interval.high
    (0.0, 0.5, 1.0)
    """
    table_SQ = np.asarray(differences_SQ, dtype=float)
    if table_SQ.ndim != 2 or not table_SQ.size:
        raise ValueError(f"expected as many differences of each seed, and some, found the shape {table_SQ.shape}")
    rng, block = np.random.default_rng(seed), max(1, _BLOCK // table_SQ.shape[1])
    means = []
    for start in range(0, draws, block):
        shares_DS, shares_DQ = (
            rng.multinomial(n, np.full(n, 1 / n), size=min(block, draws - start)) / n for n in table_SQ.shape
        )
        means.append(((shares_DS @ table_SQ) * shares_DQ).sum(axis=1))
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return Interval(float(table_SQ.mean()), float(low), float(high))


def resampled_ratios(
    tops_QF: ArrayLike, bottoms_QF: ArrayLike, *, seed: int, draws: int = 10_000
) -> NDArray[np.float64]:
    """Ratios of two sums over Q resampled questions, for F figures at once: one row a draw. A mean is such a ratio, its bottoms all 1; so
    is a share of steps. NaN where the bottom is 0. Equal seeds and numbers of questions resample alike, so that the difference of two
    results is paired; the questions are drawn as `paired_bootstrap` draws them.

    >>> ratios_DF = resampled_ratios([[1.0], [1.0]], [[2.0], [2.0]], seed=0, draws=3)
    >>> ratios_DF.tolist()
    [[0.5], [0.5], [0.5]]
    """
    tops_QF, bottoms_QF = np.asarray(tops_QF, dtype=float), np.asarray(bottoms_QF, dtype=float)
    if tops_QF.ndim != 2 or not tops_QF.size or tops_QF.shape != bottoms_QF.shape:
        raise ValueError(
            f"expected tops and bottoms of the same questions and figures, and some, found {tops_QF.shape} and {bottoms_QF.shape}"
        )
    rng, n = np.random.default_rng(seed), len(tops_QF)
    block, ratios = max(1, _BLOCK // n), []
    for start in range(0, draws, block):
        times_DQ = _times(rng, min(block, draws - start), n)
        sums_DF, weights_DF = times_DQ @ tops_QF, times_DQ @ bottoms_QF
        ratios.append(np.divide(sums_DF, weights_DF, out=np.full_like(sums_DF, np.nan), where=weights_DF > 0))
    return np.concatenate(ratios)


def _times(rng: np.random.Generator, draws: int, n: int) -> NDArray[np.int64]:
    """How often each of n questions is drawn, n times with replacement: one row a draw."""
    drawn_DQ = rng.integers(0, n, size=(draws, n))
    rows_D1 = np.arange(draws)[:, None]
    times = np.bincount((rows_D1 * n + drawn_DQ).ravel(), minlength=drawn_DQ.size)
    return times.reshape(drawn_DQ.shape)


def auroc(scores_N: ArrayLike, good_N: ArrayLike) -> float | None:
    """Area under the ROC curve: the probability that a good item scores above a bad one, ties counted half. None where there is no good
    item, or no bad one.

    >>> auroc([0.9, 0.5, 0.5, 0.1], [True, True, False, False])
    0.875
    """
    good_N = np.asarray(good_N, dtype=bool)
    if good_N.all() or not good_N.any():
        return None
    [area] = _Ranked(scores_N, good_N).areas(np.ones((1, len(good_N))))
    return float(area)


def resampled_aurocs(
    scores_N: ArrayLike, good_N: ArrayLike, questions_N: ArrayLike, *, seed: int, draws: int = 2_000
) -> NDArray[np.float64]:
    """Areas under the ROC curve of items whose questions (numbered from 0, none left out) are resampled, all items of a question together:
    one a draw, NaN where a draw holds no good item, or no bad one.

    >>> areas_D = resampled_aurocs([0.9, 0.1, 0.8, 0.2], [True, False, True, False], [0, 0, 1, 1], seed=0, draws=3)
    >>> areas_D.tolist()
    [1.0, 1.0, 1.0]
    """
    questions_N = np.asarray(questions_N, dtype=np.int64)
    if not questions_N.size:
        raise ValueError("expected some items, found none")
    ranked, n = _Ranked(scores_N, np.asarray(good_N, dtype=bool)), int(questions_N.max()) + 1
    rng, block = np.random.default_rng(seed), max(1, _BLOCK // len(questions_N))
    areas = [
        ranked.areas(_times(rng, min(block, draws - start), n)[:, questions_N]) for start in range(0, draws, block)
    ]
    return np.concatenate(areas)


class _Ranked:
    """Items by rising score, equal ones together."""

    def __init__(self, scores_N: ArrayLike, good_N: NDArray[np.bool_]) -> None:
        scores_N = np.asarray(scores_N, dtype=float)
        if scores_N.ndim != 1 or scores_N.shape != good_N.shape:
            raise ValueError(f"expected a score for each item, found the shapes {scores_N.shape} and {good_N.shape}")
        self._order_N = np.argsort(scores_N, kind="stable")
        self._good_N = good_N[self._order_N]
        self._starts_U = np.unique(scores_N[self._order_N], return_index=True)[1]

    def areas(self, weights_DN: ArrayLike) -> NDArray[np.float64]:
        """One area a row of weights, which say how often each item counts; NaN where one of the classes weighs nothing."""
        weights_DN = np.asarray(weights_DN, dtype=float)[:, self._order_N]
        good_DU = np.add.reduceat(weights_DN * self._good_N, self._starts_U, axis=1)
        bad_DU = np.add.reduceat(weights_DN * ~self._good_N, self._starts_U, axis=1)
        below_DU = np.cumsum(bad_DU, axis=1) - bad_DU
        wins_D = (good_DU * (below_DU + bad_DU / 2)).sum(axis=1)
        pairs_D = good_DU.sum(axis=1) * bad_DU.sum(axis=1)
        areas_D: NDArray[np.float64] = np.full_like(wins_D, np.nan)
        np.divide(wins_D, pairs_D, out=areas_D, where=pairs_D > 0)
        return areas_D


class McNemar(Struct, frozen=True):
    """Two policies on the same questions, by the questions on which they differ."""

    b: int
    """Right by the first, wrong by the second: lost."""
    c: int
    """Wrong by the first, right by the second: gained."""
    p: float
    """Two-sided probability of a split at least as uneven, were gains and losses equally likely."""


def mcnemar(before: Sequence[bool], after: Sequence[bool]) -> McNemar:
    """McNemar's exact test.

    >>> mcnemar([True, False, False, False, False, False], [True, True, True, True, True, True])
    McNemar(b=0, c=5, p=0.0625)
    """
    if len(before) != len(after):
        raise ValueError(f"expected as many answers before as after, found {len(before)} and {len(after)}")
    b = sum(mine and not other for mine, other in zip(before, after, strict=True))
    c = sum(other and not mine for mine, other in zip(before, after, strict=True))
    ways, tail = 1, 0
    for i in range(min(b, c) + 1):
        tail += ways
        ways = ways * (b + c - i) // (i + 1)
    return McNemar(b, c, min(1.0, 2 * tail / 2 ** (b + c)))


def pass_at_k(n: int, right: int, k: int) -> float:
    """Probability that at least one of k samples is right, of n of which some are: the unbiased estimate (Chen et al., 2021).

    >>> pass_at_k(4, 1, 1), pass_at_k(4, 1, 2), pass_at_k(4, 1, 4)
    (0.25, 0.5, 1.0)
    """
    if not 0 <= right <= n or not 1 <= k <= n:
        raise ValueError(f"expected 1 to {n} of {n} samples, and 0 to {n} right ones, found k = {k} and {right}")
    return 1.0 - math.comb(n - right, k) / math.comb(n, k)


class Distribution(Struct, frozen=True):
    """Whole numbers, by how often each came."""

    counts: dict[int, int]
    n: int
    mean: float | None
    least: int | None
    median: int | None
    """The smallest number that at least half of them do not exceed."""
    p90: int | None
    """The same for nine tenths."""
    most: int | None


def distribution(counts: Mapping[int, int]) -> Distribution:
    """Whole numbers from how often each came.

    >>> distribution({1: 1, 2: 2, 9: 1})
    Distribution(counts={1: 1, 2: 2, 9: 1}, n=4, mean=3.5, least=1, median=2, p90=9, most=9)
    """
    ordered = dict(sorted(counts.items()))
    n = sum(ordered.values())
    if not n:
        return Distribution({}, 0, None, None, None, None, None)
    mean = sum(value * count for value, count in ordered.items()) / n
    return Distribution(
        ordered, n, mean, min(ordered), _quantile(ordered, n, 5), _quantile(ordered, n, 9), max(ordered)
    )


def _quantile(ordered: Mapping[int, int], n: int, tenths: int) -> int:
    places = accumulate(ordered.values())
    return next(value for value, place in zip(ordered, places, strict=True) if 10 * place >= tenths * n)
