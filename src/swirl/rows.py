"""Rows of files that people bring: read strictly, every complaint with file, line and field."""

import gzip
import json
import math
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BufferedIOBase
from pathlib import Path
from typing import Any, NamedTuple

from swirl.documents import Document
from swirl.errors import ConfigError, MissingExtra, RecordError


class Row(NamedTuple):
    """One object of a file."""

    place: str
    """File and line, for complaints."""
    fields: dict[str, Any]

    def text(self, name: str) -> str:
        """A field that must be a text and not empty."""
        value = self.fields.get(name)
        if not isinstance(value, str) or not value.strip():
            raise RecordError(f"{self.place}: field {name}: expected a text, found {_shown(value)}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A field that may be left out: a text, a number or a list of either, as texts."""
        value = self.fields.get(name)
        values = value if isinstance(value, list) else [] if value is None else [value]
        found = [_as_text(one) for one in values]
        if not all(found):
            raise RecordError(
                f"{self.place}: field {name}: expected a text, a number or a list of them, found {_shown(value)}"
            )
        return tuple(found)


def _as_text(value: object) -> str:
    """A text, or a number as one; empty for all that is neither, as are a truth value, infinity and a blank."""
    finite = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    usable = isinstance(value, str) or (finite and not isinstance(value, bool))
    return str(value) if usable and str(value).strip() else ""


def by_id(rows: Iterable[Row], default: Callable[[int], str] | None = None) -> Iterator[tuple[str, Row]]:
    """Each row with its id, a text or a number; no two are equal. `default` makes one of a row's position where the field is left out.

    >>> [name for name, _ in by_id([Row("a.jsonl:1", {"id": 0}), Row("a.jsonl:2", {})], default="row-{}".format)]
    ['0', 'row-1']
    """
    seen: dict[str, str] = {}
    for position, row in enumerate(rows):
        value = row.fields.get("id")
        name = default(position) if default and value is None else _as_text(value).strip()
        if not name:
            raise RecordError(f"{row.place}: field id: expected a text or a number, found {_shown(value)}")
        if name in seen:
            raise RecordError(f"{row.place}: field id: {name!r} stands at {seen[name]} too; ids must differ")
        seen[name] = row.place
        yield name, row


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, one at a time: JSON lines (`.jsonl`); a JSON list, a table whose `data` is one, or objects one after the other
    (`.json`); Parquet (`.parquet`). JSON may be packed by gzip (`.gz`). Raises `RecordError` for what is not that, and for a file without
    rows."""
    try:
        rows = _READERS.get(path.name.removesuffix(".gz").rpartition(".")[2], _lines)(path)
        first = next(rows, None)
        if first is None:
            raise RecordError(f"{path}: expected at least one JSON object, found an empty file")
        yield first
        yield from rows
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RecordError(f"{path}: expected a whole file packed by gzip, found {error}; copy it again") from error
    except OSError as error:
        raise ConfigError(f"expected a file of rows at {path}, but it cannot be read: {error.strerror}") from error


def _opened(path: Path) -> BufferedIOBase:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _lines(path: Path) -> Iterator[Row]:
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            line = line.removeprefix(BOM_UTF8) if number == 1 else line
            if line.strip():
                yield row_of(f"{path}:{number}", line)


def row_of(place: str, line: bytes) -> Row:
    """The row that a line of JSON is; raises `RecordError` where it is none.

    >>> row_of("a.jsonl:1", b'{"id": 1}').fields
    {'id': 1}
    """
    return Row(place, _object(place, line))


def _document(path: Path) -> Iterator[Row]:
    with _opened(path) as file:
        values = _values(Document(str(path), file))
        for number, value in enumerate(values, start=1):
            yield Row(f"{path}, row {number}", _checked(f"{path}, row {number}", value))


def _values(text: Document) -> Iterator[Any]:
    if text.skip("["):
        yield from _items(text)
        text.end()
    elif text.skip("{"):
        yield from _table(text)
    elif text.peek():
        raise _no_list(text, text.value())


def _items(text: Document) -> Iterator[Any]:
    """What a list holds, its bracket open."""
    while not text.skip("]"):
        yield text.value()
        if text.peek() != "]":
            text.expect(",")


def _table(text: Document) -> Iterator[Any]:
    """The list under `data` in a table, its bracket open. Without one the table is a row, if others follow: JSON lines by another name."""
    fields, found = {}, False
    while not text.skip("}"):
        if text.peek() != '"':
            raise RecordError(
                f"{text.place}: expected a JSON object, found a field whose name is no text; is the file cut off?"
            )
        name = text.value()
        text.expect(":")
        if name == "data" and text.skip("["):
            found = True
            yield from _items(text)
        else:
            fields[name] = text.value()
        if text.peek() != "}":
            text.expect(",")
    if not found:
        if not text.peek():
            raise _no_list(text, fields)
        yield fields
        while text.peek():
            yield text.value()
    text.end()


def _no_list(text: Document, found: object) -> RecordError:
    return RecordError(f"{text.place}: expected a JSON list of objects, or one under `data`, found {_shown(found)}")


def _parquet(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtra(f"reading {path} needs the package pyarrow: pip install 'swirl-rl[hub]'") from error
    try:
        rows = (row for batch in ParquetFile(path).iter_batches(1024) for row in batch.to_pylist())
        for number, row in enumerate(rows, start=1):
            yield Row(f"{path}, row {number}", _checked(f"{path}, row {number}", row))
    except ArrowException as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RecordError(f"{path}: expected a Parquet file, found none that can be read ({reason})") from error


_READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {"json": _document, "parquet": _parquet}
"""By the end of a file's name; JSON lines where it is none of these."""


def _object(place: str, line: bytes) -> dict[str, Any]:
    try:
        return _checked(place, json.loads(line.decode("utf-8")))
    except UnicodeDecodeError as error:
        raise RecordError(
            f"{place}: expected UTF-8, found byte {error.object[error.start]:#04x} at {error.start}; save the file as UTF-8"
        ) from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise RecordError(
            f"{place}: expected one JSON object, found {line[:40]!r} ({error}); is the line cut off?"
        ) from error


def _checked(place: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RecordError(f"{place}: expected one JSON object, found {_shown(value)}")
    for name, field in value.items():
        require_characters(place, name, field)
    return value


def require_characters(place: str, name: str, value: object) -> None:
    """JSON can escape half of a character, which no file in UTF-8 can hold. What Parquet knows beside JSON (dates, bytes) has none."""
    try:
        json.dumps([name, value], ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as error:
        raise RecordError(
            f"{place}: field {ascii(name)[1:-1]}: expected Unicode text, found {error.object[error.start]!a}, half of a surrogate"
            " pair; write the character itself, or remove it"
        ) from error
    except RecursionError as error:
        raise RecordError(
            f"{place}: field {name}: expected a text or a list, found tables nested without end"
        ) from error


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)[:60]
