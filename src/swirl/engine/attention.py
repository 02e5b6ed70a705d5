"""Attention over a packed tree: every token sees its own prefix, and nothing is computed twice.

`read` runs a network over a `swirl.engine.tree.Tree` through the attention interface of transformers. The tree is cut into blocks, and
each block attends to slices of the keys; only a block's own mask is ever written down, never one of all tokens by all tokens. On CUDA
FlexAttention serves instead (`swirl.engine.flex`).

Sliding windows are over *positions*: branches that stand far apart in the packed sequence are as near as they are in their rows.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from swirl.engine import flex
from swirl.engine.tree import Block, Tree

_NAME = "swirl_tree"

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


def read(network: Any, tree: Tree, device: torch.device) -> Float[Tensor, "nodes width"]:
    """The last hidden state of every packed token."""
    model, count = causal(network), len(tree.ids_N)
    if flex.serves(device):
        tree = flex.padded(tree, flex.bucket(count))
    with _attending(model.config):
        output = model.model(
            input_ids=torch.from_numpy(tree.ids_N)[None].to(device),
            position_ids=torch.from_numpy(tree.positions_N)[None].to(device),
            use_cache=False,
            tree=Sights(tree, device),
        )
    hidden_1NX: Tensor = output.last_hidden_state
    return hidden_1NX[0, :count]


def logits(network: Any, hidden_NX: Float[Tensor, "nodes width"]) -> Float[Tensor, "nodes vocabulary"]:
    """What the network says after tokens with these hidden states."""
    model = causal(network)
    logits_NV: Tensor = model.lm_head(hidden_NX)
    cap = getattr(model.config, "final_logit_softcapping", None)
    return logits_NV if cap is None else torch.tanh(logits_NV / cap) * cap


@contextmanager
def _attending(config: Any) -> Iterator[None]:
    before = config._attn_implementation
    config._attn_implementation = _NAME
    try:
        yield
    finally:
        config._attn_implementation = before


@dataclass(frozen=True)
class Sight:
    """What the queries of a block see: parts of earlier blocks, then the block itself."""

    parts: tuple[tuple[int, slice], ...]
    """Number of a block, and a slice of its own tokens."""
    mask: Bool[Tensor, "queries keys"] | None
    """None where a token sees those before it and itself, and that is all there is."""


@dataclass
class Sights:
    """A tree as its blocks see it, on a device; worked out once for each size of window, and shared by all layers."""

    tree: Tree
    device: torch.device
    _known: dict[int | None, list[Sight]] = field(default_factory=dict)
    _masks: dict[int | None, BlockMask] = field(default_factory=dict)

    @property
    def sizes(self) -> list[int]:
        """Tokens of each block."""
        return [block.stop - block.start for block in self.tree.blocks]

    def within(self, window: int | None) -> list[Sight]:
        """What each block sees, of the last `window` positions alone where there is one."""
        if window not in self._known:
            starts = np.array([block.start for block in self.tree.blocks])
            self._known[window] = [self._sight(block, starts, window) for block in self.tree.blocks]
        return self._known[window]

    def mask(self, window: int | None) -> BlockMask:
        """The same for FlexAttention."""
        if window not in self._masks:
            self._masks[window] = flex.block_mask(self.tree, window, self.device)
        return self._masks[window]

    def _sight(self, block: Block, starts: np.ndarray, window: int | None) -> Sight:
        positions = self.tree.positions_N
        own = np.arange(block.start, block.stop)
        oldest = 0 if window is None else max(0, int(positions[own].min()) - window + 1)
        seen = [np.arange(part.start, part.stop) for part in block.seen]
        near = [part for places in seen if len(part := places[positions[places] >= oldest])]
        keys = np.concatenate([*near, own])
        visible = self.tree.sees(own, keys)
        if window is not None:
            visible &= positions[own][:, None] - positions[keys] < window
        homes = [int(np.searchsorted(starts, places[0], side="right")) - 1 for places in near]
        parts = tuple(
            (home, slice(int(places[0] - starts[home]), int(places[-1] - starts[home]) + 1))
            for home, places in zip(homes, near, strict=True)
        )
        whole = not parts and np.array_equal(visible, np.tri(len(own), dtype=bool))
        return Sight(parts, None if whole else torch.from_numpy(visible).to(self.device))


def _attend(
    module: torch.nn.Module,
    query: Float[Tensor, "1 heads nodes width"],
    key: Float[Tensor, "1 key_heads nodes width"],
    value: Float[Tensor, "1 key_heads nodes width"],
    attention_mask: None,
    *,
    tree: Sights,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Float[Tensor, "1 nodes heads width"], None]:
    """What transformers calls in every layer."""
    if flex.serves(query.device):
        whole = flex.attend(query, key, value, tree.mask(sliding_window), scaling, softcap)
        return whole.transpose(1, 2), None
    queries, keys, values = (torch.split(whole, tree.sizes, dim=2) for whole in (query, key, value))
    outputs = [
        _attend_block(
            queries[i], _gathered(keys, i, sight.parts), _gathered(values, i, sight.parts), sight.mask, scaling, softcap
        )
        for i, sight in enumerate(tree.within(sliding_window))
    ]
    return torch.cat(outputs, dim=2).transpose(1, 2), None


def _gathered(blocks: Sequence[Tensor], own: int, parts: Sequence[tuple[int, slice]]) -> Tensor:
    return torch.cat([*(blocks[i][:, :, part] for i, part in parts), blocks[own]], dim=2) if parts else blocks[own]


def _attend_block(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None, softcap: float | None
) -> Tensor:
    if softcap is None:
        return scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=mask is None, scale=scaling, enable_gqa=True
        )
    groups = query.shape[1] // key.shape[1]
    key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    scores = torch.matmul(query, key.transpose(2, 3)) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    capped = torch.tanh(scores / softcap) * softcap
    mask = (
        torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device).tril() if mask is None else mask
    )
    weights = capped.masked_fill(~mask, float("-inf")).softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    return torch.matmul(weights, value)


AttentionInterface.register(_NAME, _attend)
