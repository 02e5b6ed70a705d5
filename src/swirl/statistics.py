"""Intervals one can trust: Wilson's for a share, the paired bootstrap for a difference on the same questions."""

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
