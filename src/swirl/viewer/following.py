"""A file of lines that somebody else writes, followed by byte offset: what is new, whole lines alone, and whether what was read stands.

Where the file shrank, was replaced or begins anew (a stage with `--redo`), what was read of it before holds no longer. That is seen by the
file's identity and size, and by the bytes at its beginning and before the place where reading goes on: a number of a file on disk is given
again, and a file may have grown past the place since.

Not here: what the lines mean (`swirl.viewer.index`).
"""

import os
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_BLOCK = 1 << 20
_EDGE = 4096
"""Bytes that are compared at the beginning, and before the place where reading goes on."""


class Line(NamedTuple):
    """A whole line, its end included."""

    number: int
    """From 1."""
    offset: int
    data: bytes


class Followed:
    """A file and how far it was read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "lines")
    >>> _ = path.write_bytes(b"one\\ntw")
    >>> file = Followed(path)
    >>> [line.data for line in file.lines()], file.offset
    ([b'one\\n'], 4)
    >>> _ = path.write_bytes(b"one\\ntwo\\n")
    >>> [(line.number, line.offset, line.data) for line in file.lines()]
    [(2, 4, b'two\\n')]
    >>> _ = path.write_bytes(b"other\\n")
    >>> file.stands()
    False
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        """Where the next line begins."""
        self.line = 0
        """Lines that were read."""
        self._identity: tuple[int, int] | None = None
        self._first = b""
        self._last = b""

    def stands(self) -> bool:
        """Whether the file is there, and begins with what was read of it."""
        try:
            with self.path.open("rb") as stream:
                return self._is_the_same(stream)
        except OSError:
            return False

    def lines(self) -> Generator[Line, None, None]:
        """What is new, line by line; nothing of a file that is not there, or does not begin with what was read of it. Reading may end
        anywhere, and goes on there next time."""
        if (stream := self._new()) is None:
            return
        with stream:
            for data in stream:
                if not data.endswith(b"\n"):
                    return  # its writer may end it meanwhile
                line = Line(self.line + 1, self.offset, data)
                self._pass(data)
                yield line

    def blocks(self) -> Generator[bytes, None, None]:
        """The same, many whole lines at a time, for whoever needs none of them by itself."""
        if (stream := self._new()) is None:
            return
        with stream:
            while block := stream.read(_BLOCK):
                if not block.endswith(b"\n"):
                    block += stream.readline()
                whole = block[: block.rfind(b"\n") + 1]
                if whole:
                    self._pass(whole)
                    yield whole
                if len(whole) < len(block):
                    return

    def _new(self) -> BinaryIO | None:
        """The file where reading goes on; None of one that is not there, or does not begin with what was read of it."""
        try:
            stream = self.path.open("rb")
        except OSError:
            return None
        if not self._is_the_same(stream):
            stream.close()
            return None
        stream.seek(self.offset)
        return stream

    def size(self) -> int:
        """Bytes that are there now."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def _pass(self, data: bytes) -> None:
        self.offset += len(data)
        self.line += data.count(b"\n")
        if len(self._first) < _EDGE:
            self._first = (self._first + data)[:_EDGE]
        self._last = data[-_EDGE:] if len(data) >= _EDGE else (self._last + data)[-_EDGE:]

    def _is_the_same(self, stream: BinaryIO) -> bool:
        found = os.fstat(stream.fileno())
        identity = (found.st_dev, found.st_ino)
        if self._identity is None:
            self._identity = identity
        if identity != self._identity or found.st_size < self.offset:
            return False
        first = os.pread(stream.fileno(), len(self._first), 0)
        last = os.pread(stream.fileno(), len(self._last), self.offset - len(self._last))
        return (first, last) == (self._first, self._last)
