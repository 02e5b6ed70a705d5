"""A key-value cache that grows in place.

The stock cache copies all of itself for every token. This one keeps spare room and copies itself once every `_ROOM` tokens.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

_ROOM = 32


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one attention layer; `keys` and `values` are the filled part of a larger buffer."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append, and give back everything so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            # Only the prefill is longer than a token; it is kept as it is, because `batch_select_indices` copies it anyway.
            self.keys, self.values = key_states, value_states
            self._rows_kept()
            return key_states, value_states
        length = self.keys.shape[-2] + key_states.shape[-2]
        if self._buffers is None or length > self._buffers[0].shape[-2]:
            self._buffers = self._grown(self.keys, length), self._grown(self.values, length)
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, length - new.shape[-2] : length] = new
        self.keys, self.values = (buffer[:, :, :length] for buffer in self._buffers)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows, in this order; an index may come more than once."""
        self.keys = self.keys.index_select(0, indices)
        self.values = self.values.index_select(0, indices)
        self._rows_kept()

    def _rows_kept(self) -> None:
        self._buffers: tuple[Tensor, Tensor] | None = None

    def _grown(self, filled: Tensor, length: int) -> Tensor:
        rows, heads, old, width = filled.shape
        buffer = filled.new_empty(rows, heads, length + _ROOM, width)
        buffer[:, :, :old] = filled
        return buffer


def grown_cache(config: Any) -> Any:
    """An empty cache for the network: growing layers where attention sees everything, the stock ones elsewhere (sliding windows)."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
