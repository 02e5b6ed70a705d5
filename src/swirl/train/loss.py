"""The loss: policy gradient and KL, as pure functions of what the network said.

P places where something is predicted, V vocabulary, N action tokens, each predicted at one of the places. Nothing else gets here: a
context is given, and is not trained on. `log_policy` is the distribution that was sampled from, temperature included.

With `J = sum_N weight * log-probability - sum_P kl_weight * KL`, the loss is -J. Its gradient is the policy gradient: where actions are
drawn afresh from the policy at every update, there is no ratio and no clipping. `clipped_ratio` takes the log-probability's place where a
batch is used more than once (GRPO). The full KL is reverse (policy first), over the whole vocabulary at each place, with the prefix held
fixed; its gradient has no term for how the policy chose the prefix.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Loss(NamedTuple):
    """The loss of some tokens, and what it was made of."""

    total: Float[Tensor, ""]
    kl: Float[Tensor, ""]
    """Full KL, summed with its weights, without gradient; 0 where there is no reference."""


def log_policy(logits_PV: Float[Tensor, "P V"], temperature: float) -> Float[Tensor, "P V"]:
    """Log-probabilities of the next token at a temperature, at least in single precision.

    >>> log_policy(torch.tensor([[0.0, torch.tensor(9.0).log()]]), 2.0).exp().round(decimals=4).tolist()
    [[0.25, 0.75]]
    """
    precise_PV = logits_PV if logits_PV.dtype == torch.float64 else logits_PV.float()
    return (precise_PV / temperature).log_softmax(dim=-1)


def log_probability(
    logprobs_PV: Float[Tensor, "P V"], places_N: Int[Tensor, " N"], tokens_N: Int[Tensor, " N"]
) -> Float[Tensor, " N"]:
    """Log-probability of each action token, where it is predicted.

    >>> logprobs_PV = torch.tensor([[0.25, 0.75], [0.5, 0.5]]).log()
    >>> log_probability(logprobs_PV, torch.tensor([0, 0, 1]), torch.tensor([1, 0, 0])).exp().tolist()
    [0.75, 0.25, 0.5]
    """
    return logprobs_PV[places_N, tokens_N]


def clipped_ratio(
    logprobs_N: Float[Tensor, " N"], sampled_N: Float[Tensor, " N"], weights_N: Float[Tensor, " N"], clip: float
) -> Float[Tensor, " N"]:
    """How much likelier each token is than when it was sampled, as far as that counts: not beyond `1 + clip` where it is to become
    likelier, not below `1 - clip` where it is to become less likely (PPO, GRPO).

    >>> now, then = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.25]).log()
    >>> [round(ratio, 4) for ratio in clipped_ratio(now, then, torch.tensor([1.0, -1.0]), clip=0.2).tolist()]
    [1.2, 2.0]
    """
    ratio_N = (logprobs_N - sampled_N).exp()
    return torch.where(weights_N > 0, ratio_N.clamp(max=1 + clip), ratio_N.clamp(min=1 - clip))


def full_kl(logprobs_PV: Float[Tensor, "P V"], reference_PV: Float[Tensor, "P V"]) -> Float[Tensor, " P"]:
    """Reverse KL at each place: the exact one between the two next-token distributions.

    >>> policy, reference = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
    >>> round(full_kl(policy, reference).item(), 4)
    0.1438
    """
    return (logprobs_PV.exp() * (logprobs_PV - reference_PV)).sum(dim=-1)


def loss(
    logprobs_PV: Float[Tensor, "P V"],
    reference_PV: Float[Tensor, "P V"] | None,
    places_N: Int[Tensor, " N"],
    tokens_N: Int[Tensor, " N"],
    weights_N: Float[Tensor, " N"],
    kl_weights_P: Float[Tensor, " P"],
    sampled_N: Float[Tensor, " N"] | None = None,
    clip: float = 0.0,
) -> Loss:
    """The loss of some tokens; the losses of all parts of an update add up to the update's. With `sampled_N`, how likely the tokens were
    when they were sampled, clipped ratios take the place of log-probabilities.

    >>> logprobs_PV = torch.tensor([[0.25, 0.75]]).log()
    >>> token, one = torch.tensor([1]), torch.ones(1)
    >>> round(loss(logprobs_PV, None, torch.tensor([0]), token, one, one).total.item(), 4)
    0.2877
    """
    gains_N = log_probability(logprobs_PV, places_N, tokens_N)
    if sampled_N is not None:
        gains_N = clipped_ratio(gains_N, sampled_N, weights_N, clip)
    gain = weights_N @ gains_N
    if reference_PV is None:
        return Loss(-gain, torch.zeros_like(gain))
    kl = kl_weights_P @ full_kl(logprobs_PV, reference_PV)
    return Loss(kl - gain, kl.detach())
