"""Intervals: known figures, the ends, and coverage."""

import numpy as np
import pytest

from swirl.statistics import paired_bootstrap, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(8, 10, 0.490, 0.943), (0, 10, 0.0, 0.278), (10, 10, 0.722, 1.0), (50, 100, 0.404, 0.596)],
)
def test_wilson_gives_the_published_figures(successes: int, n: int, low: float, high: float) -> None:
    interval = wilson(successes, n)
    assert (round(interval.low, 3), round(interval.high, 3)) == (low, high)
    assert interval.mean == successes / n


def test_nothing_is_known_of_nothing() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)
    with pytest.raises(ValueError, match="between 0 and 3"):
        wilson(4, 3)


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        before, after = rng.random(80) < 0.4, rng.random(80) < 0.6
        interval = paired_bootstrap(list(before.astype(float)), list(after.astype(float)), seed=trial, draws=500)
        covered += interval.low <= 0.2 <= interval.high
    assert 180 <= covered <= 198


def test_equal_answers_have_no_gain_and_no_width_and_pairs_must_match() -> None:
    interval = paired_bootstrap([1.0, 0.0], [1.0, 0.0], seed=0)
    assert (interval.mean, interval.low, interval.high) == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="found 1 and 2"):
        paired_bootstrap([1.0], [1.0, 0.0], seed=0)
