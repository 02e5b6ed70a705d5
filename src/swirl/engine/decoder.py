"""Reading contexts, and then, token by token, what is sampled after them.

Contexts are read as packed trees (`swirl.engine.tree`): what those of a pack share, and what a `Memory` has of them, is not read again.
Each pack makes a batch of sequences in lockstep (`swirl.engine.lockstep`). Linear layers get the tokens of all sequences still going, of
all batches, and nothing else: no padding, no empty seats.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from swirl.engine.attention import How, logits, run
from swirl.engine.cache import Memory, Remembered
from swirl.engine.lockstep import Batch
from swirl.engine.sights import read_on
from swirl.engine.tree import Ids, Nodes, grow, packs

_CHUNK = {"cpu": 4096}
"""New tokens that are read at once; few enough here for the processor's caches."""
_CHUNK_ELSEWHERE = 16384


class Decoder:
    """A network that goes on from contexts token by token. Sequences are numbered in the order in which they entered, and close up as
    others leave."""

    def __init__(self, network: Any, device: torch.device, memory: Memory | None, max_remembered: int) -> None:
        """What is read is left in `memory`, as far as `max_remembered` tokens go, once `close` is called."""
        self._network = network
        self._device = device
        self._memory = memory
        self._room = 0 if memory is None else max_remembered
        self._batches: list[Batch] = []
        self._remembered: list[Remembered] = []

    @property
    def held(self) -> int:
        """Tokens of contexts whose keys are held for sequences still going."""
        return sum(batch.held for batch in self._batches)

    def enter(self, contexts: Sequence[Ids], counts: Sequence[int]) -> Float[Tensor, "entering vocabulary"]:
        """Read distinct contexts, in the order of a dictionary, for so many sequences each; predict the first tokens of these."""
        memory = self._memory or Memory()
        known = [memory.known(context) for context in contexts]
        size = _CHUNK.get(self._device.type, _CHUNK_ELSEWHERE)
        said = []
        pairs = [(context, (0,)) for context in contexts]
        for pack in packs(pairs, size, [len(places) for places in known]):
            tree = grow([pairs[i] for i in pack], [len(known[i]) for i in pack])
            before = np.empty(tree.num_known, dtype=np.int64)
            for i, path in zip(pack, tree.paths, strict=True):
                before[path[: len(known[i])]] = known[i]
            hidden_NX, keys = read_on(self._network, tree, memory.keys.take(before), self._device)
            ends = np.array([path[-1] for path in tree.paths]) - tree.num_known
            assert ends.min() >= 0, "what is predicted after is read"
            logits_CV = logits(self._network, hidden_NX[torch.from_numpy(ends).to(self._device)])
            owners = np.repeat(np.arange(len(pack)), [counts[i] for i in pack])
            self._batches.append(Batch([contexts[i] for i in pack], tree.paths, keys, owners))
            said.append(logits_CV[torch.from_numpy(owners).to(self._device)])
        return torch.cat(said)

    def step(self, tokens_A: Nodes) -> Float[Tensor, "going vocabulary"]:
        """Read the next token of each sequence, and predict the one after."""
        cuts = np.cumsum([batch.count for batch in self._batches])[:-1]
        positions = [batch.open(tokens) for batch, tokens in zip(self._batches, np.split(tokens_A, cuts), strict=True)]
        hidden_AX = run(self._network, tokens_A, np.concatenate(positions), _Together(self._batches), self._device)
        return logits(self._network, hidden_AX)

    def leave(self, ended_A: Bool[np.ndarray, " going"]) -> None:
        """Let sequences go; what they read is remembered while there is room."""
        cuts = np.cumsum([batch.count for batch in self._batches])[:-1]
        for batch, ended in zip(self._batches, np.split(ended_A, cuts), strict=True):
            if ended.any():
                self._room -= batch.leave(ended, self._room)
        self._remembered += [batch.remembered() for batch in self._batches if not batch.count]
        self._batches = [batch for batch in self._batches if batch.count]

    def close(self) -> None:
        """Remember what was read, in place of what was remembered before."""
        if self._memory is not None:
            self._memory.replace(self._remembered)


@dataclass(frozen=True)
class _Together:
    """Attention of the sequences of several batches."""

    batches: Sequence[Batch]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, how: How) -> Tensor:
        sizes = [batch.count for batch in self.batches]
        parts = zip(*(torch.split(whole, sizes, dim=1) for whole in (query, key, value)), strict=True)
        seen = [batch.attend(layer, q, k, v, how) for batch, (q, k, v) in zip(self.batches, parts, strict=True)]
        return torch.cat(seen, dim=1)
