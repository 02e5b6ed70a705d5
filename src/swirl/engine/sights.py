"""Reading a packed tree: every token sees its own prefix, and nothing is computed twice.

The tree (`swirl.engine.tree`) is cut into blocks, and each block attends to slices of the keys; only a block's own mask is ever written
down, never one of all tokens by all tokens. On CUDA FlexAttention serves instead (`swirl.engine.flex`).

Sliding windows are over *positions*: branches that stand far apart in the packed sequence are as near as they are in their rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask
from torch.nn.functional import scaled_dot_product_attention

from swirl.engine import flex
from swirl.engine.attention import How, run
from swirl.engine.cache import Keys
from swirl.engine.tree import Block, Tree


def read(network: Any, tree: Tree, device: torch.device) -> Float[Tensor, "nodes width"]:
    """The last hidden state of every packed token."""
    count = len(tree.ids_N)
    if flex.serves(device):
        tree = flex.padded(tree, flex.bucket(count))
    return run(network, tree.ids_N, tree.positions_N, Sights(tree, device), device)[:count]


def read_on(network: Any, tree: Tree, known: Keys, device: torch.device) -> tuple[Float[Tensor, "new width"], Keys]:
    """The last hidden state of every packed token that is new, and the keys of all; `known` has those of the others."""
    sights = Continuation(tree, device, known=known)
    new = slice(tree.num_known, None)
    hidden_NX = run(network, tree.ids_N[new], tree.positions_N[new], sights, device)
    return hidden_NX, Keys(tuple(sights.gained))


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
    _found: dict[int | None, list[Sight]] = field(default_factory=dict)
    _masks: dict[int | None, BlockMask] = field(default_factory=dict)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, how: How) -> Tensor:
        """Attention of all packed tokens."""
        if flex.serves(query.device):
            mask = self._mask(how.window)
            return flex.attend(query[None], key[None], value[None], mask, how.scaling, how.softcap)[0]
        return self._by_blocks(query, key, value, how)

    def _by_blocks(self, query: Tensor, key: Tensor, value: Tensor, how: How) -> Tensor:
        """The queries are those of the tokens that are not known, the keys those of all."""
        keys, values = (torch.split(whole[None], self._sizes, dim=2) for whole in (key, value))
        sights = self._within(how.window)
        first = len(self._sizes) - len(sights)
        queries = torch.split(query[None], self._sizes[first:], dim=2)
        outputs = [
            _attend_block(
                queries[i], _gathered(keys, first + i, sight), _gathered(values, first + i, sight), sight.mask, how
            )
            for i, sight in enumerate(sights)
        ]
        return torch.cat(outputs, dim=2)[0]

    @cached_property
    def _sizes(self) -> list[int]:
        return [block.stop - block.start for block in self.tree.blocks]

    def _within(self, window: int | None) -> list[Sight]:
        """What each block that is not known sees, of the last `window` positions alone where there is one."""
        if window not in self._found:
            starts = np.array([block.start for block in self.tree.blocks])
            new = [block for block in self.tree.blocks if block.start >= self.tree.num_known]
            self._found[window] = [self._sight(block, starts, window) for block in new]
        return self._found[window]

    def _mask(self, window: int | None) -> BlockMask:
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


@dataclass
class Continuation(Sights):
    """A tree of which some tokens were read before. Without gradient, and by blocks on every device: it is read once, when contexts are."""

    known: Keys = field(default_factory=lambda: Keys(()))
    gained: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    """Keys and values of all tokens, layer by layer, once it is read."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, how: How) -> Tensor:
        """Attention of the new tokens."""
        if self.tree.num_known:
            key, value = (
                torch.cat([before, new], dim=1)
                for before, new in zip(self.known.layers[layer], (key, value), strict=True)
            )
        self.gained.append((key, value))
        return self._by_blocks(query, key, value, how)


def _gathered(blocks: Sequence[Tensor], own: int, sight: Sight) -> Tensor:
    if not sight.parts:
        return blocks[own]
    return torch.cat([*(blocks[i][:, :, part] for i, part in sight.parts), blocks[own]], dim=2)


def _attend_block(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, how: How) -> Tensor:
    if how.softcap is None:
        return scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=mask is None, scale=how.scaling, enable_gqa=True
        )
    groups = query.shape[1] // key.shape[1]
    key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    capped = torch.tanh(torch.matmul(query, key.transpose(2, 3)) * how.scaling / how.softcap) * how.softcap
    if mask is None:
        mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device).tril()
    weights = capped.masked_fill(~mask, float("-inf")).softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    return torch.matmul(weights, value)
