"""Rows of JSON-lines files that people bring: read strictly, every complaint with file, line and field."""

import json
import math
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from swirl.errors import ConfigError, RecordError
from swirl.seeds import derive
from swirl.types import Question


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
    """The rows of a file; raises `RecordError` for a line that is not one JSON object in UTF-8, and for a file without rows."""
    try:
        lines = path.read_bytes().removeprefix(BOM_UTF8).split(b"\n")
    except OSError as error:
        raise ConfigError(f"expected a JSON-lines file at {path}, but it cannot be read: {error.strerror}") from error
    filled = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not filled:
        raise RecordError(f"{path}: expected one JSON object a line, found an empty file")
    for number, line in filled:
        yield Row(f"{path}:{number}", _object(f"{path}:{number}", line))


def _object(place: str, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RecordError(
            f"{place}: expected UTF-8, found byte {error.object[error.start]:#04x} at {error.start}; save the file as UTF-8"
        ) from error
    except (ValueError, RecursionError) as error:
        raise RecordError(
            f"{place}: expected one JSON object, found {line[:40]!r} ({error}); is the line cut off?"
        ) from error
    if not isinstance(value, dict):
        raise RecordError(f"{place}: expected one JSON object, found {_shown(value)}")
    for name, field in value.items():
        _require_characters(place, name, field)
    return value


def _require_characters(place: str, name: str, value: object) -> None:
    """JSON can escape half of a character, which no file in UTF-8 can hold."""
    try:
        json.dumps([name, value], ensure_ascii=False).encode()
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


def shuffled(questions: Sequence[Question], seed: int | None) -> list[Question]:
    """The questions in an order of the seed's; None keeps the order they are in."""
    if seed is None:
        return list(questions)
    return sorted(questions, key=lambda question: derive(seed, "order", question.id))
