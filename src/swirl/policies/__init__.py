"""Who writes the actions: a `Policy` continues prompts. `scripted` is the test double, `local` a causal language model on this machine,
`http` one behind a server."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from msgspec import Struct

from swirl.engine import Finish as Finish
from swirl.engine import PolicyConfig as PolicyConfig
from swirl.engine import Sampling as Sampling
from swirl.errors import ConfigError
from swirl.protocol import Prompt
from swirl.services import ServerConfig
from swirl.types import Action


@dataclass(frozen=True, kw_only=True)
class PolicyServerConfig(ServerConfig):
    """A server that writes the trajectories in place of the model on this machine; training still needs the weights here."""

    SECTION: ClassVar[str] = "policy_server"

    api: Literal["chat", "completions"] = "chat"
    """chat (the server applies its chat template) or completions (the prompt goes out as the token ids that training will see)."""
    tools: Literal["tags", "native"] = "tags"
    """tags (calls are written into the text, as in the paper) or native (the server's own tool calls)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.api == "completions" and self.tools == "native":
            raise ConfigError('policy_server.tools = "native" needs policy_server.api = "chat"')


class Completion(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One continuation of a prompt."""

    text: str
    """Decoding of the sampled ids, without the thinking and the end-of-turn token that closed them."""
    finish: Finish = Finish.STOP
    thinking: str = ""
    token_ids: tuple[int, ...] = ()
    thinking_tokens: int = 0
    logprobs: tuple[float, ...] = ()
    alternatives: tuple[dict[str, float], ...] = ()
    """For each token of the text, the log-probabilities of the likeliest ones there, where they were asked for (`Wants`)."""
    action: Action | None = None
    """The action, where it was not written in tags but called in the server's own way; else None: it is read off the text."""
    restored: bool = False
    """Whether the closing tag was cut off by the server, which told that it had been written."""


class Wants(Struct, frozen=True, kw_only=True):
    """What a server is asked for beside the text."""

    schema: dict[str, Any] = {}
    """The JSON schema that the reply has to follow; empty: any text."""
    alternatives: int = 0
    """How many of the likeliest tokens to tell at each place, with their log-probabilities."""


TEXT = Wants()
"""The text, and nothing beside it."""


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


@runtime_checkable
class Serving(Policy, Protocol):
    """A policy behind a service: each prompt is asked on its own, many at once, on the event loop (`swirl.services.loop`)."""

    in_flight: int
    """Most requests under way at once."""

    async def ask(self, prompt: Prompt, sampling: Sampling, seed: int, wants: Wants = TEXT) -> Completion:
        """One completion. Raises `ServiceFailure` where the request fails for good."""
        ...
