"""Rows of JSON-lines files that people bring: read strictly, every complaint with file, line and field."""

import json
from collections.abc import Iterator, Sequence
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


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file; raises `RecordError` for a line that is not one JSON object in UTF-8, and for a file without rows."""
    try:
        lines = path.read_bytes().split(b"\n")
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
    return value


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)[:60]


def shuffled(questions: Sequence[Question], seed: int | None) -> list[Question]:
    """The questions in an order of the seed's; None keeps the order they are in."""
    if seed is None:
        return list(questions)
    return sorted(questions, key=lambda question: derive(seed, "order", question.id))
