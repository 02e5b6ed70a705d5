"""The loss of a micro-batch as a module: rows in, one number with its gradient out, as DDP and FSDP expect it.

Logits are large, so they are made and left part by part. What a part says of the gradient, at the network's features and at the weights
that make logits of them, is worked out with it at once, and handed on when the whole is differentiated.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from swirl.engine import forward
from swirl.engine.forward import Predictions, Reader
from swirl.engine.model import LanguageModel, reference
from swirl.engine.recompute import recomputing
from swirl.train import TrainConfig
from swirl.train.loss import Loss, log_policy, log_probability, loss
from swirl.train.rows import Row

NOTHING = Row((0,), (0,))
"""A row without weight: what a process reads where only others still have work."""


class Total(NamedTuple):
    """What a micro-batch came to."""

    loss: Float[Tensor, ""]
    """With gradient."""
    kl: Float[Tensor, ""]
    """Full KL, summed with its weights."""
    num_read: int
    initial_N: Float[Tensor, " tokens"]
    """Log-probability of each action token under the initial policy; empty where it is not asked."""


class BatchLoss(torch.nn.Module):
    """The loss of some rows under a model; the losses of all micro-batches of an update add up to the update's."""

    def __init__(self, lm: LanguageModel, config: TrainConfig) -> None:
        super().__init__()
        self.network = lm.network
        self.lm = lm
        self.config = config
        self.reader = Reader(lm.network, lm.device)

    def forward(self, rows: Sequence[Row], with_kl: bool) -> Total:
        """`with_kl`: whether the initial policy is asked. It is a collective decision, since its weights may be spread over processes."""
        pairs = [(row.context, row.action) for row in rows]
        before = None
        if with_kl:  # before the policy's turn: what that keeps for its gradient is large
            with torch.no_grad(), reference(self.lm) as network:
                before = self.reader.predict(network, pairs)
        with recomputing(self.network) if self.lm.config.recompute else nullcontext():
            said = self.reader.predict(self.network, pairs)
        weights_N = self._spread([row.weight for row in rows], said)
        kl_weights_P = weights_N.new_zeros(len(said.features_PX)).index_add_(
            0, said.places_N, self._spread([row.kl_weight for row in rows], said)
        )
        sampled_N = (
            weights_N.new_tensor([value for row in rows for value in row.logprobs]) if rows[0].logprobs else None
        )

        initial_N = weights_N.new_zeros(len(weights_N) if with_kl else 0)

        def of_part(features_PX: Tensor, part: forward.Part) -> Loss:
            """The loss of the tokens that are predicted there."""
            reference_PV = None if before is None else self._reference(before, part.places)
            at_N, tokens_N = said.places_N[part.tokens] - part.places.start, said.tokens_N[part.tokens]
            if reference_PV is not None:
                initial_N[part.tokens] = log_probability(reference_PV, at_N, tokens_N).to(initial_N)
            return loss(
                log_policy(said.head(features_PX), self.config.temperature),
                reference_PV,
                at_N,
                tokens_N,
                weights_N[part.tokens],
                kl_weights_P[part.places],
                None if sampled_N is None else sampled_N[part.tokens],
                self.config.clip_ratio,
            )

        found: tuple[Tensor, Tensor] = _ByParts.apply(of_part, list(said.parts()), said.features_PX, *said.head_weights)  # type: ignore[no-untyped-call]
        return Total(*found, said.num_read, initial_N)

    def _spread(self, values_B: Sequence[float], said: Predictions) -> Float[Tensor, " tokens"]:
        """Each row's value at each token of its action."""
        precise = torch.float64 if said.features_PX.dtype == torch.float64 else torch.float32
        return torch.tensor(values_B, dtype=precise, device=self.lm.device)[said.rows_N]

    def _reference(self, before: Predictions, places: slice) -> Float[Tensor, "places vocabulary"]:
        with torch.no_grad():
            return log_policy(before.head(before.features_PX[places]), self.config.temperature)


class _ByParts(torch.autograd.Function):
    """The sum of the losses of parts, given what makes a part's loss of its features. Nothing of a part is kept but its gradient, which is
    handed on once."""

    @staticmethod
    def forward(
        ctx: Any,
        of_part: Callable[[Tensor, forward.Part], Loss],
        parts: Sequence[forward.Part],
        features_PX: Tensor,
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        found, slopes, weight_slopes = [], [], [_precise_zeros(weight) for weight in weights]
        for part in parts:
            own_PX = features_PX[part.places].detach().requires_grad_()
            with torch.enable_grad():
                own = of_part(own_PX, part)
                slope_PX, *rest = torch.autograd.grad(own.total, [own_PX, *weights])
            found.append((own.total.detach(), own.kl))
            slopes.append(slope_PX)
            for total, slope in zip(weight_slopes, rest, strict=True):
                total += slope
        ctx.slopes = (
            torch.cat(slopes),
            *(total.to(weight) for total, weight in zip(weight_slopes, weights, strict=True)),
        )
        kl = torch.stack([kl for _, kl in found]).sum()
        ctx.mark_non_differentiable(kl)
        return torch.stack([total for total, _ in found]).sum(), kl

    @staticmethod
    def backward(ctx: Any, slope: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        slopes, ctx.slopes = ctx.slopes, ()
        return None, None, *(own.mul_(slope) for own in slopes)


def _precise_zeros(weight: Tensor) -> Tensor:
    return torch.zeros_like(weight, dtype=torch.promote_types(weight.dtype, torch.float32))
