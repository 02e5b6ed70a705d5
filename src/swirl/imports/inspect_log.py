"""Logs of Inspect: `.eval`, a zip archive with a file a sample, or one JSON document.

Documented at https://inspect.aisi.org.uk/eval-logs.html and https://inspect.aisi.org.uk/reference/inspect_ai.log.html (`EvalLog`,
`EvalSample`); inspect_ai itself need not be installed. A question's name is the task's and the sample's; the target is its answer; an epoch
is one of its samples. An error of a tool is an observation that refuses. A sample of one of our own tasks
(`swirl.inspect_tasks`) holds its trajectory whole.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from swirl.documents import Document
from swirl.errors import RecordError
from swirl.imports import CannotMap, Format, Reading, Source, Trace, Unmapped
from swirl.imports.packed import Archive
from swirl.rows import Row, require_characters, row_of

_SAMPLE = re.compile(r"samples/.+_epoch_\d+\.json")
_CHUNKED = re.compile(r"samples/(.+_epoch_\d+)/sample\.json")
_ATTACHED = "attachment://"


def read(source: Source, reading: Reading) -> Iterator[Trace | Unmapped]:
    """The samples of a log."""
    with source.path.open("rb") as file:
        packed = file.read(4) == b"PK\x03\x04"
    yield from _packed(source) if packed else _document(source)


def _packed(source: Source) -> Iterator[Trace | Unmapped]:
    archive = Archive(source.path)
    begun = next((name for name in ("header.json", "_journal/start.json") if name in archive.files), None)
    if begun is None:
        raise RecordError(
            f"{source.path}: expected a log of Inspect, found a zip archive with neither header.json nor _journal/start.json"
        )
    spec = _spec(row_of(f"{source.path}, {begun}", archive.read(begun)).fields.get("eval"))
    for name, info in archive.files.items():
        place = f"{source.path}, {name}"
        source.done += info.compress_size
        if chunked := _CHUNKED.fullmatch(name):
            yield Unmapped(
                place=place,
                found=f"the sample {chunked[1]} in pieces",
                why="expected a sample in one file; `inspect log convert --to json` writes it so",
            )
        elif _SAMPLE.fullmatch(name):
            yield _sample(place, archive.read(name), spec)


def _sample(place: str, data: bytes, spec: Mapping[str, Any]) -> Trace | Unmapped:
    try:
        return _trace(row_of(place, data), spec)
    except CannotMap as why:
        return why.at(place)
    except RecordError as error:
        return Unmapped(
            place=place, found=data[:40].decode(errors="replace"), why=str(error).removeprefix(f"{place}: ")
        )


def _document(source: Source) -> Iterator[Trace | Unmapped]:
    """One sample after the other: a log may be larger than memory. What is told of the whole stands before them."""
    with source.path.open("rb") as file:
        text = Document(str(source.path), file)
        spec: Mapping[str, Any] = {}
        if not text.skip("{"):
            raise RecordError(
                f"{source.path}: expected a log of Inspect, a zip archive or a table in JSON, found neither"
            )
        found = False
        while not text.skip("}"):
            name = text.value()
            text.expect(":")
            if name == "samples" and text.skip("["):
                found = True
                for number, value in enumerate(_items(text), start=1):
                    source.done = file.tell()
                    yield _checked(f"{source.path}, sample {number}", value, spec)
            else:
                value = text.value()
                spec = _spec(value) if name == "eval" else spec
            if text.peek() != "}":
                text.expect(",")
        if not found:
            raise RecordError(
                f"{source.path}: expected a log of Inspect with its samples, found a table without a list of them"
            )


def _items(text: Document) -> Iterator[Any]:
    while not text.skip("]"):
        yield text.value()
        if text.peek() != "]":
            text.expect(",")


def _checked(place: str, value: Any, spec: Mapping[str, Any]) -> Trace | Unmapped:
    try:
        if not isinstance(value, dict):
            raise CannotMap(value, "expected a sample, a table")
        for name, field in value.items():
            require_characters(place, name, field)
        return _trace(Row(place, value), spec)
    except CannotMap as why:
        return why.at(place)
    except RecordError as error:
        return Unmapped(place=place, found="", why=str(error).removeprefix(f"{place}: "))


def _spec(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _trace(row: Row, spec: Mapping[str, Any]) -> Trace:
    fields = row.fields
    messages, attachments = fields.get("messages"), fields.get("attachments")
    if not isinstance(messages, list):
        raise CannotMap(f"fields {', '.join(fields)}", "expected a sample with its messages")
    named = row.texts("id")
    task, model, limit = spec.get("task"), spec.get("model"), fields.get("limit")
    told = {
        "scores": _values(fields.get("scores")),
        "limit": limit.get("type") if isinstance(limit, dict) else None,
        "error": bool(fields.get("error")),
    }
    return Trace(
        place=f"{row.place} ({named[0]}, epoch {fields.get('epoch')})" if named else row.place,
        messages=[_attached(message, attachments if isinstance(attachments, dict) else {}) for message in messages],
        name="-".join(filter(None, [task if isinstance(task, str) else "", named[0] if named else ""])),
        answers=row.texts("target") if fields.get("target") else (),
        policy=model if isinstance(model, str) else "",
        told={name: value for name, value in told.items() if value},
        record=_record(fields.get("metadata")),
    )


def _record(metadata: Any) -> Mapping[str, Any] | None:
    """The trajectory that our own tasks of Inspect leave in the sample, where their solver took a step."""
    record = metadata.get("swirl") if isinstance(metadata, dict) else None
    return record if isinstance(record, dict) and record.get("steps") else None


def _values(scores: Any) -> dict[str, Any]:
    """The value of each scorer."""
    table = scores.items() if isinstance(scores, dict) else ()
    return {name: score["value"] for name, score in table if isinstance(score, dict) and "value" in score}


def _attached(value: Any, attachments: Mapping[str, Any]) -> Any:
    """A message with the long texts that the log keeps apart."""
    if isinstance(value, dict):
        return {name: _attached(field, attachments) for name, field in value.items()}
    if isinstance(value, list):
        return [_attached(one, attachments) for one in value]
    if isinstance(value, str) and value.startswith(_ATTACHED):
        text = attachments.get(value.removeprefix(_ATTACHED))
        if not isinstance(text, str):
            raise CannotMap(value, "a text of a message is among none of the sample's attachments")
        return text
    return value


FORMAT = Format("inspect", "logs of Inspect: .eval, or JSON", read)
