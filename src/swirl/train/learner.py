"""The learner: weights, their optimiser, and one update of them.

An update is a list of weighted rows (`swirl.train.rows`), whatever made them: policy gradient or imitation. Equal rows are merged, the rest
goes through the network in micro-batches under a token budget, the gradient is clipped, and AdamW steps once. The learning rate is a
function of the number of the update, so nothing but weights and AdamW's moments has to be kept to go on later.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

import torch

from swirl.engine.forward import num_tokens, token_logprobs
from swirl.engine.model import LanguageModel, reference
from swirl.engine.recompute import require_layers
from swirl.engine.tree import Pair
from swirl.errors import TrainingError
from swirl.train import TrainConfig
from swirl.train.batch_loss import NOTHING
from swirl.train.engines import engine, whole
from swirl.train.ranks import share, together
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
        self.engine = engine(lm, config)
        self.reader = self.engine.batch_loss.reader
        self.weights = self.engine.masters.weights
        self.initial: dict[Pair, tuple[float, ...]] = {}
        """What the initial policy says of each token of an action, of those that this process asked it about last."""
        matrices = [weight for weight in self.weights.values() if weight.ndim >= 2]
        vectors = [weight for weight in self.weights.values() if weight.ndim < 2]
        self.optimiser = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
            lr=config.learning_rate,
        )

    def learn(self, rows: Sequence[Row], update: int) -> Learnt:
        """One update, counted from 0, on rows of which each process takes its share. Raises `TrainingError`, and leaves the weights as they
        were, where it would spoil them."""
        self.engine.set_aside()
        total, kl, tokens_read = self.accumulate(merge(rows))
        norm = whole(torch.nn.utils.clip_grad_norm_(self.weights.values(), self.config.clip_norm)).item()
        finite = math.isfinite(total) and math.isfinite(norm)
        rate = learning_rate(self.config, update)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        if finite:
            self.optimiser.step()
        self.engine.publish()
        if not finite:
            raise TrainingError(
                f"update {update + 1}: expected a finite loss and gradient, found loss {total} and gradient norm {norm}; "
                "no checkpoint holds this update: lower train.learning_rate, and train in a new folder"
            )
        return Learnt(total, kl, norm, rate, tokens_read, num_tokens([(row.context, row.action) for row in rows]))

    def accumulate(self, rows: Sequence[Row]) -> tuple[float, float | None, int]:
        """Fill the gradients with those of the rows' loss; its value, the mean KL, and how many tokens were read for it."""
        kl_weight = sum(row.kl_weight for row in rows)
        parts = together(lambda: self._work_off(share(rows), with_kl=any(row.kl_weight for row in rows)))
        total, kl = sum((part.total for part in parts), 0.0), sum((part.kl for part in parts), 0.0)
        return total, kl / kl_weight if kl_weight else None, sum(part.num_read for part in parts)

    def _work_off(self, rows: Sequence[Row], with_kl: bool) -> list[Part]:
        """Micro-batch by micro-batch; as many on every process, of which those without work read a row that counts nothing."""
        pairs = [(row.context, row.action) for row in rows]
        batches = list(self.reader.batches(pairs, self.config.tokens_per_batch))
        count = max(together(lambda: [len(batches)]))
        parts = []
        if with_kl:
            self.initial = {}
        with self.engine.masters.collecting():
            for i in range(count):
                own = [rows[place] for place in batches[i]] if i < len(batches) else [NOTHING]
                with self.engine.adding_up(last=i + 1 == count):
                    found = self.engine.module(own, with_kl)
                    found.loss.backward()
                if i < len(batches):
                    parts.append(Part(found.loss.item(), found.kl.item(), found.num_read))
                    if with_kl:
                        self.initial.update(_by_pair(own, found.initial_N.tolist()))
        return parts

    def reference_log_probability(self, pairs: Sequence[Pair]) -> dict[Pair, float]:
        """Log-probability of each distinct (context, action) pair under the initial policy."""
        with torch.no_grad(), reference(self.lm) as network:
            self.initial = self._said(network, pairs)
        return {pair: math.fsum(logprobs) for pair, logprobs in self.initial.items()}

    def log_probabilities(self, pairs: Sequence[Pair]) -> dict[Pair, tuple[float, ...]]:
        """Log-probability of each token of each distinct (context, action) pair under the policy as it is now."""
        return self._said(self.lm.network, pairs)

    @torch.no_grad()
    def _said(self, network: Any, pairs: Sequence[Pair]) -> dict[Pair, tuple[float, ...]]:
        distinct = list(dict.fromkeys(pairs))
        found: dict[Pair, tuple[float, ...]] = {}
        for batch in self.reader.batches(distinct, self.config.tokens_per_batch):
            said = self.reader.predict(network, [distinct[i] for i in batch])
            by_row = token_logprobs(said, self.config.temperature)
            found.update((distinct[i], tuple(logprobs)) for i, logprobs in zip(batch, by_row, strict=True))
        return found

    def drift(self, pairs: Sequence[Pair], sampled: Sequence[Sequence[float]]) -> float | None:
        """How far the log-probabilities of sampled tokens are from those of the training pass, on average; None in single precision, in
        which only rounding could differ."""
        if self.lm.network.dtype == torch.float32:
            return None
        with torch.no_grad():
            found = token_logprobs(self.reader.predict(self.lm.network, pairs), self.config.temperature)
        differences = [
            abs(one - other)
            for ones, others in zip(found, sampled, strict=True)
            for one, other in zip(ones, others, strict=True)
        ]
        return math.fsum(differences) / len(differences)


def _by_pair(rows: Sequence[Row], values_N: Sequence[float]) -> Iterator[tuple[Pair, tuple[float, ...]]]:
    """Each row's own of the values of all tokens."""
    left = iter(values_N)
    return (((row.context, row.action), tuple(islice(left, len(row.action)))) for row in rows)
