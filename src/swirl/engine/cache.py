"""What a network keeps of the tokens it has read, and which rows of tokens these are.

Keys and values are kept at full length, sliding windows included: who may see what is the business of whoever attends.
"""

from bisect import bisect, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from swirl.engine.tree import Ids, Nodes, shared


@dataclass(frozen=True)
class Keys:
    """Keys and values of some tokens, layer by layer, each of shape [key heads, tokens, width]."""

    layers: tuple[tuple[Tensor, Tensor], ...]

    @property
    def count(self) -> int:
        """How many tokens."""
        return self.layers[0][0].shape[1] if self.layers else 0

    def take(self, places: Nodes) -> "Keys":
        """Those of some of the tokens, repeats allowed."""
        if not self.layers:
            return self
        index = torch.from_numpy(places).to(self.layers[0][0].device)
        return Keys(tuple((keys.index_select(1, index), values.index_select(1, index)) for keys, values in self.layers))

    @classmethod
    def joined(cls, parts: Sequence["Keys"]) -> "Keys":
        """Those of all, one after another."""
        full = [part for part in parts if part.count]
        if len(full) <= 1:
            return full[0] if full else cls(())
        return cls(tuple(_joined(layers) for layers in zip(*(part.layers for part in full), strict=True)))


def _joined(layers: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    keys, values = zip(*layers, strict=True)
    return torch.cat(keys, dim=1), torch.cat(values, dim=1)


@dataclass(frozen=True)
class Remembered:
    """Rows that were read, each with the places of its tokens in `keys`."""

    rows: tuple[tuple[Ids, Nodes], ...]
    keys: Keys


class Memory:
    """Rows of the last sampling, as many as there was room for, to be gone on from.

    It belongs to one network with the weights it has: whoever changes these begins a new one.
    """

    def __init__(self) -> None:
        self._rows: list[Ids] = []
        self._places: dict[Ids, Nodes] = {}
        self.keys = Keys(())

    def replace(self, parts: Sequence[Remembered]) -> None:
        """Forget what there is, and remember this."""
        self._rows, self._places, self.keys, offset = [], {}, Keys(()), 0
        for part in parts:
            for row, places in part.rows:
                if row not in self._places:
                    insort(self._rows, row)
                self._places[row] = places + offset
            offset += part.keys.count
        self.keys = Keys.joined([part.keys for part in parts])

    def known(self, context: Ids) -> Nodes:
        """Places in `keys` of the first tokens of a context, as many as are remembered; never of its last, after which something is to be
        predicted."""
        at = bisect(self._rows, context)
        best = np.empty(0, dtype=np.int64)
        for row in self._rows[max(0, at - 1) : at + 1]:
            length = min(shared(np.array(row), np.array(context)), len(context) - 1)
            if length > len(best):
                best = self._places[row][:length]
        return best
