"""Rewards -> advantages: how much better an action did than the others it is compared with.

B states, G actions a state. A reward that is NaN is missing: its verdict could not be read. It is left out of the rewards *and* of every
baseline, and its advantage is masked out; it is never a zero.

Differs from the paper, which does not say which baseline it uses. The baselines of `rloo` and `reinforce` leave the own action out, which
keeps the policy gradient unbiased, and nothing is divided by a standard deviation, which would not; `grpo` does both otherwise.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_LITTLE = 1e-4
"""Added to a standard deviation before something is divided by it."""


class Advantages(NamedTuple):
    """What the policy gradient weighs each action with."""

    values_BG: Float[Tensor, "B G"]
    """0 where masked out."""
    mask_BG: Bool[Tensor, "B G"]
    """The actions that count."""


def leave_one_out(rewards_BG: Float[Tensor, "B G"]) -> Advantages:
    """Each reward less the mean of the *other* rewards at the same state (RLOO). They sum to zero at every state.

    A state with fewer than two verdicts has nothing to compare, and contributes nothing.

    >>> leave_one_out(torch.tensor([[1.0, 0.0, 0.0], [1.0, torch.nan, 0.0]])).values_BG.tolist()
    [[1.0, -0.5, -0.5], [1.0, 0.0, -1.0]]
    """
    return _less_mean_of_others(rewards_BG)


def reinforce(rewards_BG: Float[Tensor, "B G"], *, subtract_mean: bool) -> Advantages:
    """The reward itself, or the reward less the mean of the *other* rewards of the whole update.

    >>> reinforce(torch.tensor([[1.0, 0.0], [torch.nan, 0.0]]), subtract_mean=False).values_BG.tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    >>> reinforce(torch.tensor([[1.0, 0.0], [torch.nan, 0.0]]), subtract_mean=True).values_BG.tolist()
    [[1.0, -0.5], [0.0, -0.5]]
    """
    if subtract_mean:
        values_1N, mask_1N = _less_mean_of_others(rewards_BG.reshape(1, -1))
        return Advantages(values_1N.reshape(rewards_BG.shape), mask_1N.reshape(rewards_BG.shape))
    return Advantages(rewards_BG.nan_to_num(nan=0.0), ~rewards_BG.isnan())


def group_normalised(rewards_BG: Float[Tensor, "B G"]) -> Advantages:
    """Each reward less the mean at its state, over the standard deviation there (GRPO). Where all are equal there is nothing to learn.

    A state with fewer than two verdicts has nothing to compare, and contributes nothing.

    >>> group_normalised(torch.tensor([[1.0, 0.0], [1.0, 1.0], [torch.nan, 1.0]])).values_BG.round(decimals=3).tolist()
    [[1.0, -1.0], [0.0, 0.0], [0.0, 0.0]]
    """
    counts_B1 = (~rewards_BG.isnan()).sum(dim=1, keepdim=True)
    mask_BG = ~rewards_BG.isnan() & (counts_B1 >= 2)
    less_mean_BG = rewards_BG - rewards_BG.nanmean(dim=1, keepdim=True)
    spread_B1 = less_mean_BG.square().nanmean(dim=1, keepdim=True).sqrt()
    return Advantages(torch.where(mask_BG, less_mean_BG / (spread_B1 + _LITTLE), 0.0), mask_BG)


def weigh(advantages: Advantages) -> Float[Tensor, "B G"]:
    """What each action's log-probability counts in the update: the mean over the actions of a state that count, then over the states that
    have some. This is the one global denominator.

    >>> weigh(Advantages(torch.tensor([[1.0, -1.0], [0.0, 0.0]]), torch.tensor([[True, True], [False, False]]))).tolist()
    [[0.5, -0.5], [0.0, 0.0]]
    """
    counts_B1 = advantages.mask_BG.sum(dim=1, keepdim=True)
    return advantages.values_BG / (counts_B1 * (counts_B1 > 0).sum()).clamp(min=1)


def prefer(rewards_BG: Float[Tensor, "B G"], gains_BG: Float[Tensor, "B G"], beta: float) -> Float[Tensor, "B G"]:
    """What each action's log-probability counts under DPO: the best action of a state (the first of them) against the worst, the mean over
    the states where these differ. `gains_BG`: how many nats likelier each action is than under the initial policy.

    The loss of a pair is `-log sigmoid(beta * (gain of the best - gain of the worst))`. Its gradient at the policy that the actions were
    sampled from is that of the log-probabilities with these weights.

    >>> prefer(torch.tensor([[0.0, 1.0, 0.0], [1.0, 1.0, torch.nan]]), torch.zeros(2, 3), beta=0.1).tolist()
    [[-0.05000000074505806, 0.05000000074505806, 0.0], [0.0, 0.0, 0.0]]
    """
    best_B = rewards_BG.nan_to_num(nan=-math.inf).argmax(dim=1)
    worst_B = rewards_BG.nan_to_num(nan=math.inf).argmin(dim=1)
    states_B = torch.arange(len(rewards_BG))
    differ_B = rewards_BG[states_B, best_B] > rewards_BG[states_B, worst_B]
    margins_B = beta * (gains_BG[states_B, best_B] - gains_BG[states_B, worst_B])
    pulls_B = torch.where(differ_B, beta * torch.sigmoid(-margins_B) / differ_B.sum().clamp(min=1), 0.0)
    weights_BG = torch.zeros_like(rewards_BG)
    weights_BG[states_B, best_B] += pulls_B
    weights_BG[states_B, worst_B] -= pulls_B
    return weights_BG


def _less_mean_of_others(rewards_BG: Float[Tensor, "B G"]) -> Advantages:
    counts_B1 = (~rewards_BG.isnan()).sum(dim=1, keepdim=True)
    mask_BG = ~rewards_BG.isnan() & (counts_B1 >= 2)
    others_BG = (rewards_BG.nansum(dim=1, keepdim=True) - rewards_BG) / (counts_B1 - 1)
    return Advantages(torch.where(mask_BG, rewards_BG - others_BG, 0.0), mask_BG)
