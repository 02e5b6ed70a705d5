"""The loss: policy gradient and KL, as pure functions of what the network said.

B rows (a context and an action each), T tokens of the action, V vocabulary. Only positions that predict an action's tokens get here: the
context is given, and padding is masked. `log_policy` is the distribution that was sampled from, temperature included.

With `J = sum_B weight * log-probability - kl_weight * KL`, the loss is -J. Its gradient is the policy gradient: actions are drawn afresh
from the policy at every update, so there is no ratio and no clipping. The full KL is reverse (policy first), over the whole vocabulary at
each token, with the prefix held fixed; its gradient has no term for how the policy chose the prefix.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Loss(NamedTuple):
    """The loss of some rows, and what it was made of."""

    total: Float[Tensor, ""]
    kl_B: Float[Tensor, " B"]
    """Full KL of each action, without gradient; 0 where there is no reference."""


def log_policy(logits_BTV: Float[Tensor, "B T V"], temperature: float) -> Float[Tensor, "B T V"]:
    """Log-probabilities of the next token at a temperature, at least in single precision.

    >>> log_policy(torch.tensor([[[0.0, torch.tensor(9.0).log()]]]), 2.0).exp().round(decimals=4).tolist()
    [[[0.25, 0.75]]]
    """
    precise_BTV = logits_BTV if logits_BTV.dtype == torch.float64 else logits_BTV.float()
    return (precise_BTV / temperature).log_softmax(dim=-1)


def log_probability(
    logprobs_BTV: Float[Tensor, "B T V"], tokens_BT: Int[Tensor, "B T"], mask_BT: Bool[Tensor, "B T"]
) -> Float[Tensor, " B"]:
    """Log-probability of each action: the sum over its tokens.

    >>> logprobs_BTV = torch.tensor([[[0.25, 0.75], [0.5, 0.5]]]).log()
    >>> round(log_probability(logprobs_BTV, torch.tensor([[1, 0]]), torch.tensor([[True, True]])).exp().item(), 4)
    0.375
    """
    chosen_BT = logprobs_BTV.gather(-1, tokens_BT.unsqueeze(-1)).squeeze(-1)
    return torch.where(mask_BT, chosen_BT, 0.0).sum(dim=1)


def full_kl(
    logprobs_BTV: Float[Tensor, "B T V"], reference_BTV: Float[Tensor, "B T V"], mask_BT: Bool[Tensor, "B T"]
) -> Float[Tensor, " B"]:
    """Reverse KL of each action: at each of its tokens, the exact KL between the two next-token distributions, summed.

    >>> policy, reference = torch.tensor([[[0.5, 0.5]]]).log(), torch.tensor([[[0.25, 0.75]]]).log()
    >>> round(full_kl(policy, reference, torch.tensor([[True]])).item(), 4)
    0.1438
    """
    kl_BT = (logprobs_BTV.exp() * (logprobs_BTV - reference_BTV)).sum(dim=-1)
    return torch.where(mask_BT, kl_BT, 0.0).sum(dim=1)


def loss(
    logprobs_BTV: Float[Tensor, "B T V"],
    reference_BTV: Float[Tensor, "B T V"] | None,
    tokens_BT: Int[Tensor, "B T"],
    mask_BT: Bool[Tensor, "B T"],
    weights_B: Float[Tensor, " B"],
    kl_weights_B: Float[Tensor, " B"],
) -> Loss:
    """The loss of some rows; the losses of all micro-batches of an update add up to the update's.

    >>> logprobs_BTV = torch.tensor([[[0.25, 0.75]]]).log()
    >>> one = torch.ones(1)
    >>> round(loss(logprobs_BTV, None, torch.tensor([[1]]), torch.tensor([[True]]), one, one).total.item(), 4)
    0.2877
    """
    gain = weights_B @ log_probability(logprobs_BTV, tokens_BT, mask_BT)
    if reference_BTV is None:
        return Loss(-gain, torch.zeros_like(weights_B))
    kl_B = full_kl(logprobs_BTV, reference_BTV, mask_BT)
    return Loss(kl_weights_B @ kl_B - gain, kl_B.detach())
