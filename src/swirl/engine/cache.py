"""A key-value cache that grows in place, for rows that share a context.

The stock cache copies all of itself for every token. This one keeps spare room and copies itself once every `_ROOM` positions. It holds
everything, sliding windows included; who may see what is the mask's business (`swirl.engine.decoder`).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

_ROOM = 64


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one attention layer; `keys` and `values` are the filled part of larger buffers."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self._fill(keys, values)

    def _fill(self, keys: Tensor, values: Tensor) -> None:
        self._buffers = _roomy(keys), _roomy(values)
        self._view(keys.shape[-2])

    def _view(self, length: int) -> None:
        self.keys, self.values = (buffer[:, :, :length] for buffer in self._buffers)

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append, and give back everything so far."""
        old = self.keys.shape[-2]
        length = old + key_states.shape[-2]
        if length > self._buffers[0].shape[-2]:
            self._fill(self.keys, self.values)
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, old:length] = new
        self._view(length)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows."""
        self._fill(self.keys.index_select(0, indices), self.values.index_select(0, indices))


def _roomy(filled: Tensor) -> Tensor:
    rows, heads, length, width = filled.shape
    buffer = filled.new_empty(rows, heads, length + _ROOM, width)
    buffer[:, :, :length] = filled
    return buffer


def joined(caches: Sequence[Any], rows: Tensor) -> Any:
    """One growing cache out of prefilled ones: their rows stacked, padded on the right, and picked by `rows`, repeats allowed."""
    whole = DynamicCache()
    whole.layer_class_to_replicate = None
    for layers in zip(*(cache.layers for cache in caches), strict=True):
        keys, values = (_stacked([getattr(layer, name) for layer in layers], rows) for name in ("keys", "values"))
        whole.layers.append(GrowingLayer(keys, values))
    return whole


def _stacked(parts: Sequence[Tensor], rows: Tensor) -> Tensor:
    longest = max(part.shape[-2] for part in parts)
    padded = [torch.nn.functional.pad(part, (0, 0, 0, longest - part.shape[-2])) for part in parts]
    return torch.cat(padded).index_select(0, rows)
