"""Where the records of a file stand: found by what they are about, and read one by one, while the file grows, goes back or is made anew.

A record takes a few dozen bytes here, however long its line is.
"""

import math
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import msgspec

from swirl.viewer.following import Followed
from swirl.viewer.following import Line as Following

T = TypeVar("T", bound=msgspec.Struct)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, ValueError, OverflowError, ArithmeticError)


class About(NamedTuple):
    """What a record is found by."""

    key: tuple[str, ...]
    number: int
    """Of the update or checkpoint."""
    figures: tuple[float, ...] = ()
    """What is held of it in memory."""


class Line(NamedTuple):
    """A record that is known of and was not read."""

    number: int
    offset: int
    figures: tuple[float, ...]


class Progress(NamedTuple):
    """How far a file is known."""

    records: int
    read: int
    """Bytes."""
    of: int
    version: int
    """Grows with each change."""
    unreadable: int
    """Lines that are no record."""

    @property
    def complete(self) -> bool:
        """Whether all that was there when it was last looked at is known."""
        return self.read >= self.of


class Lines(Generic[T]):
    """The records of a file, which may not be there yet. Several threads may ask."""

    def __init__(self, path: Path, kind: type[T], about: Callable[[bytes], About], figures: int = 0) -> None:
        self.path = path
        self._decoder = msgspec.json.Decoder(kind)
        self._about = about
        self._figures = figures
        self._lock = threading.Lock()
        self._version = 0
        self._forget()

    def _forget(self) -> None:
        self._file = Followed(self.path)
        self._unreadable = self._size = 0
        self._offsets, self._numbers, self._before = array("q"), array("q"), array("q")
        self._last: dict[int, int] = {}
        """Hash of a key -> its last record; `_before` leads to the one before, of the same hash."""
        self._of_number: dict[int, array[int]] = {}
        self._values = [array("d") for _ in range(self._figures)]

    def refresh(self, budget: float = math.inf) -> bool:
        """Read on for so many seconds; whether anything has changed."""
        until = time.monotonic() + budget
        with self._lock:
            stood = self._file.offset == 0 or self._file.stands()
            if self._file.offset == 0 or not stood:
                self._forget()
            before = self._file.offset
            self._read_on(until)
            changed = not stood or self._file.offset != before
            self._version += changed
            return changed

    def _read_on(self, until: float) -> None:
        there = self._file.size()
        with closing(self._file.lines()) as lines:
            for line in lines:
                self._take(line)
                if time.monotonic() > until:
                    self._size = max(there, self._file.offset)
                    return
        self._size = self._file.offset  # what is left is half a line, which its writer ends or cuts off

    def _take(self, line: Following) -> None:
        try:
            about = self._about(line.data)
            key, row = _hash(about.key), len(self._offsets)
            for values, figure in zip(self._values, about.figures, strict=True):
                values.append(figure)
            self._numbers.append(about.number)
        except _UNREADABLE:
            for values in self._values:
                del values[len(self._offsets) :]
            self._unreadable += 1
            return
        self._offsets.append(line.offset)
        self._before.append(self._last.get(key, -1))
        self._last[key] = row
        self._of_number.setdefault(about.number, array("q")).append(row)

    def state(self) -> Progress:
        """How far it is."""
        with self._lock:
            return Progress(len(self._offsets), self._file.offset, self._size, self._version, self._unreadable)

    def about(self, *key: str) -> list[Line]:
        """Where the records about something are, in the order of the file; seldom one about something else is among them."""
        with self._lock:
            rows, row = [], self._last.get(_hash(key), -1)
            while row >= 0:
                rows.append(self._line(row))
                row = self._before[row]
        return rows[::-1]

    def of_number(self, number: int) -> list[Line]:
        """The records of an update or checkpoint, in the order of the file."""
        with self._lock:
            return [self._line(row) for row in self._of_number.get(number, ())]

    def numbers(self) -> list[int]:
        """The updates or checkpoints that there are, in order."""
        with self._lock:
            return sorted(self._of_number)

    def largest(self, figure: int, most: int) -> list[Line]:
        """The records with the largest figure of a kind, those first; without those that have none, which is NaN there."""
        with self._lock:
            values = self._values[figure]
            rows = sorted((row for row in range(len(values)) if values[row] > 0), key=lambda row: (-values[row], row))
            return [self._line(row) for row in rows[:most]]

    def _line(self, row: int) -> Line:
        return Line(self._numbers[row], self._offsets[row], tuple(values[row] for values in self._values))

    def read(self, lines: Iterable[Line]) -> list[T]:
        """The records themselves, without those that are gone since."""
        return list(self._records(line.offset for line in lines))

    def _records(self, offsets: Iterable[int]) -> Iterator[T]:
        try:
            with self.path.open("rb") as stream:
                for offset in offsets:
                    stream.seek(offset)
                    try:
                        yield self._decoder.decode(stream.readline())
                    except _UNREADABLE:
                        continue  # the file is being made anew
        except OSError:
            return


def _hash(key: Iterable[str]) -> int:
    hashed = blake2b(digest_size=8)
    for part in key:
        data = part.encode("utf-8", "surrogatepass")
        hashed.update(b"%d:" % len(data) + data)
    return int.from_bytes(hashed.digest(), "big")
