"""Which sequence sits where: rows of one context each, with a seat for every sequence still going.

Sequences are numbered through, context by context. All rows have equally many seats, so a context with many sequences may take several
rows: as many seats a row as leave few of them empty.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from swirl.engine.decoder import NOBODY

_MOST_SEATS = 8
"""A seat sees the keys of its row's other seats as masked ones; beyond this that costs more than reading a context again."""
_WASTE = 1.1
"""Seats there may be for each sequence."""
_EMPTY_ROWS = 0.75
"""Rows are cleared away once at most this share of them is still going; clearing copies the rest."""

Index = Int[np.ndarray, " count"]


class Seating:
    """Seats for `counts[c]` sequences of each context `c`."""

    def __init__(self, counts: Sequence[int]) -> None:
        size = _seats_per_row(counts)
        self.contexts_N = np.repeat(np.arange(len(counts)), counts)
        """Context of each sequence."""
        self.context_of_row = [context for context, count in enumerate(counts) for _ in range(0, count, size)]
        self.alive_A = np.arange(len(self.contexts_N))
        """Sequences still going, in order."""
        rows = [np.arange(count) // size for count in counts]
        taken = np.cumsum([0, *(-(-count // size) for count in counts)])
        self._row_A = np.concatenate([row + first for row, first in zip(rows, taken[:-1], strict=True)])
        self._num_rows = len(self.context_of_row)

    def leave(self, ended_A: np.ndarray) -> Index | None:
        """Let sequences go. Gives the rows to keep where it is time to clear the empty ones away."""
        self.alive_A, self._row_A = self.alive_A[~ended_A], self._row_A[~ended_A]
        rows, renumbered = np.unique(self._row_A, return_inverse=True)
        if len(rows) > _EMPTY_ROWS * self._num_rows:
            return None
        self._row_A, self._num_rows = renumbered, len(rows)
        return rows

    def at(self) -> tuple[Index, Index]:
        """Row and seat of each sequence still going. Seats close up as sequences leave."""
        first_R = np.searchsorted(self._row_A, np.arange(self._num_rows))
        return self._row_A, np.arange(len(self._row_A)) - first_R[self._row_A]

    def seats(self, tokens_A: Index) -> tuple[Int[np.ndarray, "rows seats"], Int[np.ndarray, "rows seats"]]:
        """The next tokens, and whose they are, by row and seat; NOBODY's in empty seats."""
        row_A, seat_A = self.at()
        sequences_RS = np.full((self._num_rows, int(seat_A.max()) + 1), NOBODY)
        tokens_RS = np.zeros_like(sequences_RS)
        sequences_RS[row_A, seat_A] = self.alive_A
        tokens_RS[row_A, seat_A] = tokens_A
        return tokens_RS, sequences_RS


def _seats_per_row(counts: Sequence[int]) -> int:
    """The most seats a row that leave few of them empty.

    >>> _seats_per_row([8, 8, 16]), _seats_per_row([5] * 10), _seats_per_row([1, 1, 5, 1]), _seats_per_row([100])
    (8, 5, 1, 8)
    """
    sizes = range(1, _MOST_SEATS + 1)
    return max(size for size in sizes if sum(-(-count // size) * size for count in counts) <= _WASTE * sum(counts))
