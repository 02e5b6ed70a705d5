"""The decoder of networks that cannot read packed trees: a row for every sequence, with the cache and the masks of transformers."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers import DynamicCache

from swirl.engine.tree import Ids, Nodes

_CHUNK = 4096
"""Tokens, padding included, of the contexts that are read at once."""


class PlainDecoder:
    """What `swirl.engine.decoder.Decoder` does, sharing nothing but equal contexts, and remembering nothing."""

    def __init__(self, network: Any, device: torch.device) -> None:
        self._network = network
        self._device = device
        self._batches: list[_Rows] = []

    @property
    def held(self) -> int:
        """Tokens whose keys are held, padding included."""
        return sum(rows.held for rows in self._batches)

    def enter(self, contexts: Sequence[Ids], counts: Sequence[int]) -> Float[Tensor, "entering vocabulary"]:
        """Read contexts for so many sequences each, and predict the first tokens of these."""
        said = []
        for chunk in _chunks(contexts):
            rows, logits_AV = _read(self._network, contexts[chunk], counts[chunk], self._device)
            self._batches.append(rows)
            said.append(logits_AV)
        return torch.cat(said)

    def step(self, tokens_A: Nodes) -> Float[Tensor, "going vocabulary"]:
        """Read the next token of each sequence, and predict the one after."""
        parts = np.split(tokens_A, np.cumsum([len(rows.places) for rows in self._batches])[:-1])
        said = [rows.step(self._network, tokens) for rows, tokens in zip(self._batches, parts, strict=True)]
        return torch.cat(said)

    def leave(self, ended_A: Bool[np.ndarray, " going"]) -> None:
        """Let sequences go."""
        parts = np.split(ended_A, np.cumsum([len(rows.places) for rows in self._batches])[:-1])
        for rows, ended in zip(self._batches, parts, strict=True):
            rows.leave(ended)
        self._batches = [rows for rows in self._batches if len(rows.places)]

    def close(self) -> None:
        """Nothing is left to do."""


class _Rows:
    """Rows padded on the left, one for each sequence; those that ended stay until few are left."""

    def __init__(self, cache: Any, mask_RL: Tensor) -> None:
        self._cache = cache
        self._mask_RL = mask_RL
        self.places = np.arange(len(mask_RL))
        """Rows of the sequences still going."""

    @property
    def held(self) -> int:
        return self._mask_RL.numel()

    def step(self, network: Any, tokens_A: Nodes) -> Float[Tensor, "going vocabulary"]:
        tokens_R = np.zeros(len(self._mask_RL), dtype=np.int64)
        tokens_R[self.places] = tokens_A
        self._mask_RL = torch.nn.functional.pad(self._mask_RL, (0, 1), value=1)
        output = network(
            input_ids=torch.from_numpy(tokens_R)[:, None].to(self._mask_RL.device),
            attention_mask=self._mask_RL,
            position_ids=self._mask_RL.sum(dim=1, keepdim=True) - 1,
            past_key_values=self._cache,
            use_cache=True,
        )
        logits_RV: Tensor = output.logits[:, -1]
        return logits_RV[torch.from_numpy(self.places).to(logits_RV.device)]

    def leave(self, ended_A: Bool[np.ndarray, " going"]) -> None:
        self.places = self.places[~ended_A]
        if 0 < len(self.places) <= len(self._mask_RL) // 2:
            index = torch.from_numpy(self.places).to(self._mask_RL.device)
            self._cache.batch_select_indices(index)
            self._mask_RL = self._mask_RL[index]
            self.places = np.arange(len(index))


def _read(
    network: Any, contexts: Sequence[Ids], counts: Sequence[int], device: torch.device
) -> tuple[_Rows, Float[Tensor, "entering vocabulary"]]:
    longest = max(map(len, contexts))
    mask_CL = torch.tensor([[0] * (longest - len(context)) + [1] * len(context) for context in contexts], device=device)
    cache = DynamicCache(config=network.config)
    output = network(
        input_ids=torch.tensor([[0] * (longest - len(context)) + [*context] for context in contexts], device=device),
        attention_mask=mask_CL,
        position_ids=(mask_CL.cumsum(dim=1) - 1).clamp(min=0),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    owners = torch.from_numpy(np.repeat(np.arange(len(contexts)), counts)).to(device)
    cache.batch_select_indices(owners)
    return _Rows(cache, mask_CL[owners]), output.logits[owners, -1]


def _chunks(contexts: Sequence[Ids]) -> Iterator[slice]:
    """Neighbours, few enough to be padded and read at once."""
    start = longest = 0
    for i, context in enumerate(contexts):
        longest = max(longest, len(context))
        if i > start and longest * (i + 1 - start) > _CHUNK:
            yield slice(start, i)
            start, longest = i, len(context)
    yield slice(start, len(contexts))
