"""A JSON document read value by value, so that a list larger than memory gives its items one at a time."""

import re
from codecs import BOM_UTF8, getincrementaldecoder
from io import BufferedIOBase
from json import JSONDecoder
from typing import Any

from swirl.errors import RecordError

_DECODER = JSONDecoder()
_BLANK = re.compile(r"[ \t\n\r]*")
_CHUNK = 1 << 20
"""Bytes read at a time; where a value is longer, as many again as are at hand."""


class Document:
    """A place in a JSON text.

    >>> import io
    >>> text = Document("a.json", io.BytesIO(b'[{"id": 1}, {"id": 2}]'))
    >>> text.skip("["), text.value(), text.skip(","), text.value(), text.skip("]"), text.peek()
    (True, {'id': 1}, True, {'id': 2}, True, '')
    """

    def __init__(self, place: str, file: BufferedIOBase) -> None:
        self.place = place
        self._file = file
        self._decode = getincrementaldecoder("utf-8")().decode
        self._text, self._at, self._bytes, self._whole = "", 0, 0, False

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            blank = _BLANK.match(self._text, self._at)
            self._at = blank.end() if blank else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read():
                return ""

    def skip(self, character: str) -> bool:
        """Go past a character, if it is the next one."""
        found = self.peek() == character
        self._at += found
        return found

    def expect(self, character: str) -> None:
        """Go past a character that has to be the next one."""
        if not self.skip(character):
            raise self._broken(f"no {character!r} after what comes before")

    def end(self) -> None:
        """Nothing may follow."""
        if self.peek():
            raise self._broken("more after the end")

    def value(self) -> Any:
        """The next value, whole."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if not self._read():
                    raise self._broken(str(error)) from error
                continue
            if end < len(self._text) or not self._read():
                self._at = end
                return value

    def _broken(self, problem: str) -> RecordError:
        found = self._text[self._at : self._at + 40].encode()
        return RecordError(f"{self.place}: expected JSON, found {found!r} ({problem}); is the file cut off?")

    def _read(self) -> bool:
        """Read on; False where nothing is left."""
        if self._whole:
            return False
        chunk = self._file.read(max(_CHUNK, len(self._text) - self._at))
        start = chunk.removeprefix(BOM_UTF8) if not self._bytes else chunk
        try:
            fresh = self._decode(start, not chunk)
        except UnicodeDecodeError as error:
            raise RecordError(
                f"{self.place}: expected UTF-8, found byte {error.object[error.start]:#04x} near byte {self._bytes + error.start};"
                " save the file as UTF-8"
            ) from error
        self._text, self._at = self._text[self._at :] + fresh, 0
        self._bytes += len(chunk)
        self._whole = not chunk
        return True
