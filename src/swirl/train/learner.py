"""The learner: weights, their optimiser, and one update of them.

An update is a list of weighted rows (`swirl.train.rows`), whatever made them: policy gradient or imitation. Equal rows are merged, the rest
goes through the network in micro-batches under a token budget, the gradient is clipped, and AdamW steps once. The learning rate is a
function of the number of the update, so nothing but weights and AdamW's moments has to be kept to go on later.
"""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from swirl.engine.forward import Predictions, Reader, num_tokens, token_logprobs
from swirl.engine.model import LanguageModel, reference
from swirl.engine.recompute import recomputing, require_layers
from swirl.engine.tree import Pair
from swirl.errors import TrainingError
from swirl.train import TrainConfig
from swirl.train.loss import log_policy, loss
from swirl.train.masters import Masters
from swirl.train.rows import Row, merge


class Learnt(NamedTuple):
    """What an update was."""

    loss: float
    kl: float | None
    """Mean full KL of an action to the initial policy, in nats; None where it is not in the loss."""
    grad_norm: float
    learning_rate: float
    tokens_read: int
    """Tokens that the policy had to read."""
    naive_tokens: int
    """Tokens there would have been, had every sampled action been read with a context of its own."""


class Part(NamedTuple):
    """What a micro-batch came to."""

    total: float
    kl: float
    """With its weights."""
    num_read: int


def learning_rate(config: TrainConfig, update: int) -> float:
    """The learning rate of an update, counted from 0: a linear warm-up, then the decay, which would be zero one update after the last.

    >>> config = TrainConfig(updates=6, learning_rate=1.0, warmup_updates=2, decay="linear")
    >>> [learning_rate(config, update) for update in range(6)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    if update < config.warmup_updates:
        return config.learning_rate * (update + 1) / config.warmup_updates
    done = (update - config.warmup_updates) / (config.updates - config.warmup_updates)
    match config.decay:
        case "none":
            return config.learning_rate
        case "linear":
            return config.learning_rate * (1 - done)
        case "cosine":
            return config.learning_rate * (1 + math.cos(math.pi * done)) / 2


class Learner:
    """Trains a model in place."""

    def __init__(self, lm: LanguageModel, config: TrainConfig) -> None:
        replace(lm.config, model=str(lm.folder)).require_trainable()
        if lm.config.recompute:
            require_layers(lm.network)
        self.lm = lm
        self.config = config
        self.reader = Reader(lm.network, lm.device)
        self.masters = Masters({name: weight for name, weight in lm.network.named_parameters() if weight.requires_grad})
        self.weights = self.masters.weights
        matrices = [weight for weight in self.weights.values() if weight.ndim >= 2]
        vectors = [weight for weight in self.weights.values() if weight.ndim < 2]
        self.optimiser = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
            lr=config.learning_rate,
        )

    def learn(self, rows: Sequence[Row], update: int) -> Learnt:
        """One update, counted from 0. Raises `TrainingError`, and leaves the weights as they were, where it would spoil them."""
        total, kl, tokens_read = self.accumulate(merge(rows))
        norm = torch.nn.utils.clip_grad_norm_(self.weights.values(), self.config.clip_norm).item()
        if not (math.isfinite(total) and math.isfinite(norm)):
            raise TrainingError(
                f"update {update + 1}: expected a finite loss and gradient, found loss {total} and gradient norm {norm}; "
                "the update was not applied: lower train.learning_rate, and train in a new folder"
            )
        rate = learning_rate(self.config, update)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.masters.publish()
        return Learnt(total, kl, norm, rate, tokens_read, num_tokens([(row.context, row.action) for row in rows]))

    def accumulate(self, rows: Sequence[Row]) -> tuple[float, float | None, int]:
        """Fill the gradients with those of the rows' loss; its value, the mean KL, and how many tokens were read for it."""
        self.masters.clear()
        pairs = [(row.context, row.action) for row in rows]
        with self.masters.collecting():
            parts = [
                self.backward([rows[i] for i in batch])
                for batch in self.reader.batches(pairs, self.config.tokens_per_batch)
            ]
        kl_weight = sum(row.kl_weight for row in rows)
        total, kl = sum((part.total for part in parts), 0.0), sum((part.kl for part in parts), 0.0)
        return total, kl / kl_weight if kl_weight else None, sum(part.num_read for part in parts)

    def backward(self, batch: Sequence[Row]) -> Part:
        """Add the gradient of some rows' loss. Logits are made and left part by part."""
        pairs = [(row.context, row.action) for row in batch]
        before = None
        if any(row.kl_weight for row in batch):  # before the policy's turn: what that keeps for its gradient is large
            with torch.no_grad(), reference(self.lm) as network:
                before = self.reader.predict(network, pairs)
        with recomputing(self.lm.network) if self.lm.config.recompute else nullcontext():
            said = self.reader.predict(self.lm.network, pairs)
        weights_N = self._spread([row.weight for row in batch], said)
        kl_weights_P = weights_N.new_zeros(len(said.features_PX)).index_add_(
            0, said.places_N, self._spread([row.kl_weight for row in batch], said)
        )
        sampled_N = (
            weights_N.new_tensor([value for row in batch for value in row.logprobs]) if batch[0].logprobs else None
        )
        total, kl, slopes = 0.0, 0.0, []
        for places, tokens in said.parts():
            features_PX = said.features_PX[places].detach().requires_grad_()
            logprobs_PV = log_policy(said.head(features_PX), self.config.temperature)
            part = loss(
                logprobs_PV,
                None if before is None else self._reference(before, places),
                said.places_N[tokens] - places.start,
                said.tokens_N[tokens],
                weights_N[tokens],
                kl_weights_P[places],
                None if sampled_N is None else sampled_N[tokens],
                self.config.clip_ratio,
            )
            torch.autograd.backward(part.total)
            assert features_PX.grad is not None
            slopes.append(features_PX.grad)
            total, kl = total + part.total.item(), kl + part.kl.item()
        torch.autograd.backward(said.features_PX, torch.cat(slopes))
        return Part(total, kl, said.num_read)

    def _spread(self, values_B: Sequence[float], said: Predictions) -> Float[Tensor, " tokens"]:
        """Each row's value at each token of its action."""
        precise = torch.float64 if said.features_PX.dtype == torch.float64 else torch.float32
        return torch.tensor(values_B, dtype=precise, device=self.lm.device)[said.rows_N]

    def _reference(self, before: Predictions, places: slice) -> Float[Tensor, "places vocabulary"]:
        with torch.no_grad():
            return log_policy(before.head(before.features_PX[places]), self.config.temperature)

    def reference_log_probability(self, pairs: Sequence[Pair]) -> dict[Pair, float]:
        """Log-probability of each distinct (context, action) pair under the initial policy."""
        distinct = list(dict.fromkeys(pairs))
        found: dict[Pair, float] = {}
        for batch in self.reader.batches(distinct, self.config.tokens_per_batch):
            with torch.no_grad(), reference(self.lm) as network:
                said = self.reader.predict(network, [distinct[i] for i in batch])
                by_row = token_logprobs(said, self.config.temperature)
            found.update((distinct[i], math.fsum(logprobs)) for i, logprobs in zip(batch, by_row, strict=True))
        return found
