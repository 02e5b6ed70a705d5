"""Attention of our own in a network of transformers: `run` hands every layer an object that says what the tokens see.

There are two such objects: a packed tree (`swirl.engine.sights`), and sequences that go on from contexts (`swirl.engine.lockstep`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import AttentionInterface

from swirl.engine.tree import Nodes

_NAME = "swirl"

FAMILIES = ("llama", "qwen2", "qwen3", "gemma2", "gemma3_text")
"""Model types that are tested against the plain pass."""

_STRETCHING = ("dynamic", "longrope")
"""Position encodings that depend on the longest row of a batch, so that no two ways of batching agree."""


def obstacle(network: Any) -> str | None:
    """Why a network cannot read a packed tree; None where it can."""
    config = getattr(network, "config", None)
    kind = getattr(config, "model_type", type(network).__name__)
    if kind not in FAMILIES:
        return f"{kind} is not one of the families tested for it ({', '.join(FAMILIES)})"
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = {str(part.get("rope_type")) for part in [rope, *rope.values()] if isinstance(part, dict)}
    if kinds.intersection(_STRETCHING):
        return f"its position encoding ({', '.join(sorted(kinds))}) depends on the length of the batch"
    if getattr(config, "use_bidirectional_attention", False):
        return "its attention is not causal"
    return None


def causal(network: Any) -> Any:
    """The causal language model itself, out of its adapters where it has some; these stay in place."""
    return network.get_base_model() if hasattr(network, "peft_config") else network


def run(network: Any, ids_N: Nodes, positions_N: Nodes, sees: "Sees", device: torch.device) -> Float[Tensor, "N width"]:
    """The last hidden state of some tokens, which see what `sees` lets them."""
    model = causal(network)
    with attending(model.config, _NAME):
        output = model.model(
            input_ids=torch.from_numpy(ids_N)[None].to(device),
            position_ids=torch.from_numpy(positions_N)[None].to(device),
            use_cache=False,
            sees=sees,
        )
    hidden_1NX: Tensor = output.last_hidden_state
    return hidden_1NX[0]


def logits(network: Any, hidden_NX: Float[Tensor, "nodes width"]) -> Float[Tensor, "nodes vocabulary"]:
    """What the network says after tokens with these hidden states."""
    model = causal(network)
    logits_NV: Tensor = model.lm_head(hidden_NX)
    cap = getattr(model.config, "final_logit_softcapping", None)
    return logits_NV if cap is None else torch.tanh(logits_NV / cap) * cap


@contextmanager
def attending(config: Any, name: str) -> Iterator[None]:
    """Attention by the implementation of that name."""
    before = config._attn_implementation
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before


class How(NamedTuple):
    """What a layer asks for, besides queries, keys and values."""

    scaling: float
    window: int | None
    softcap: float | None


@runtime_checkable
class Sees(Protocol):
    """What tokens see."""

    def attend(
        self,
        layer: int,
        query: Float[Tensor, "heads tokens width"],
        key: Float[Tensor, "key_heads tokens width"],
        value: Float[Tensor, "key_heads tokens width"],
        how: How,
    ) -> Float[Tensor, "heads tokens width"]:
        """Attention of one layer."""
        ...


def _attend(
    module: torch.nn.Module,
    query: Float[Tensor, "1 heads tokens width"],
    key: Float[Tensor, "1 key_heads tokens width"],
    value: Float[Tensor, "1 key_heads tokens width"],
    attention_mask: None,
    *,
    sees: Sees,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Float[Tensor, "1 tokens heads width"], None]:
    """What transformers calls in every layer."""
    how = How(query.shape[-1] ** -0.5 if scaling is None else scaling, sliding_window, softcap)
    layer: Any = module.layer_idx
    return sees.attend(layer, query[0], key[0], value[0], how).transpose(0, 1)[None], None


AttentionInterface.register(_NAME, _attend)
