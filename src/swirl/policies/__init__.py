"""Who writes the actions: a `Policy` continues prompts. `scripted` is the test double, `local` a causal language model on this machine."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from swirl.protocol import CLOSING_TAGS, Prompt


class Finish(StrEnum):
    """Why a completion ended."""

    STOP = "stop"
    """At a closing tag or an end-of-turn token."""
    LENGTH = "length"
    """At `max_tokens`, before it was done."""
    CONTEXT = "context"
    """The prompt leaves no room for an action; nothing was sampled."""


class Sampling(Struct, frozen=True, kw_only=True):
    """How to sample. Top-k and top-p are left out on purpose: training needs the log-probs of the distribution sampled from."""

    temperature: float = 1.0
    """0 is greedy."""
    max_tokens: int = 256
    """Most tokens of one action."""
    max_context: int = 4096
    """Most tokens of prompt and action together."""
    stop: tuple[str, ...] = CLOSING_TAGS
    """A completion ends with the token that completes one of these."""


class Completion(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One continuation of a prompt."""

    text: str
    """Decoding of the sampled ids, special tokens and thinking left out."""
    finish: Finish = Finish.STOP
    thinking: str = ""
    token_ids: tuple[int, ...] = ()
    thinking_tokens: int = 0
    logprobs: tuple[float, ...] = ()


class Policy(Protocol):
    """Anything that continues prompts."""

    name: str

    def complete(
        self, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[Sequence[int]]
    ) -> list[list[Completion]]:
        """One completion for every seed of every prompt: `result[i][j]` continues `prompts[i]` with `seeds[i][j]`.

        Equal calls give equal results; a seed's completion depends on its prompt and seed, up to floating-point rounding, not on its
        neighbours. Raises `PolicyFailure` where no answer can be had.
        """
        ...
