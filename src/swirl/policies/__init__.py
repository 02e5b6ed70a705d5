"""Who writes the actions: a `Policy` continues prompts. `scripted` is the test double, `local` a causal language model on this machine."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from swirl.engine import Finish as Finish
from swirl.engine import PolicyConfig as PolicyConfig
from swirl.engine import Sampling as Sampling
from swirl.protocol import Prompt


class Completion(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One continuation of a prompt."""

    text: str
    """Decoding of the sampled ids, without the thinking and the end-of-turn token that closed them."""
    finish: Finish = Finish.STOP
    thinking: str = ""
    token_ids: tuple[int, ...] = ()
    thinking_tokens: int = 0
    logprobs: tuple[float, ...] = ()


@runtime_checkable
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


@runtime_checkable
class Remembering(Policy, Protocol):
    """A policy that can keep what it has read from one step of a trajectory to the next."""

    def remembering(self) -> Policy:
        """The same policy with a memory of its own: what it reads for one call it need not read again for the next. Meant for one
        rollout, so that what is remembered, and with it rounding, depends on nothing else. Equal calls may differ by rounding."""
        ...
