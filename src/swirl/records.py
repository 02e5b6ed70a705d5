"""Records on disk: JSON lines that carry their schema, one writer and many readers a file.

A writer holds the file's lock while it lives, starts by cutting off a torn last line (counted in `torn_bytes`), and appends in whole groups
that are flushed to the disk before `append` returns. A group that cannot be written leaves the file as it was. Readers take no lock and
ignore an unterminated last line, so they can follow a run while it goes on.

Not here: what the records mean (`swirl.types`), which files a run has (`swirl.run`).
"""

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar, Union

import msgspec

from swirl.errors import RecordError, RunFolderError

T = TypeVar("T", bound=msgspec.Struct)


def read(path: Path, kind: type[T], beside: tuple[type[msgspec.Struct], ...] = ()) -> Iterator[T]:
    """The records of a file, validated one by one, without those of the kinds that may stand beside them; raises `RecordError` naming file,
    line and field.

    >>> import tempfile
    >>> from swirl.types import JudgedStep, Verdict
    >>> path = Path(tempfile.mkdtemp(), "verdicts.jsonl")
    >>> with Appender(path, JudgedStep) as verdicts:
    ...     verdicts.append([JudgedStep(trajectory="q/0", step=0, judge="rule", verdict=Verdict(1.0))])
    >>> [record.verdict.score for record in read(path, JudgedStep)]
    [1.0]
    """
    decoder = msgspec.json.Decoder(Union[kind, *beside])
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.endswith(b"\n"):
                    return  # its writer may end it meanwhile, and what is read next would be the rest of it
                record = decode_line(decoder, kind, line, f"{path}:{number}")
                if isinstance(record, kind):
                    yield record
    except OSError as error:
        raise RecordError(f"expected a file of records at {path}, but it cannot be read: {error.strerror}") from error


def decode_line(decoder: "msgspec.json.Decoder[Any]", kind: type[msgspec.Struct], line: bytes, place: str) -> Any:
    """The record in a line; raises `RecordError` as `read` does."""
    try:
        record = decoder.decode(line)
    except msgspec.ValidationError as error:
        raise RecordError(_complaint(error, kind, place, "mend or delete the line")) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(
            f"{place}: expected one JSON object in UTF-8, found {line[:40]!r} ({error}); mend or delete the line"
        ) from error
    if b'"schema"' not in line:
        raise RecordError(
            f"{place}: expected a record of schema {kind.__struct_config__.tag!r}, found none; mend or delete the line"
        )
    return record


def _complaint(error: msgspec.ValidationError, kind: type[T], place: str, remedy: str) -> str:
    """The sentence for JSON that is not the record it should be."""
    problem, _, location = str(error).partition(" - at ")
    if location.strip("`") == "$.schema" or (not location and "schema" in problem):
        expected = kind.__struct_config__.tag
        return (
            f"{place}: expected a record of schema {expected!r}, found another: the file belongs to another version of swirl, "
            f"or is not the file it is named after; {remedy}"
        )
    field = location.strip("`").removeprefix("$").removeprefix(".")
    return f"{place}: {f'field {field}: ' if field else ''}{problem}; {remedy}"


class Appender(Generic[T]):
    """The one writer of a records file; a context manager. It alone may replace the file, and appends nothing after that. Raises
    `RunFolderError` where another process is writing the file, or where the disk is full."""

    def __init__(self, path: Path, kind: type[T]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._encoder = msgspec.json.Encoder()
        self._file = _held(path)
        self._ends = _line_ends(path)
        size = os.fstat(self._file).st_size
        self.torn_bytes = size - (self._ends[-1] if self._ends else 0)
        """Bytes of a torn last line that were cut off on opening."""
        self.rewind(len(self._ends))

    def __len__(self) -> int:
        return len(self._ends)

    def append(self, records: Sequence[T]) -> None:
        """Write a group of records; when this returns they are on the disk, when it raises none of them is."""
        start = self._ends[-1] if self._ends else 0
        lines = [self._encoder.encode(record) + b"\n" for record in records]
        try:
            _write_all(self._file, b"".join(lines), start)
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, start)
            raise disk_error(self.path, error) from error
        for line in lines:
            start += len(line)
            self._ends.append(start)

    def rewind(self, num_records: int) -> None:
        """Keep the first `num_records` records and drop the rest."""
        self._ends = self._ends[:num_records]
        size = self._ends[-1] if self._ends else 0
        if os.fstat(self._file).st_size > size:
            os.ftruncate(self._file, size)

    def close(self) -> None:
        """Close the file, and with it give up the lock."""
        os.close(self._file)

    def __enter__(self) -> "Appender[T]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _held(path: Path) -> int:
    """The file, open and locked. One that was replaced in between by the writer before is opened anew."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        problem = f"{path} is being written by another process; wait for it to end, or use another run folder"
        raise RunFolderError(problem) from error
    if not path.exists() or not os.path.samestat(os.fstat(file), path.stat()):
        os.close(file)
        return _held(path)
    return file


def log(path: Path, records: Sequence[msgspec.Struct]) -> None:
    """Add records to a log that several may write to, all or none, after cutting off a torn last line. They survive the end of the process,
    not that of the machine: a log is told what happened, nothing is built on it. Raises `RunFolderError` where the disk is full."""
    data = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            end = _end_of_last_line(file)
            os.ftruncate(file, end)
            try:
                _write_all(file, data, end)
            except OSError:
                os.ftruncate(file, end)
                raise
        finally:
            os.close(file)
    except OSError as error:
        raise disk_error(path, error) from error


def _end_of_last_line(file: int, block: int = 4096) -> int:
    position = os.fstat(file).st_size
    while position > 0:
        start = max(0, position - block)
        found = os.pread(file, position - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def num_lines(path: Path) -> int:
    """How many whole lines a file has, 0 where there is none."""
    return len(_line_ends(path)) if path.exists() else 0


def _line_ends(path: Path) -> list[int]:
    ends, position = [], 0
    with path.open("rb") as stream:
        for line in stream:
            position += len(line)
            if line.endswith(b"\n"):
                ends.append(position)
    return ends


def _write_all(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written


def disk_error(path: Path, error: OSError) -> RunFolderError:
    """The sentence for a write that failed."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return RunFolderError(
            f"no space left to write {path}; all that was written before is kept: free some, then run the same command again"
        )
    return RunFolderError(f"cannot write {path}: {error.strerror}; all that was written before is kept")


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file whole or not at all."""
    write_parts(path, [data])


def reorder(path: Path, order: Sequence[int]) -> None:
    """Put the lines of a file, counted from 0, into another order, whole or not at all; those that are not named are dropped. Nothing is
    written where they stand in it already.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "lines")
    >>> path.write_text("b\\na\\n") and reorder(path, [1, 0])
    >>> path.read_text()
    'a\\nb\\n'
    """
    ends = _line_ends(path)
    if list(order) == list(range(len(ends))):
        return
    starts = [0, *ends]

    def lines() -> Iterator[bytes]:
        with path.open("rb") as stream:
            for line in order:
                stream.seek(starts[line])
                yield stream.read(ends[line] - starts[line])

    write_parts(path, lines())


def write_parts(path: Path, parts: Iterable[bytes]) -> None:
    """Replace a file whole or not at all, by parts that are made while it is written."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            stream.writelines(parts)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise disk_error(path, error) from error


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """A JSON file for people and programs: indented, keys in the order given."""
    write_atomically(path, (json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False) + "\n").encode())


def read_document(path: Path, kind: type[T], command: str) -> T:
    """One JSON object that carries its schema, validated; raises `RecordError` naming file, field and the command that writes it anew.

    >>> import tempfile
    >>> from swirl.types import JudgedStep, Verdict
    >>> path = Path(tempfile.mkdtemp(), "verdict.json")
    >>> write_json(path, JudgedStep(trajectory="q/0", step=0, judge="rule", verdict=Verdict(1.0)))
    >>> read_document(path, JudgedStep, "swirl judge runs/mine").trajectory
    'q/0'
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except msgspec.ValidationError as error:
        raise RecordError(_complaint(error, kind, str(path), f"run `{command}`")) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: expected JSON, found a damaged file ({error}); run `{command}`") from error
    except OSError as error:
        raise RecordError(f"expected {path}, but it cannot be read: {error.strerror}; run `{command}`") from error


def digest(records: Iterable[msgspec.Struct]) -> str:
    """What tells some records from others: their number, and a hash of what they hold.

    >>> from swirl.types import Verdict
    >>> digest([Verdict(1.0), Verdict(0.0)]) == digest([Verdict(0.0), Verdict(1.0)])
    False
    """
    found, count = hashlib.sha256(), 0
    for count, record in enumerate(records, 1):  # noqa: B007
        found.update(msgspec.json.encode(record) + b"\n")
    return f"{count} records {found.hexdigest()[:16]}"
