"""The learner: weights, their optimiser, and one update of them.

An update is a list of weighted rows (`swirl.train.rows`), whatever made them: policy gradient or imitation. Equal rows are merged, the rest
goes through the network in micro-batches under a token budget, the gradient is clipped, and AdamW steps once. The learning rate is a
function of the number of the update, so nothing but weights and AdamW's moments has to be kept to go on later.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from swirl.engine.forward import ActionLogits, action_logits
from swirl.engine.model import LanguageModel, reference
from swirl.errors import TrainingError
from swirl.train import TrainConfig
from swirl.train.loss import Loss, log_policy, log_probability, loss
from swirl.train.rows import Ids, Row, merge, micro_batches


class Learnt(NamedTuple):
    """What an update was."""

    loss: float
    kl: float | None
    """Mean full KL of an action to the initial policy, in nats; None where it is not in the loss."""
    grad_norm: float
    learning_rate: float
    num_rows: int
    """Distinct pairs that went through the network."""


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
        lm.config.require_trainable()
        self.lm = lm
        self.config = config
        self.weights: dict[str, torch.nn.Parameter] = {
            name: weight for name, weight in lm.network.named_parameters() if weight.requires_grad
        }
        matrices = [weight for weight in self.weights.values() if weight.ndim >= 2]
        vectors = [weight for weight in self.weights.values() if weight.ndim < 2]
        self.optimiser = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
            lr=config.learning_rate,
        )

    def learn(self, rows: Sequence[Row], update: int) -> Learnt:
        """One update, counted from 0. Raises `TrainingError`, and leaves the weights as they were, where it would spoil them."""
        distinct = merge(rows)
        total, kl = self.accumulate(distinct)
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
        return Learnt(total, kl, norm, rate, len(distinct))

    def accumulate(self, rows: Sequence[Row]) -> tuple[float, float | None]:
        """Fill the gradients with those of the rows' loss; its value, and the mean KL."""
        for weight in self.weights.values():
            weight.grad = torch.zeros_like(weight)
        total, kl, kl_weight = 0.0, 0.0, sum(row.kl_weight for row in rows)
        for batch in micro_batches(rows, self.config.tokens_per_batch):
            part = self._loss(batch)
            torch.autograd.backward(part.total)
            total += part.total.item()
            kl += sum(row.kl_weight * kl_of_row for row, kl_of_row in zip(batch, part.kl_B.tolist(), strict=True))
        return total, kl / kl_weight if kl_weight else None

    def _loss(self, batch: Sequence[Row]) -> Loss:
        reference_BTV = None
        if any(row.kl_weight for row in batch):  # before the policy's turn: what that keeps for its gradient is large
            with torch.no_grad(), reference(self.lm) as network:
                reference_BTV = log_policy(self._scored(network, batch).logits_BTV, self.config.temperature)
        scored = self._scored(self.lm.network, batch)
        logprobs_BTV = log_policy(scored.logits_BTV, self.config.temperature)
        weights_B = logprobs_BTV.new_tensor([row.weight for row in batch])
        kl_weights_B = logprobs_BTV.new_tensor([row.kl_weight for row in batch])
        return loss(logprobs_BTV, reference_BTV, scored.tokens_BT, scored.mask_BT, weights_B, kl_weights_B)

    def _scored(self, network: Any, batch: Sequence[Row]) -> ActionLogits:
        return action_logits(network, [row.context for row in batch], [row.action for row in batch], self.lm.device)

    def reference_log_probability(self, pairs: Sequence[tuple[Ids, Ids]]) -> dict[tuple[Ids, Ids], float]:
        """Log-probability of each distinct (context, action) pair under the initial policy."""
        found: dict[tuple[Ids, Ids], float] = {}
        rows = [Row(context, action) for context, action in dict.fromkeys(pairs)]
        for batch in micro_batches(rows, self.config.tokens_per_batch):
            with torch.no_grad(), reference(self.lm) as network:
                scored = self._scored(network, batch)
            logprobs_BTV = log_policy(scored.logits_BTV, self.config.temperature)
            values = log_probability(logprobs_BTV, scored.tokens_BT, scored.mask_BT).tolist()
            found.update({(row.context, row.action): value for row, value in zip(batch, values, strict=True)})
        return found
