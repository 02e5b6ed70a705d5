"""Rewards -> advantages: how much better an action did than the others it is compared with.

B states, G actions a state. A reward that is NaN is missing: its verdict could not be read. It is left out of the rewards *and* of every
baseline, and its advantage is masked out; it is never a zero.

Differs from the paper, which does not say which baseline it uses. Both baselines here leave the own action out, which keeps the policy
gradient unbiased; neither divides by a standard deviation, which would not.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


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


def _less_mean_of_others(rewards_BG: Float[Tensor, "B G"]) -> Advantages:
    counts_B1 = (~rewards_BG.isnan()).sum(dim=1, keepdim=True)
    mask_BG = ~rewards_BG.isnan() & (counts_B1 >= 2)
    others_BG = (rewards_BG.nansum(dim=1, keepdim=True) - rewards_BG) / (counts_B1 - 1)
    return Advantages(torch.where(mask_BG, rewards_BG - others_BG, 0.0), mask_BG)
