"""Advantages: literal examples, and unbiasedness by enumerating every outcome of a small bandit."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from swirl.train.advantages import Advantages, leave_one_out, reinforce

NAN = float("nan")


def rows(*rewards: list[float]) -> Tensor:
    return torch.tensor(rewards, dtype=torch.float64)


def with_mean(rewards_BG: Tensor) -> Advantages:
    return reinforce(rewards_BG, subtract_mean=True)


def without_mean(rewards_BG: Tensor) -> Advantages:
    return reinforce(rewards_BG, subtract_mean=False)


def test_the_baseline_is_the_mean_of_the_others_at_the_same_state() -> None:
    found = leave_one_out(rows([1, 1, 0, 0, 0], [1, 1, 1, 1, 0]))
    assert found.values_BG.tolist() == [[0.75, 0.75, -0.5, -0.5, -0.5], [0.25, 0.25, 0.25, 0.25, -1.0]]
    assert found.mask_BG.all()


def test_a_missing_verdict_is_left_out_of_reward_and_baseline() -> None:
    found = leave_one_out(rows([1, NAN, 0, 0]))
    assert found.values_BG.tolist() == [[1.0, 0.0, -0.5, -0.5]]
    assert found.mask_BG.tolist() == [[True, False, True, True]]


@pytest.mark.parametrize("lonely", [[1, NAN], [NAN, 0], [NAN, NAN]])
def test_a_state_with_fewer_than_two_verdicts_contributes_nothing(lonely: list[float]) -> None:
    found = leave_one_out(rows(lonely, [1, 0]))
    assert found.values_BG.tolist() == [[0, 0], [1, -1]]
    assert found.mask_BG.tolist() == [[False, False], [True, True]]


def test_without_a_baseline_the_advantage_is_the_reward() -> None:
    found = without_mean(rows([1, NAN], [0, 1]))
    assert found.values_BG.tolist() == [[1, 0], [0, 1]]
    assert found.mask_BG.tolist() == [[True, False], [True, True]]


def test_the_batch_baseline_is_the_mean_of_the_others_of_the_update() -> None:
    found = with_mean(rows([1, 1], [0, NAN]))
    assert found.values_BG.tolist() == [[0.5, 0.5], [-1, 0]]
    assert found.mask_BG.tolist() == [[True, True], [True, False]]
    assert not with_mean(rows([1, NAN], [NAN, NAN])).mask_BG.any()


rewards = st.lists(
    st.lists(st.sampled_from([0.0, 0.25, 1.0, NAN]), min_size=4, max_size=4), min_size=1, max_size=5
).map(lambda lists: torch.tensor(lists, dtype=torch.float64))


@given(rewards)
def test_leave_one_out_sums_to_zero_at_every_state(rewards_BG: Tensor) -> None:
    found = leave_one_out(rewards_BG)
    assert found.values_BG.sum(dim=1).abs().max() < 1e-12
    assert not found.values_BG[~found.mask_BG].any()


@given(rewards, st.floats(-3, 3))
def test_a_constant_reward_changes_nothing_under_a_baseline(rewards_BG: Tensor, shift: float) -> None:
    for advantages in (leave_one_out, with_mean):
        assert torch.allclose(advantages(rewards_BG + shift).values_BG, advantages(rewards_BG).values_BG, atol=1e-9)


@pytest.mark.parametrize("advantages", [leave_one_out, with_mean, without_mean])
@pytest.mark.parametrize("num_actions", [2, 3])
def test_the_policy_gradient_is_unbiased(advantages: Callable[[Tensor], Advantages], num_actions: int) -> None:
    """Two states, softmax over three arms each: the estimate, weighted over every possible outcome, is the exact gradient."""
    logits = torch.tensor([[0.3, -0.8, 0.1], [1.2, 0.0, -0.5]], dtype=torch.float64, requires_grad=True)
    reward = rows([1.0, 0.0, 0.25], [0.0, 1.0, 1.0])
    (exact,) = torch.autograd.grad((logits.softmax(-1) * reward).sum(dim=1).mean(), logits)
    estimate = torch.zeros_like(logits)
    for outcome in product(range(3), repeat=2 * num_actions):
        arms = torch.tensor(outcome).reshape(2, num_actions)
        log_probability = logits.log_softmax(-1).gather(1, arms)
        values_BG, mask_BG = advantages(reward.gather(1, arms))
        assert mask_BG.all()
        (gradient,) = torch.autograd.grad((values_BG * log_probability).mean(), logits)
        estimate += log_probability.sum().exp().detach() * gradient
    assert torch.allclose(estimate, exact, atol=1e-12)


def test_the_own_reward_in_the_baseline_would_be_biased() -> None:
    """The enumeration above can tell: with the plain mean as baseline the expected gradient shrinks by (G - 1) / G."""

    def less_plain_mean(rewards_BG: Tensor) -> Advantages:
        return Advantages(rewards_BG - rewards_BG.mean(dim=1, keepdim=True), ~rewards_BG.isnan())

    with pytest.raises(AssertionError):
        test_the_policy_gradient_is_unbiased(less_plain_mean, 2)
