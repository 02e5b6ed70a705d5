"""Intervals: known figures, the ends, and coverage."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl.statistics import crossed_bootstrap, mcnemar, paired_bootstrap, pass_at_k, resampled_ratios, wilson


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


def test_a_mean_is_a_ratio_whose_questions_are_drawn_as_the_paired_bootstrap_draws_them() -> None:
    rng = np.random.default_rng(3)
    before, after = (rng.random(70) < share for share in (0.4, 0.6))
    ones = np.ones((70, 1))
    resampled_DF = resampled_ratios(after[:, None], ones, seed=5) - resampled_ratios(before[:, None], ones, seed=5)
    low, high = np.quantile(resampled_DF, [0.025, 0.975])
    interval = paired_bootstrap(list(before.astype(float)), list(after.astype(float)), seed=5)
    assert (low, high) == pytest.approx((interval.low, interval.high))


def test_a_draw_without_anything_to_count_is_no_number_and_one_with_some_is() -> None:
    ratios_DF = resampled_ratios([[1.0], [0.0]], [[2.0], [0.0]], seed=0, draws=200)
    assert set(ratios_DF[np.isfinite(ratios_DF)]) == {0.5}
    assert 20 < np.isnan(ratios_DF).sum() < 80, "a quarter of the draws take the second question twice"
    with pytest.raises(ValueError, match=r"found \(1, 2\) and \(2, 1\)"):
        resampled_ratios([[1.0, 1.0]], [[1.0], [1.0]], seed=0)


@pytest.mark.parametrize(
    ("b", "c", "p"),
    [(0, 0, 1.0), (1, 1, 1.0), (0, 6, 2 / 64), (1, 5, 14 / 64), (5, 1, 14 / 64), (2, 12, 212 / 2**14), (0, 2000, 0.0)],
)
def test_mcnemar_is_the_exact_binomial_test_of_gains_and_losses(b: int, c: int, p: float) -> None:
    """By hand: twice the tail of a fair coin thrown once for each question on which the two differ, e.g. (1 + 14 + 91) * 2 / 2^14."""
    before = [True] * b + [False] * c + [True, False]
    after = [False] * b + [True] * c + [True, False]
    found = mcnemar(before, after)
    assert (found.b, found.c, found.p) == (b, c, pytest.approx(p))


def test_mcnemar_needs_pairs() -> None:
    with pytest.raises(ValueError, match="found 1 and 2"):
        mcnemar([True], [True, False])


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=80))
@settings(deadline=None)
def test_mcnemar_is_symmetric_a_probability_and_blind_to_what_is_alike(pairs: list[tuple[bool, bool]]) -> None:
    before, after = [one for one, _ in pairs], [other for _, other in pairs]
    found, turned = mcnemar(before, after), mcnemar(after, before)
    assert (found.b, found.c, found.p) == (turned.c, turned.b, turned.p)
    assert 0 < found.p <= 1
    assert mcnemar([*before, True], [*after, True]) == found
    n = found.b + found.c
    tail = sum(comb(n, i) for i in range(min(found.b, found.c) + 1)) / 2**n
    assert found.p == pytest.approx(min(1.0, 2 * tail))


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
@settings(deadline=None)
def test_pass_at_k_is_the_share_of_the_ways_to_choose_k_that_hold_a_right_one(case: tuple[int, int, int]) -> None:
    n, right, k = case
    chosen = list(combinations(range(n), k))
    assert pass_at_k(n, right, k) == pytest.approx(sum(min(one) < right for one in chosen) / len(chosen))
    assert pass_at_k(n, right, 1) == pytest.approx(right / n)
    assert k == 1 or pass_at_k(n, right, k) >= pass_at_k(n, right, k - 1)


@pytest.mark.parametrize("case", [(4, 5, 1), (4, -1, 1), (4, 1, 0), (4, 1, 5)])
def test_pass_at_k_of_more_than_there_is_has_no_value(case: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="expected 1 to 4 of 4 samples"):
        pass_at_k(*case)
