"""Intervals one can trust: Wilson's for a share, the paired bootstrap for a difference on the same questions, the crossed bootstrap for one
over several seeds too.
"""

import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct

Z = 1.959963984540054
"""Two-sided 95 % of the normal distribution."""
_BLOCK = 2_000_000
"""Most resampled values held at once."""


class Interval(Struct, frozen=True):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


def wilson(successes: int, n: int) -> Interval:
    """Wilson's 95 % interval for a share; of nothing at all, everything between 0 and 1 is possible.

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
