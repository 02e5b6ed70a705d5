"""Which sequence sits where: in rows that have one trunk each, with a seat for every sequence.

The sequences of a row have contexts that begin its trunk, so the keys of a trunk are kept and read once for all of them. All rows have
equally many seats, so a trunk with many sequences may take several rows: as many seats a row as leave few of them empty.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from swirl.engine.tree import Ids, Nodes

_MOST_SEATS = 64
_WASTE = 1.1
"""Seats there may be for each sequence."""
_PADDING, _SPREAD = 2.0, 4
"""Padded length there may be for what is not padding, and the longest of a part to its shortest where there is more."""


class Seating(NamedTuple):
    """A seat for each of some sequences."""

    trunks: list[int]
    """For each row, the context that is its trunk."""
    num_seats: int
    """Of a row."""
    places: Nodes
    """For each sequence, its row times `num_seats`, plus its seat."""


def seated(families: Sequence[Sequence[int]], contexts: Nodes) -> Seating:
    """Seat the sequences with these contexts. In a family each context is the beginning of the next.

    >>> seated([[0, 1], [2]], np.array([0, 0, 1, 1, 2, 2]))
    Seating(trunks=[0, 1, 2], num_seats=2, places=array([0, 1, 2, 3, 4, 5]))
    >>> seated([[0, 1]], np.array([1, 0, 1])).places.tolist()
    [1, 0, 2]
    """
    members = [np.concatenate([np.flatnonzero(contexts == context) for context in family]) for family in families]
    size = _seats_per_row([len(own) for own in members])
    places = np.empty(len(contexts), dtype=np.int64)
    trunks: list[int] = []
    for own in members:
        for start in range(0, len(own), size):
            row = own[start : start + size]
            places[row] = len(trunks) * size + np.arange(len(row))
            trunks.append(int(contexts[row[-1]]))
    return Seating(trunks, size, places)


def families(contexts: Sequence[Ids]) -> list[list[int]]:
    """Contexts, by index, in lines in which each is the beginning of the next.

    >>> families([(1, 2), (3,), (1, 2, 5), (1, 2, 4, 4), (1, 2, 4)])
    [[0, 4, 3], [2], [1]]
    """
    found: list[list[int]] = []
    for i in sorted(range(len(contexts)), key=lambda i: contexts[i]):
        last = contexts[found[-1][-1]] if found else None
        if last is not None and contexts[i][: len(last)] == last:
            found[-1].append(i)
        else:
            found.append([i])
    return found


def similar(lengths: Sequence[int]) -> list[list[int]]:
    """Cut by length where padding to the longest would waste more than half: then a part's longest is at most four times its shortest.

    >>> similar([5, 3, 4]), similar([100, 3, 4, 5, 90])
    ([[0, 1, 2]], [[1, 2, 3], [0, 4]])
    """
    everything = list(range(len(lengths)))
    if not lengths or max(lengths) * len(lengths) <= _PADDING * sum(lengths):
        return [everything]
    parts: list[list[int]] = []
    shortest = 0
    for i in sorted(everything, key=lambda i: lengths[i]):
        if not parts or lengths[i] > _SPREAD * shortest:
            parts.append([])
            shortest = lengths[i]
        parts[-1].append(i)
    return [sorted(part) for part in parts]


def _seats_per_row(counts: Sequence[int]) -> int:
    """The most seats a row that leave few of them empty.

    >>> _seats_per_row([8, 8, 16]), _seats_per_row([5] * 10), _seats_per_row([1, 1, 5, 1]), _seats_per_row([100])
    (8, 5, 1, 55)
    """
    sizes = np.arange(1, min(_MOST_SEATS, max(counts)) + 1)
    seats = (-(-np.array(counts)[None] // sizes[:, None]) * sizes[:, None]).sum(axis=1)
    return int(sizes[seats <= _WASTE * sum(counts)].max())
