"""Reading contexts and then tokens, with one cache row for several sequences of the same context.

A row holds the keys of its context once, and after them, step by step, the keys of the tokens its sequences chose:

    row 0    c c c c . | a b | a b | a -        sequences a and b; b ended, so its seat is empty
    row 1    c c c c c | d e | d e | d e

Each key has an owner: everyone (the context), nobody (padding, empty seats), or one sequence. A sequence sees the context and its own
tokens. The sequences of a row are its *seats*, queries of one forward pass, so the keys of a context are stored and read once for all.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache

from swirl.engine.cache import joined

EVERYONE, NOBODY = -1, -2
"""Owners of keys that are not one sequence's."""

_CHUNK = {"cpu": 4096}
"""Tokens, padding included, that are prefilled at once; small enough here for the processor's caches."""
_CHUNK_ELSEWHERE = 16384


class Decoder:
    """A network that has read some contexts and goes on token by token."""

    def __init__(self, network: Any, contexts: Sequence[Sequence[int]], device: torch.device) -> None:
        """Read the contexts, each once; `logits_CV` predict the token after each of them."""
        self._network = network
        self._device = device
        self._lengths = np.array([len(context) for context in contexts])
        read = [
            _prefill(network, chunk, device) for chunk in _chunks(contexts, _CHUNK.get(device.type, _CHUNK_ELSEWHERE))
        ]
        self.logits_CV = torch.cat([logits for logits, _ in read])
        self._prefilled = [cache for _, cache in read]
        self._window = _window(network.config)

    def seat(self, rows: Sequence[int]) -> None:
        """Open a row for each of these contexts, in this order; a context may come more than once."""
        self._cache = joined(self._prefilled, torch.tensor(rows, device=self._device))
        self._prefilled = []
        self._starts = torch.from_numpy(self._lengths[rows])[:, None].to(self._device)
        places_1L = torch.arange(int(self._lengths.max()), device=self._device)[None]
        self._owners_RL = torch.where(places_1L < self._starts, EVERYONE, NOBODY)
        self._positions_RL = places_1L.expand(len(rows), -1)
        self._taken = 0

    def step(
        self, tokens_RS: Int[np.ndarray, "rows seats"], sequences_RS: Int[np.ndarray, "rows seats"]
    ) -> Float[Tensor, "rows seats vocabulary"]:
        """Read the next token of each sequence that has a seat (NOBODY: the seat is empty), and predict the one after."""
        owners_RS = torch.from_numpy(sequences_RS).to(self._device)
        positions_RS = (self._starts + self._taken).expand(*owners_RS.shape)
        self._taken += 1
        self._owners_RL = torch.cat([self._owners_RL, owners_RS], dim=1)
        self._positions_RL = torch.cat([self._positions_RL, positions_RS], dim=1)
        output = self._network(
            input_ids=torch.from_numpy(tokens_RS).to(self._device),
            attention_mask=self._masks(owners_RS, positions_RS),
            position_ids=positions_RS,
            past_key_values=self._cache,
            use_cache=True,
        )
        logits_RSV: Tensor = output.logits
        return logits_RSV

    def keep(self, rows: Int[np.ndarray, " kept"]) -> None:
        """Leave the other rows."""
        index = torch.from_numpy(rows).to(self._device)
        self._cache.batch_select_indices(index)
        self._starts, self._owners_RL, self._positions_RL = (
            part.index_select(0, index) for part in (self._starts, self._owners_RL, self._positions_RL)
        )

    def _masks(self, owners_RS: Tensor, positions_RS: Tensor) -> Any:
        """The mask of each kind of attention the network has, in the form it takes."""
        owners_R1L = self._owners_RL[:, None]
        sees_RSL = (owners_R1L == EVERYONE) | (owners_R1L == owners_RS[:, :, None])
        if self._window is None:
            return self._formed(sees_RSL)
        size, everywhere = self._window
        near_RSL = positions_RS[:, :, None] - self._positions_RL[:, None] < size
        if everywhere:
            return self._formed(sees_RSL & near_RSL)
        return {"full_attention": self._formed(sees_RSL), "sliding_attention": self._formed(sees_RSL & near_RSL)}

    def _formed(self, sees_RSL: Bool[Tensor, "rows seats keys"]) -> Tensor:
        if self._network.config._attn_implementation != "eager":
            return sees_RSL[:, None]
        dtype = self._network.dtype
        hidden = torch.zeros(sees_RSL.shape, dtype=dtype, device=sees_RSL.device)
        return hidden.masked_fill_(~sees_RSL, torch.finfo(dtype).min)[:, None]


def _chunks(contexts: Sequence[Sequence[int]], limit: int) -> Iterator[list[Sequence[int]]]:
    chunk: list[Sequence[int]] = []
    for context in contexts:
        longest = max(len(other) for other in [*chunk, context])
        if chunk and longest * (len(chunk) + 1) > limit:
            yield chunk
            chunk = []
        chunk.append(context)
    yield chunk


def _prefill(network: Any, contexts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Any]:
    """Logits after each context, and the cache. Padding stands on the right, where causal attention never sees it."""
    longest = max(len(context) for context in contexts)
    padded = torch.tensor([[*context, *[0] * (longest - len(context))] for context in contexts], device=device)
    last_C1 = torch.tensor([[len(context) - 1] for context in contexts], device=device)
    cache = DynamicCache()
    output = network(input_ids=padded, past_key_values=cache, use_cache=True, logits_to_keep=last_C1)
    return output.logits[:, 0], cache


def _window(config: Any) -> tuple[int, bool] | None:
    """Size of the sliding window, and whether every layer has one; None where none has."""
    kinds = [layer.is_sliding for layer in DynamicCache(config=config).layers]
    if not any(kinds):
        return None
    return int(config.sliding_window), all(kinds)
