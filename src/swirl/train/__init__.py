"""Step-wise RL on stored states: how to train, and what each update is recorded as.

Torch-free, so that recipes can be read without the extra `train`; the work is in `swirl.train.loop` (policy gradient) and
`swirl.train.sft`.
The paper does not state its KL weight, learning rate, batch, baseline or number of updates: all of them are settings here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal, get_args, get_type_hints

from msgspec import Struct

from swirl.errors import ConfigError
from swirl.policies import Sampling

_COMPARING = ("rloo", "grpo", "dpo")
"""Objectives that learn from differences between the actions of one state."""
_COUNTS = (
    "updates",
    "states",
    "actions",
    "epochs",
    "max_tokens",
    "max_context",
    "tokens_per_batch",
    "checkpoint_every",
)
"""Settings that are at least 1."""
CIRCUMSTANCES = ("tracker", "record_every", "probes")
"""Settings that change what is shown or put on record, and no result."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train on stored states."""

    objective: Literal["rloo", "reinforce", "grpo", "dpo", "sft"] = "rloo"
    """rloo (baseline: the other actions at the same state), reinforce (the paper's), grpo (normalised at each state, clipped ratio), dpo
    (the best action of a state against the worst) or sft (imitate the recorded actions)."""
    updates: int = 100
    """Optimiser steps."""
    states: int = 32
    """States an update; for sft: recorded actions an update."""
    actions: int = 8
    """Fresh actions a state. Sft has none."""
    learning_rate: float = 1e-5
    """Peak learning rate of AdamW."""
    warmup_updates: int = 5
    """Updates over which the learning rate rises linearly to its peak."""
    decay: Literal["none", "linear", "cosine"] = "linear"
    """How the learning rate falls to zero after the warm-up."""
    weight_decay: float = 0.0
    """Decoupled weight decay of AdamW, on matrices only."""
    clip_norm: float = 1.0
    """Largest Euclidean norm of an update's gradient; longer ones are scaled down."""
    kl_weight: float = 0.02
    """Weight of the reverse KL to the initial policy, in reward per nat; 0 leaves it out (and is not measured). Sft and dpo have none."""
    kl: Literal["full", "k1"] = "full"
    """full (over the whole vocabulary at each token, in the loss, the prefix held fixed) or k1 (summed over the action, in the reward)."""
    reference: Literal["initial", "previous"] = "initial"
    """What KL and dpo are measured against in later rounds: initial (the policy before the first) or previous (the last round's)."""
    baseline: Literal["none", "batch"] = "batch"
    """For reinforce: none, or batch (the mean reward of the other actions of the update)."""
    epochs: int = 1
    """Optimiser steps on each batch of sampled actions; more than one only for grpo, whose ratio accounts for it."""
    clip_ratio: float = 0.2
    """For grpo: how far from 1 the ratio of a token's probabilities, now and when it was sampled, still counts."""
    dpo_beta: float = 0.1
    """For dpo: how strongly a pair is told apart, an inverse of how far the policy may move from the initial one."""
    temperature: float = 1.0
    """Sampling temperature; the policy that is trained is the one at this temperature."""
    max_tokens: int = 256
    """Most tokens of one action; one that is cut there is malformed unless it is complete."""
    max_context: int = 4096
    """Most tokens of a prompt and its action together."""
    tokens_per_batch: int = 8192
    """Most tokens that go through the network at once: distinct ones, or all, padding included, where it has to read row by row. It bounds
    memory; up to rounding it changes no result."""
    checkpoint_every: int = 25
    """Updates between checkpoints; the last update is always followed by one."""
    max_missing: float = 0.5
    """Training stops at an update in which a larger share of the verdicts is missing."""
    tracker: Literal["none", "tensorboard", "trackio", "wandb"] = "none"
    """Where each update's metrics are shown while it trains, the warm start's too; an extra of the same name. It changes no result."""
    record_every: int = 1
    """Put the sampled actions of the first update and of every so-many-th after it on record, in `train/samples.jsonl`; 0: of none. It
    changes no result."""
    probes: int = 16
    """States of the first update on whose actions the policy of each checkpoint is asked again, in `train/probes.jsonl`; 0: none, as
    where no actions are put on record. It changes no result."""

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            if get_args(kind) and getattr(self, name) not in get_args(kind):
                choices = ", ".join(get_args(kind))
                raise ConfigError(f"train.{name} must be one of {choices}, found {getattr(self, name)!r}")
        for name in _COUNTS:
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("warmup_updates", "weight_decay", "kl_weight", "record_every", "probes"):
            self._require(name, getattr(self, name) >= 0, "at least 0")
        for name in ("learning_rate", "clip_norm", "clip_ratio", "dpo_beta", "temperature"):
            self._require(name, getattr(self, name) > 0, "above 0")
        self._require("max_missing", 0 <= self.max_missing <= 1, "a share between 0 and 1")
        self._require(
            "actions",
            self.objective not in _COMPARING or self.actions >= 2,
            f'at least 2 for "{self.objective}", which compares actions at one state',
        )
        self._require("epochs", self.objective == "grpo" or self.epochs == 1, f'1 for "{self.objective}"')
        _ = self.sampling

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise ConfigError(f"train.{name} must be {what}, found {getattr(self, name)!r}")

    @property
    def sampling(self) -> Sampling:
        """How actions are sampled."""
        return Sampling(temperature=self.temperature, max_tokens=self.max_tokens, max_context=self.max_context)


class ByAction(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A count for each kind of action."""

    tool_call: int = 0
    answer: int = 0
    malformed: int = 0

    @property
    def total(self) -> int:
        """All kinds together."""
        return self.tool_call + self.answer + self.malformed


class Metrics(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="swirl.update/1", tag_field="schema"):
    """What one update learnt from. Timings are kept elsewhere, so that equal runs have equal metrics.

    What a run has no use for is None: supervised training has no reward, and without a KL term the KL is not measured.
    """

    update: int
    """From 1."""
    num_samples: int
    """Actions sampled, or imitated."""
    loss: float
    grad_norm: float
    """Euclidean norm of the gradient before clipping."""
    learning_rate: float
    mean_tokens: float
    """Mean length of an action."""
    reward: float | None = None
    """Mean verdict of the actions that have one; the KL penalty is not in it."""
    good: float | None = None
    """Share of them that were judged good."""
    kl: float | None = None
    """Mean KL to the initial policy, in nats an action."""
    entropy: float | None = None
    """Mean negative log-probability of the sampled tokens, in nats a token."""
    malformed: float | None = None
    """Share of the actions that are neither one tool call nor one answer."""
    truncated: float | None = None
    """Share of the actions that were cut at `max_tokens`."""
    signal: float | None = None
    """Share of the states where some action has an advantage other than zero."""
    tokens_read: int = 0
    """Tokens that the policy had to read: what rows share is read once, where its architecture allows that."""
    naive_tokens: int = 0
    """Tokens there would have been, had every action been read with a context of its own."""
    unshared: float | None = None
    """Share of the states that their trajectory's next state of this update does not begin with, because the chat template rewrote history:
    thinking was dropped, say. They are read on their own. None where no state has a next one."""
    drift: float | None = None
    """How far apart a token's log-probabilities are, in nats, as it was sampled and in the training pass of the same weights: on average,
    over the update's first state. Measured below single precision alone; there it is rounding (1e-4 at most in the tests)."""
    no_room: int = 0
    """States whose context left no room for an action; they teach nothing."""
    sampled: ByAction = ByAction()
    """Actions by kind."""
    missing: ByAction = ByAction()
    """Actions without a verdict, by kind; if one kind misses more often than another, the gradient is biased."""

    FILE: ClassVar[str] = "metrics.jsonl"


class UpdateTiming(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="swirl.update_timing/1", tag_field="schema"
):
    """How long one update took, in seconds: circumstance, not content."""

    update: int
    sample_seconds: float
    judge_seconds: float
    learn_seconds: float

    @classmethod
    def between(cls, clock: Sequence[float], *, update: int) -> "UpdateTiming":
        """From four readings of a clock: at the start, and after sampling, judging and learning.

        >>> UpdateTiming.between([0.0, 1.0, 3.0, 7.0], update=0).learn_seconds
        4.0
        """
        seconds = [after - before for before, after in pairwise(clock)]
        return cls(
            update=update + 1,
            sample_seconds=seconds[0],
            judge_seconds=seconds[1],
            learn_seconds=seconds[2],
        )


OnUpdate = Callable[[Metrics, UpdateTiming], Any]
"""Called after each update, once its metrics are on the disk."""
