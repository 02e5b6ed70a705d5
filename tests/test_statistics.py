"""Intervals: known figures, the ends, and coverage."""

import numpy as np
import pytest

from swirl.statistics import crossed_bootstrap, paired_bootstrap, wilson


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


def test_seeds_that_disagree_widen_the_interval_and_one_seed_leaves_it_to_the_questions() -> None:
    rng = np.random.default_rng(0)
    noise_SQ = rng.normal(size=(3, 200))
    alike = crossed_bootstrap(noise_SQ.tolist(), seed=1)
    apart = crossed_bootstrap((noise_SQ + np.array([[-1.0], [0.0], [1.0]])).tolist(), seed=1)
    assert apart.high - apart.low > 3 * (alike.high - alike.low)
    one = crossed_bootstrap(noise_SQ[:1].tolist(), seed=1)
    same = paired_bootstrap([0.0] * 200, list(noise_SQ[0]), seed=2)
    assert (one.low, one.high) == pytest.approx((same.low, same.high), abs=0.02)
    with pytest.raises(ValueError, match="found the shape"):
        crossed_bootstrap([], seed=0)
