"""The torch corner: a causal language model on this machine.

`model` loads and saves it, `chat` turns prompts into ids, `sampler` continues them, `forward` scores what was sampled. This file is what
the corner is told and what it tells, and needs neither torch nor transformers.
"""

from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from msgspec import Struct

from swirl.errors import ConfigError, MissingExtra
from swirl.protocol import CLOSING_TAGS

BUNDLED = "bundled"
"""Names the tiny model that comes with the package."""

ADAPTER = "adapter_config.json"
"""Its presence makes a model folder an adapter, to be put on the base model it names."""

_PACKAGES = ("torch", "transformers", "safetensors", "peft", "jaxtyping")


class Finish(StrEnum):
    """Why a completion ended."""

    STOP = "stop"
    """At a closing tag or an end-of-turn token."""
    LENGTH = "length"
    """At `max_tokens`, before it was done."""
    CONTEXT = "context"
    """The prompt leaves no room for an action of `max_tokens`; nothing was sampled."""


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

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ConfigError(f"temperature must be 0 (greedy) or above, found {self.temperature}")
        if not 1 <= self.max_tokens < self.max_context:
            raise ConfigError(
                f"max_tokens must be at least 1 and below max_context, or no prompt fits beside an action;"
                f" found max_tokens {self.max_tokens} and max_context {self.max_context}"
            )


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """The language model that is trained, or only asked."""

    model: str = BUNDLED
    """A folder in the Hugging Face layout, a hub id, or `bundled`: the tiny model that comes with the package."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """auto: a CUDA GPU where there is one, else Apple's, else the processor."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Number format of the weights; where bfloat16 ones are trained, single precision stands behind them, in which updates add up."""
    lora_rank: int = 0
    """Rank of the LoRA adapters that are trained in place of the weights; 0: all weights are trained."""
    lora_alpha: float = 32.0
    """Scale of the adapters, divided by the rank."""
    threads: int = 0
    """Processor threads; 0: as torch decides."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """Where torchrun starts several processes to train: ddp (each has all weights) or fsdp (each keeps a share of weights, gradients and
    AdamW's moments)."""
    recompute: bool = False
    """In training, keep only each layer's input and compute the rest again for the gradient: less memory, about a third more time, the same
    result."""

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError("policy.model is empty: give a folder, a hub id, or bundled")
        for name in ("lora_rank", "threads"):
            if getattr(self, name) < 0:
                raise ConfigError(f"policy.{name} must be 0 or above, found {getattr(self, name)}")
        if self.lora_alpha <= 0:
            raise ConfigError(f"policy.lora_alpha must be above 0, found {self.lora_alpha}")

    def require_trainable(self) -> None:
        """Raise `ConfigError` where there is nothing to train: an adapter that stays beside coarse weights is only asked."""
        if self.dtype == "bfloat16" and not self.lora_rank and (Path(self.model).expanduser() / ADAPTER).is_file():
            raise ConfigError(
                f'the model in {self.model} is an adapter, which policy.dtype = "bfloat16" leaves beside its base; train adapters on '
                'top (policy.lora_rank = 16), or all weights in "float32"'
            )


def require_extra() -> None:
    """Raise `MissingExtra` where the packages of the extra `train` are not all installed; imports none of them.

    >>> require_extra()
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingExtra(
            f"a model on this machine needs the extra `train` ({', '.join(missing)} missing): pip install 'swirl-rl[train]'"
        )
