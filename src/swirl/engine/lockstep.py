"""A batch of sequences in lockstep: their keys, and how each sees its context and itself.

The *trunks* hold the keys of the contexts, one row for all sequences whose contexts begin it. The *own* keys are those of the tokens that
a sequence has got since, and there are equally many of these for all:

    trunk          c c c c c c c c
    sequence 0     sees c c c c . . . .     and    a a a
    sequence 1     sees c c c c . . . .     and    b b b
    sequence 2     sees c c c c c c c c     and    d d d

So a query meets the keys of its row in one product for all sequences there, and its own keys in another. Both are laid out by *seats*
(`swirl.engine.seating`). A seat that is empty computes something that nobody asks for.

Letters of shapes: K key heads, G heads a key head, R rows, S seats, L tokens of a trunk, T own tokens, A sequences still going.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from swirl.engine.attention import How
from swirl.engine.cache import Keys, Remembered
from swirl.engine.seating import families, seated
from swirl.engine.tree import Ids, Nodes

_ROOM = 64
"""Own tokens there is more room for, whenever it is used up."""
_CLEARED = 0.75
"""Sequences that ended keep their seats until at most this share of the seats is in use; then the others sit down anew."""


class Batch:
    """Sequences that go on from contexts which were read together."""

    def __init__(self, contexts: Sequence[Ids], paths: Sequence[Nodes], keys: Keys, owners_A: Nodes) -> None:
        """The keys of the contexts' tokens, where in them each context has its own, and the context of each sequence."""
        self._contexts = contexts
        self._paths = paths
        self._keys = keys
        self._families = families(contexts)
        self._owners_A = owners_A
        self._tokens_AT = np.empty((len(owners_A), 0), dtype=np.int64)
        self._rows_read: list[tuple[Ids, Nodes]] = []
        self._keys_read: list[Keys] = []
        self._sit()
        self._own = [(self._new_seats(keys, 0), self._new_seats(values, 0)) for keys, values in keys.layers]

    @property
    def count(self) -> int:
        """Sequences still going."""
        return len(self._owners_A)

    @property
    def held(self) -> int:
        """Tokens of contexts whose keys it holds, as they were read and as they are laid out, until its last sequence ends."""
        rows, length, _ = self._trunks[0][0].shape
        return self._keys.count + rows * length // len(self._own[0][0])

    @property
    def _taken(self) -> int:
        """Own tokens of each."""
        return self._tokens_AT.shape[1]

    @property
    def _lengths_A(self) -> Nodes:
        return np.array([len(self._contexts[owner]) for owner in self._owners_A], dtype=np.int64)

    def _sit(self) -> None:
        """A seat for each sequence, and the keys of the rows' trunks."""
        seating = seated(self._families, self._owners_A)
        self._num_seats = len(seating.trunks) * seating.num_seats
        trunks = [self._paths[context] for context in seating.trunks]
        longest = max(map(len, trunks))
        places_RL = np.stack([np.pad(trunk, (0, longest - len(trunk))) for trunk in trunks])
        self._trunks = [
            (keys.reshape(-1, longest, keys.shape[-1]), values.reshape(-1, longest, values.shape[-1]))
            for keys, values in self._keys.take(places_RL.reshape(-1)).layers
        ]
        lengths_S = np.ones(self._num_seats, dtype=np.int64)
        lengths_S[seating.places] = self._lengths_A
        self._seats_A, self._lengths_S = self._moved(seating.places), self._moved(lengths_S)
        self._unseen: dict[int | None, Tensor | None] = {}

    def open(self, tokens_A: Nodes) -> Nodes:
        """Make room for these tokens. Gives their positions."""
        positions_A = self._lengths_A + self._taken
        self._tokens_AT = np.concatenate([self._tokens_AT, tokens_A[:, None]], axis=1)
        self._unseen = {window: unseen for window, unseen in self._unseen.items() if window is None}
        if self._taken > self._own[0][0].shape[2]:
            more = (0, 0, 0, _ROOM)
            self._own = [(pad(keys, more), pad(values, more)) for keys, values in self._own]
        return positions_A

    def attend(
        self,
        layer: int,
        query: Float[Tensor, "heads going width"],
        key: Float[Tensor, "key_heads going width"],
        value: Float[Tensor, "key_heads going width"],
        how: How,
    ) -> Float[Tensor, "heads going width"]:
        """The tokens that were opened see their contexts, their own tokens so far, and themselves."""
        oldest = 0 if how.window is None else max(0, self._taken - how.window)
        for own, new in zip(self._own[layer], (key, value), strict=True):
            own[:, self._seats_A, self._taken - 1] = new
        own_keys, own_values = (own[:, :, oldest : self._taken] for own in self._own[layer])
        trunk_keys, trunk_values = self._trunks[layer]
        rows, length, width = trunk_keys.shape  # K x R, L

        query_KSGW = query.new_zeros(len(key), self._num_seats, len(query) // len(key), width)
        query_KSGW[:, self._seats_A] = (query * how.scaling).view(len(key), -1, *query.shape[1:]).transpose(1, 2)
        far = query_KSGW.view(rows, -1, width) @ trunk_keys.transpose(1, 2)
        near = query_KSGW @ own_keys.transpose(2, 3)
        scores = torch.cat([far.view(*near.shape[:3], length), near], dim=-1)
        if how.softcap is not None:
            scores = torch.tanh(scores / how.softcap) * how.softcap
        if (unseen := self._unseen_by(how.window, length)) is not None:
            scores[..., :length].masked_fill_(unseen, -torch.inf)
        weights = scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype)
        far = weights[..., :length].reshape(rows, -1, length) @ trunk_values
        near = weights[..., length:] @ own_values
        seen_KSGW = near + far.view(near.shape)
        seen: Tensor = seen_KSGW[:, self._seats_A].transpose(1, 2).flatten(0, 1)
        return seen

    def _unseen_by(self, window: int | None, length: int) -> Bool[Tensor, "seats 1 length"] | None:
        """Which tokens of its trunk a seat does not see; None where all see all."""
        if window not in self._unseen:
            places_L, lengths_S1 = torch.arange(length, device=self._lengths_S.device), self._lengths_S[:, None]
            unseen_SL = places_L >= lengths_S1
            if window is not None:
                unseen_SL |= places_L < lengths_S1 + self._taken - window
            self._unseen[window] = unseen_SL[:, None] if bool(unseen_SL.any()) else None
        return self._unseen[window]

    def leave(self, ended_A: Bool[np.ndarray, " going"], room: int) -> int:
        """Let sequences go. What they read is kept to be remembered where that is at most `room` tokens; gives how many it is."""
        kept = self._remember(ended_A, room)
        stay = self._moved(np.flatnonzero(~ended_A))
        self._owners_A, self._tokens_AT = self._owners_A[~ended_A], self._tokens_AT[~ended_A]
        before, self._seats_A = self._seats_A[stay], self._seats_A[stay]
        if 0 < self.count <= _CLEARED * self._num_seats:
            self._sit()
            self._own = [(self._reseated(keys, before), self._reseated(values, before)) for keys, values in self._own]
        return kept

    def _remember(self, ended_A: Bool[np.ndarray, " going"], room: int) -> int:
        ended, start = np.flatnonzero(ended_A), self._keys.count + sum(keys.count for keys in self._keys_read)
        new = len(ended) * self._taken + (0 if self._rows_read else self._keys.count)
        if new > room:
            return 0
        for sequence in ended:
            owner, own = self._owners_A[sequence], np.arange(start, start + self._taken)
            row = (*self._contexts[owner], *self._tokens_AT[sequence].tolist())
            self._rows_read.append((row, np.concatenate([self._paths[owner], own])))
            start += self._taken
        seats = self._seats_A[self._moved(ended)]
        self._keys_read.append(
            Keys(
                tuple(
                    (keys[:, seats, : self._taken].flatten(1, 2), values[:, seats, : self._taken].flatten(1, 2))
                    for keys, values in self._own
                )
            )
        )
        return new

    def remembered(self) -> Remembered:
        """What was read for the sequences that were kept to be remembered."""
        return Remembered(
            tuple(self._rows_read), Keys.joined([self._keys, *self._keys_read] if self._rows_read else [])
        )

    def _reseated(self, own: Float[Tensor, "K before T width"], before: Tensor) -> Float[Tensor, "K seats T width"]:
        seats = self._new_seats(own, own.shape[2])
        seats[:, self._seats_A] = own[:, before]
        return seats

    def _new_seats(self, like: Tensor, room: int) -> Float[Tensor, "K seats room width"]:
        return like.new_zeros(like.shape[0], self._num_seats, room, like.shape[-1])

    def _moved(self, numbers: Nodes) -> Tensor:
        return torch.from_numpy(numbers).to(self._keys.layers[0][0].device)
