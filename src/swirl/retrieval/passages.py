"""A corpus: passages by their place, and places by their id; in memory, or in a folder without reading it into memory.

In a folder it is `passages.jsonl`, and three arrays that are mapped: where each line begins, and the ids' hashes in ascending order, each
with its place. A hash only says where to look: the line itself says whether it is the id.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec
import numpy as np

from swirl.errors import ConfigError, RecordError
from swirl.retrieval.sources import passage
from swirl.rows import Row
from swirl.types import Passage

LINES, STARTS, HASHES, PLACES = "passages.jsonl", "starts.npy", "id_hashes.npy", "id_places.npy"
FILES = (LINES, STARTS, HASHES, PLACES)


@runtime_checkable
class Corpus(Protocol):
    """Passages in an order."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int) -> Passage: ...

    def place(self, name: str) -> int | None:
        """Where the passage of an id is; None where there is none."""
        ...


def places_in_scope(corpus: Corpus, scope: Sequence[str]) -> np.ndarray:
    """The places of a scope's passages, in ascending order; what the corpus does not have is left out. Raises `ConfigError` where it has
    none of them: then it is another corpus."""
    found = {place for name in scope if (place := corpus.place(name)) is not None}
    if not found:
        raise ConfigError(
            f"expected the question's own passages ({', '.join(scope[:3])}{', ...' if len(scope) > 3 else ''}) among the"
            f' {len(corpus):,} that are searched, found none of them; index their corpus, or set search.scope = "corpus"'
        )
    return np.array(sorted(found), dtype=np.int64)


class Listed:
    """A corpus in memory."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        if not passages:
            raise ConfigError(
                "expected a corpus to search, found no passages; the task needs passages, or a tool other than search"
            )
        self.passages = passages

    def __len__(self) -> int:
        return len(self.passages)

    def __getitem__(self, place: int) -> Passage:
        return self.passages[place]

    def place(self, name: str) -> int | None:
        return self._places.get(name)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the passages, in their order."""
        found = hashlib.sha256()
        for each in self.passages:
            found.update(msgspec.json.encode(each) + b"\n")
        return found.hexdigest()

    @cached_property
    def _places(self) -> dict[str, int]:
        return {passage.id: place for place, passage in enumerate(self.passages)}


class Stored:
    """A corpus in a folder, as `write` left it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lines = np.memmap(folder / LINES, mode="r")
        self._starts = mapped(folder / STARTS)
        self._hashes = mapped(folder / HASHES)
        self._places = mapped(folder / PLACES)
        self.arrays = (self._lines, self._starts, self._hashes, self._places)
        self._decoder = msgspec.json.Decoder(Passage)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, place: int) -> Passage:
        if not 0 <= place < len(self):
            raise IndexError(place)
        return self._decoder.decode(self._lines[self._starts[place] : self._starts[place + 1]].tobytes())

    def place(self, name: str) -> int | None:
        wanted = hashed(name)
        at = int(np.searchsorted(self._hashes, wanted))
        while at < len(self._hashes) and self._hashes[at] == wanted:
            if self[int(self._places[at])].id == name:
                return int(self._places[at])
            at += 1
        return None


def mapped(path: Path) -> np.ndarray:
    """An array of a file, read as it is needed."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def hashed(name: str) -> np.uint64:
    """64 bits of an id's hash."""
    return np.uint64(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little"))


def write(rows: Callable[[], Iterator[Row]], folder: Path, advance: Callable[[int], None] = lambda count: None) -> int:
    """Write a corpus into a folder, row by row; returns how many there are. `rows` is called again to say where two ids are equal.

    Raises `RecordError` for a row that is no passage, and for ids that are not distinct.
    """
    starts, hashes, encoder = [0], [], msgspec.json.Encoder()
    with (folder / LINES).open("wb") as file:
        for position, row in enumerate(rows()):
            found = passage(row, position)
            line = encoder.encode(found) + b"\n"
            file.write(line)
            starts.append(starts[-1] + len(line))
            hashes.append(hashed(found.id))
            advance(1)
    if not hashes:
        raise RecordError("expected a corpus of passages, found none in it")
    hashes_N = np.array(hashes, dtype=np.uint64)
    places_N = np.argsort(hashes_N, kind="stable")
    np.save(folder / STARTS, np.array(starts, dtype=np.int64))
    np.save(folder / HASHES, hashes_N[places_N])
    np.save(folder / PLACES, places_N)
    _require_distinct(folder, rows)
    return len(hashes)


def _require_distinct(folder: Path, rows: Callable[[], Iterator[Row]]) -> None:
    """Ids with equal hashes are compared; the sources are read again only to name their places."""
    hashes, places, stored = mapped(folder / HASHES), mapped(folder / PLACES), Stored(folder)
    for at in np.flatnonzero(hashes[1:] == hashes[:-1]):
        name = stored[int(places[at])].id
        if name == stored[int(places[at + 1])].id:
            both = [row.place for position, row in enumerate(rows()) if passage(row, position).id == name]
            raise RecordError(f"{both[1]}: field id: {name!r} stands at {both[0]} too; ids must differ")
