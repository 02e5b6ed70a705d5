"""Reading contexts and then tokens, with one cache row for several sequences of the same context.

A row holds the keys of its context once, and after them, step by step, the keys of the tokens its sequences chose:

    row 0    c c c c . | a b | a b | a -        sequences a and b; b ended, so its seat is empty
    row 1    c c c c c | d e | d e | d e

Each key has an owner: everyone (the context), nobody (padding, empty seats), or one sequence. A sequence sees the context and its own
tokens. The sequences of a row are its *seats*, queries of one forward pass, so the keys of a context are stored and read once for all.

A context that another one begins with is not read at all: its keys are the first of the other's. So all states of a trajectory cost one
reading of the last.
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
        """Read the contexts; `logits_CV` predict the token after each of them."""
        self._network = network
        self._device = device
        self._lengths = np.array([len(context) for context in contexts])
        families = _families(contexts)
        size = _CHUNK.get(device.type, _CHUNK_ELSEWHERE)
        read = [_prefill(network, chunk, contexts, device) for chunk in _chunks(families, contexts, size)]
        order = [context for family in families for context in family]
        self.logits_CV = torch.cat([logits for logits, _ in read])[torch.from_numpy(np.argsort(order)).to(device)]
        self._prefilled = [cache for _, cache in read]
        self._home = {context: place for place, family in enumerate(families) for context in family}
        """Row of the prefilled caches in which each context stands."""
        self._window = _window(network.config)

    def seat(self, rows: Sequence[int]) -> None:
        """Open a row for each of these contexts, in this order; a context may come more than once."""
        self._cache = joined(self._prefilled, torch.tensor([self._home[row] for row in rows], device=self._device))
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


def _families(contexts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Which contexts, by their places, are read together: each family's last is a context that no other begins with, and the others are
    beginnings of it, the shorter before the longer. Families of short contexts come first.

    >>> _families([(1, 2), (1, 3), (1,), (1, 2, 5)])
    [[1], [2, 0, 3]]
    """
    families: list[list[int]] = []
    for i in sorted(range(len(contexts)), key=lambda i: tuple(contexts[i])):
        last = contexts[families[-1][-1]] if families else None
        if last is not None and tuple(contexts[i][: len(last)]) == tuple(last):
            families[-1].append(i)
        else:
            families.append([i])
    return sorted(families, key=lambda family: len(contexts[family[-1]]))


def _chunks(families: Sequence[list[int]], contexts: Sequence[Sequence[int]], limit: int) -> Iterator[list[list[int]]]:
    chunk: list[list[int]] = []
    for family in families:
        if chunk and len(contexts[family[-1]]) * (len(chunk) + 1) > limit:
            yield chunk
            chunk = []
        chunk.append(family)
    yield chunk


def _prefill(
    network: Any, families: Sequence[list[int]], contexts: Sequence[Sequence[int]], device: torch.device
) -> tuple[Float[Tensor, "contexts vocabulary"], Any]:
    """Logits after each context, family by family, and the cache. Padding stands on the right, where causal attention never sees it."""
    trunks = [contexts[family[-1]] for family in families]
    longest, most = max(map(len, trunks)), max(map(len, families))
    padded = torch.tensor([[*trunk, *[0] * (longest - len(trunk))] for trunk in trunks], device=device)
    ends = [[len(contexts[member]) - 1 for member in family] for family in families]
    ends_FM = torch.tensor([[*each, *each[-1:] * (most - len(each))] for each in ends], device=device)
    cache = DynamicCache()
    output = network(input_ids=padded, past_key_values=cache, use_cache=True, logits_to_keep=ends_FM)
    wanted_FM = [[member < len(family) for member in range(most)] for family in families]
    return output.logits[torch.tensor(wanted_FM, device=device)], cache


def _window(config: Any) -> tuple[int, bool] | None:
    """Size of the sliding window, and whether every layer has one; None where none has."""
    kinds = [layer.is_sliding for layer in DynamicCache(config=config).layers]
    if not any(kinds):
        return None
    return int(config.sliding_window), all(kinds)
