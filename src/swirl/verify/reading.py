"""Reading a run's files so that one that is wrong keeps none of the others from being looked at."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from swirl.errors import RecordError
from swirl.manifest import stage_of
from swirl.records import decode_line
from swirl.shards import shard, shards
from swirl.verify import Checking, Finding, parts

T = TypeVar("T", bound=msgspec.Struct)
_ID = re.compile(rb'"id":"([^"\\]+)"')
"""Of a trajectory whose line cannot be read, as far as it can be told."""


def records_of(
    checking: Checking, path: Path, kind: type[T], damaged: set[str] | None = None
) -> Iterator[tuple[str, T]]:
    """The records of a file, each with its place. Lines that hold none are noted, and the ids in them added to `damaged`."""
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            checking.on_read(len(line))
            if not line.endswith(b"\n"):
                return
            checking.records += 1
            try:
                record: T = decode_line(decoder, kind, line, f"{path}:{number}")
            except RecordError as error:
                _note(checking, path, error)
                if damaged is not None and (found := _ID.search(line)):
                    damaged.add(found[1].decode(errors="replace"))
            else:
                yield f"{path}:{number}", record


def _note(checking: Checking, path: Path, error: RecordError) -> None:
    stage = stage_of(path.relative_to(checking.run.path).as_posix())
    place, problem, _ = parts(error)
    checking.add(Finding(place, "unreadable record", problem, checking.again(stage)))


def paths(checking: Checking, first: Path) -> Mapping[int, Path]:
    """The shards of a file that are there, by number; one that is missing in between is noted."""
    try:
        return dict(enumerate(shards(first)))
    except RecordError as error:
        place, _, problem = str(error).removeprefix("expected ").partition(", ")
        remedy = f"put the missing shard back, or run `swirl {stage_of(first.name)} {checking.run.path} --redo`"
        checking.add(Finding(place, "missing shard", problem.rpartition(":")[0], remedy))
    numbered = ((path, re.fullmatch(r".*-(\d{5})", path.stem)) for path in first.parent.glob(f"{first.stem}*.jsonl"))
    there = {int(found[1]): path for path, found in numbered if found and path == shard(first, int(found[1]))}
    return dict(sorted({**({0: first} if first.exists() else {}), **there}.items()))
