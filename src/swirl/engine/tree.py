"""Rows that begin alike, packed into one sequence in which every distinct token stands once.

A row is a context and an action. Step-wise RL has rows by the dozen that begin with the same trajectory:

    row 0    P P P x y z           rows 0 and 1 act in the first state, row 2 in the second
    row 1    P P P x w w
    row 2    P P P A O O v v

Here a token is one *node*: all rows that agree up to and including it share it. What it may see is itself and the nodes before it on its
row, whichever row that is, so the network computes for it what it would have computed in each of the rows alone. The last token of an
action predicts nothing and is left out.

    packed   P P P A O O | x y w w... | v

Contexts stand first, the longest of them whole, then the actions, state by state. A *block* is a stretch of the packed sequence whose
queries see much the same: what lies before it on its path, given as a few slices, and part of itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

Ids = tuple[int, ...]
Pair = tuple[Ids, Ids]
"""A context and an action; neither is empty."""
Nodes = Int[np.ndarray, " _"]

_TRUNK = 1024
"""Most context tokens of a block: it bounds the size of a mask."""
_BRANCHES = 128
"""Action tokens after which a state's next action opens a new block: tokens of one block compare with each other, to be masked."""


@dataclass(frozen=True)
class Block:
    """The packed tokens `start` to `stop`. They see nothing but themselves and the parts of earlier blocks in `seen`."""

    start: int
    stop: int
    seen: tuple[slice, ...]
    """Packed places, in the order of their positions, each slice within one block."""


@dataclass(frozen=True)
class Tree:
    """Some rows, packed. N tokens."""

    ids_N: Nodes
    positions_N: Nodes
    """Place of each token in its rows, from 0."""
    enter_N: Nodes
    leave_N: Nodes
    """A token sees token k where `enter[k] <= enter < leave[k]`: k is itself, or before it on its rows."""
    blocks: tuple[Block, ...]
    paths: tuple[Nodes, ...]
    """For each row, its packed tokens, in order."""
    predicting: tuple[Nodes, ...]
    """For each row, the packed tokens after which the tokens of its action are predicted."""
    num_known: int = 0
    """The first so many packed tokens were read before."""

    def sees(self, queries: Nodes, keys: Nodes) -> Bool[np.ndarray, "queries keys"]:
        """Which query sees which key, both given by their packed places."""
        entered_Q1 = self.enter_N[queries][:, None]
        visible: np.ndarray = (self.enter_N[keys] <= entered_Q1) & (entered_Q1 < self.leave_N[keys])
        return visible


def grow(rows: Sequence[Pair], known: Sequence[int] = ()) -> Tree:
    """Pack rows. Of each row the first `known` context tokens were read before; all of these stand first, in blocks of their own.

    >>> tree = grow([((1, 2), (3, 4, 9)), ((1, 2), (3, 5, 9)), ((1, 2, 6, 7), (8, 9))])
    >>> tree.ids_N.tolist(), tree.positions_N.tolist()
    ([1, 2, 6, 7, 3, 4, 5, 8], [0, 1, 2, 3, 2, 3, 3, 4])
    >>> [nodes.tolist() for nodes in tree.predicting]
    [[1, 4, 5], [1, 4, 6], [3, 7]]
    """
    trie = _Trie([_read(row) for row in rows])
    layout = _Layout(len(trie.ids))
    for path, length in zip(trie.paths, known, strict=bool(known)):
        layout.add_context(path[:length])
    num_known = layout.taken
    by_context: dict[Ids, list[int]] = {}
    for i, (context, _) in enumerate(rows):
        by_context.setdefault(context, []).append(i)
    for context in sorted(by_context, key=len, reverse=True):
        layout.add_context(trie.paths[by_context[context][0]][: len(context)])
    for context in sorted(by_context):
        layout.begin_state()
        for i in by_context[context]:
            layout.add_action(trie.paths[i])
    order = np.argsort(layout.places)
    return Tree(
        ids_N=trie.ids[order],
        positions_N=trie.depths[order],
        enter_N=order,
        leave_N=trie.leave[order],
        blocks=tuple(layout.blocks()),
        paths=(paths := tuple(layout.places[path] for path in trie.paths)),
        predicting=tuple(path[len(context) - 1 :] for path, (context, _) in zip(paths, rows, strict=True)),
        num_known=num_known,
    )


def packs(rows: Sequence[Pair], max_tokens: int, known: Sequence[int] = ()) -> Iterator[list[int]]:
    """Cut rows into packs of at most `max_tokens` distinct tokens; a longer row goes alone. Gives the indices of each pack's rows. The
    first `known` tokens of each row were read before and do not count; a row whose last token is to be read is kept apart from those in
    which it is known.

    A tree that is too large is cut between its branches: what they share is then computed once a pack.

    >>> rows = [((1, 2, 3), (4, 9)), ((1, 2, 3), (5, 9)), ((7, 7), (7, 7, 7))]
    >>> list(packs(rows, 5)), list(packs(rows, 9))
    ([[0, 1], [2]], [[0, 1, 2]])
    """
    read = [_read(row) for row in rows]
    pack: list[int] = []
    taken = 0
    for i in _sorted(read):
        before, last = known[i] if known else 0, read[pack[-1]] if pack else read[i][:0]
        common = shared(last, read[i])
        new = len(read[i]) - max(before, common)
        if pack and (taken + new > max_tokens or before >= len(last) == common):
            yield pack
            pack, taken, new = [], 0, len(read[i]) - before
        pack.append(i)
        taken += new
    if pack:
        yield pack


def num_distinct(rows: Sequence[Pair]) -> int:
    """How many tokens a network has to read for these rows, if it reads none twice.

    >>> num_distinct([((1, 2), (3, 4, 9)), ((1, 2), (3, 5, 9))])
    5
    """
    return len(_Trie([_read(row) for row in rows]).ids)


def _read(row: Pair) -> Nodes:
    """The tokens of a row that are read: all but the last, which only is predicted."""
    context, action = row
    assert all(row), "a context and an action have at least one token each"
    return np.array([*context, *action[:-1]], dtype=np.int64)


def _sorted(read: Sequence[Nodes]) -> list[int]:
    """In the order of a dictionary: what begins alike stands together."""
    return sorted(range(len(read)), key=lambda i: read[i].tolist())


def shared(one: Nodes, other: Nodes) -> int:
    """How many tokens two rows share from the start."""
    length = min(len(one), len(other))
    differing = np.flatnonzero(one[:length] != other[:length])
    return int(differing[0]) if len(differing) else length


class _Trie:
    """Nodes in the order of a dictionary: a node's descendants are the ones right after it, up to `leave`."""

    def __init__(self, read: Sequence[Nodes]) -> None:
        order = _sorted(read)
        self.paths: list[Nodes] = [np.empty(0, dtype=np.int64)] * len(read)
        ids: list[Nodes] = []
        depths: list[Nodes] = []
        closed: list[tuple[Nodes, int]] = []
        path, count, last = np.empty(0, dtype=np.int64), 0, np.empty(0, dtype=np.int64)
        for i in order:
            kept = shared(last, read[i])
            closed.append((path[kept:], count))
            new = np.arange(count, count + len(read[i]) - kept)
            path, last = np.concatenate([path[:kept], new]), read[i]
            count += len(new)
            self.paths[i] = path
            ids.append(read[i][kept:])
            depths.append(np.arange(kept, len(read[i])))
        closed.append((path, count))
        self.ids = np.concatenate(ids)
        self.depths = np.concatenate(depths)
        self.leave = np.empty(count, dtype=np.int64)
        for nodes, end in closed:
            self.leave[nodes] = end


class _Layout:
    """Gives nodes their places in the packed sequence, block by block."""

    def __init__(self, num_nodes: int) -> None:
        self.places = np.full(num_nodes, -1, dtype=np.int64)
        self._paths: list[Nodes] = []
        self._sizes: list[int] = []
        self.taken = 0
        """How many nodes have their place."""
        self._open = False

    def add_context(self, path: Nodes) -> None:
        """Place what is new of a context, in blocks of bounded size."""
        placed = self._placed(path)
        for start in range(placed, len(path), _TRUNK):
            self._begin(path[:start])
            self._put(path[start : start + _TRUNK])

    def begin_state(self) -> None:
        """What comes next sees another context."""
        self._open = False

    def add_action(self, path: Nodes) -> None:
        """Place what is new of an action, beside those of the same state where they see the same."""
        placed = self._placed(path)
        if placed == len(path):
            return
        outside = path[:placed][~self._inside(path[:placed])]
        if not self._open or self._sizes[-1] >= _BRANCHES or not self._continues(outside):
            self._begin(path[:placed])
            self._open = True
        elif len(outside) > len(self._paths[-1]):
            self._paths[-1] = outside
        self._put(path[placed:])

    def blocks(self) -> Iterator[Block]:
        """All blocks, in order."""
        starts = np.cumsum([0, *self._sizes])
        for start, stop, path in zip(starts[:-1], starts[1:], self._paths, strict=True):
            yield Block(int(start), int(stop), tuple(_runs(self.places[path], starts)))

    def _placed(self, path: Nodes) -> int:
        """How many nodes of a path have their place; they are its first."""
        return int((self.places[path] >= 0).sum())

    def _inside(self, path: Nodes) -> Bool[np.ndarray, " _"]:
        """Which of these nodes the open block holds."""
        inside: np.ndarray = self.places[path] >= (self.taken - self._sizes[-1] if self._open else self.taken)
        return inside

    def _continues(self, outside: Nodes) -> bool:
        """Whether one of two paths is the beginning of the other."""
        length = min(len(outside), len(self._paths[-1]))
        return bool((outside[:length] == self._paths[-1][:length]).all())

    def _begin(self, path: Nodes) -> None:
        self._paths.append(path)
        self._sizes.append(0)

    def _put(self, nodes: Nodes) -> None:
        self.places[nodes] = np.arange(self.taken, self.taken + len(nodes))
        self.taken += len(nodes)
        self._sizes[-1] += len(nodes)


def _runs(places: Nodes, starts: Nodes) -> Iterator[slice]:
    """Neighbouring places as slices, cut where a block starts.

    >>> list(_runs(np.array([0, 1, 2, 7, 8]), np.array([0, 2])))
    [slice(0, 2, None), slice(2, 3, None), slice(7, 9, None)]
    """
    for run in np.split(places, np.flatnonzero((np.diff(places) != 1) | np.isin(places[1:], starts)) + 1):
        if len(run):
            yield slice(int(run[0]), int(run[-1]) + 1)
