"""Rows as a file: JSON lines or Parquet, written row by row, whole or not at all.

Half a character (a lone surrogate), which UTF-8 cannot hold, is written as U+FFFD.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from glob import escape
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

import msgspec

from swirl.errors import MissingExtra
from swirl.exports import Format, Row
from swirl.records import disk_error

_ROWS = 1000
_BYTES = 32_000_000
"""Most rows in a group of a Parquet file, and most bytes (as JSON): what is in memory at once."""


def write_rows(fmt: Format, rows: Iterable[Row], path: Path) -> int:
    """Write the rows of a format in place of a file that may be there, and return how many there were. Raises `MissingExtra` where Parquet
    needs a package that is not installed, `RunFolderError` where the disk is full; then the file is as it was.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "rows.jsonl")
    >>> write_rows(Format("mine", "", lambda items: iter(())), [{"a": 1}], path), path.read_text()
    (1, '{"a":1}\\n')
    """
    write = _write_parquet if fmt.kind == "parquet" else _write_lines
    with whole(path) as stream:
        return write(fmt, rows, stream)


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """A stream that becomes the file once all is written, and leaves nothing otherwise. Another process may be writing the same; what one
    that was killed has left is removed."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(path)
        with part.open("wb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    except OSError as error:
        raise disk_error(path, error) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _remove_left(path: Path) -> None:
    for left in path.parent.glob(f"{escape(path.name)}.[0-9]*.part"):
        with suppress(OSError), left.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def _write_lines(fmt: Format, rows: Iterable[Row], stream: IO[bytes]) -> int:
    number = 0
    for row in rows:
        stream.write(encoded(row)[1] + b"\n")
        number += 1
    return number


def encoded(row: Row) -> tuple[Row, bytes]:
    """A row as it can be written, and as JSON.

    >>> encoded({"a": "\\ud800?"})[1].decode()
    '{"a":"\ufffd?"}'
    """
    try:
        return row, msgspec.json.encode(row)
    except UnicodeEncodeError:
        mended = _mended(row)
        return mended, msgspec.json.encode(mended)


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_mended(name): _mended(one) for name, one in value.items()}
    return [_mended(one) for one in value] if isinstance(value, list | tuple) else value


def _write_parquet(fmt: Format, rows: Iterable[Row], stream: IO[bytes]) -> int:
    try:
        from pyarrow import Table
        from pyarrow.parquet import ParquetWriter
    except ImportError as error:
        raise MissingExtra(f"exporting to {fmt.name} needs the package pyarrow: pip install 'swirl-rl[hub]'") from error
    columns, number = arrow_columns(schema(fmt.name)), 0
    with ParquetWriter(stream, columns) as out:
        for group in _groups(rows):
            out.write_table(Table.from_pylist(group, schema=columns))
            number += len(group)
    return number


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    size = 0
    for row in rows:
        row, text = encoded(row)
        group.append(row)
        size += len(text)
        if len(group) == _ROWS or size >= _BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def schema(name: str) -> Mapping[str, Any]:
    """The JSON schema of a format's rows.

    >>> list(schema("verl")["properties"])
    ['data_source', 'prompt', 'ability', 'reward_model', 'extra_info']
    """
    found: dict[str, Any] = json.loads(files("swirl.exports").joinpath("schemas", f"{name}.json").read_text("utf-8"))
    return found


def arrow_columns(rows: Mapping[str, Any]) -> Any:
    """The columns (a `pyarrow.Schema`) that a JSON schema of rows stands for: each property a column that says its type."""
    import pyarrow

    plain = {
        "string": pyarrow.string(),
        "integer": pyarrow.int64(),
        "number": pyarrow.float64(),
        "boolean": pyarrow.bool_(),
    }

    def column(schema: Mapping[str, Any]) -> Any:
        named = schema["type"]
        kind = named if isinstance(named, str) else next(name for name in named if name != "null")
        if kind == "object":
            return pyarrow.struct([(name, column(one)) for name, one in schema["properties"].items()])
        return pyarrow.list_(column(schema["items"])) if kind == "array" else plain[kind]

    return pyarrow.schema([(name, column(one)) for name, one in rows["properties"].items()])
