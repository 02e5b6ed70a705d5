"""JSON lines one at a time, each a row or the reason why it is none: one broken line does not end an import."""

import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from io import BufferedIOBase

from swirl.errors import RecordError
from swirl.imports import Source, Unmapped
from swirl.rows import Row, row_of

LONGEST = 64 << 20
"""Bytes of a line; a longer one is no trace."""


def lines(source: Source) -> Iterator[Row | Unmapped]:
    """The rows of a file of JSON lines, also one packed by gzip, and what is none; raises `RecordError` where the file cannot be unpacked
    or a line has no end."""
    with source.path.open("rb") as file:
        opened = gzip.GzipFile(fileobj=file) if source.path.suffix == ".gz" else file
        try:
            for number, line in enumerate(_bounded(source, opened), start=1):
                place = f"{source.path}:{number}"
                source.done = file.tell()
                line = line.removeprefix(BOM_UTF8) if number == 1 else line
                if line.strip():
                    yield _row(place, line)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise RecordError(
                f"{source.path}: expected a whole file packed by gzip, found {error}; copy it again"
            ) from error


def _bounded(source: Source, file: BufferedIOBase) -> Iterator[bytes]:
    number = 0
    while line := file.readline(LONGEST + 1):
        number += 1
        if len(line) > LONGEST:
            raise RecordError(
                f"{source.path}:{number}: expected JSON lines, found a line of more than {LONGEST >> 20} MiB; is it another format?"
            )
        yield line


def _row(place: str, line: bytes) -> Row | Unmapped:
    try:
        return row_of(place, line)
    except RecordError as error:
        return Unmapped(
            place=place, found=line[:40].decode(errors="replace"), why=str(error).removeprefix(f"{place}: ")
        )
