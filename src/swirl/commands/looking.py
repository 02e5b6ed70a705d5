"""What `swirl show` and `swirl stats` look at: a run's trajectories or its evaluation, as far as conditions hold."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro

from swirl.commands.words import parse, take
from swirl.errors import RunFolderError
from swirl.grades import grader
from swirl.known import LABELS, Known, evaluated, known, name_of
from swirl.run import Run
from swirl.shards import judges, shards
from swirl.terminal import progress
from swirl.where import parse as parse_where

T = TypeVar("T")
Of = Literal["trajectories", "evaluation"]
Conditions = Annotated[tuple[str, ...], tyro.conf.arg(metavar="EXPR ...")]
_BIG = 50_000_000
"""Bytes that take more than a second or two to read."""
_GROUP = 100
"""Trajectories between two movements of the bar."""


def told(usage: str, words: Sequence[str], default: T) -> tuple[Path, T]:
    """The run folder and the flags; conditions may be given together or one by one."""
    first, flags = take(words, usage)
    return Path(first), parse(usage, _gathered(flags, "--where"), default)


def _gathered(words: Sequence[str], name: str) -> list[str]:
    """The words with all that stands behind one flag put together, so that none of it takes another's place.

    >>> _gathered(["--where", "a=1", "--limit", "2", "--where", "b=2"], "--where")
    ['--limit', '2', '--where', 'a=1', 'b=2']
    """
    others: list[str] = []
    values: list[str] = []
    inside = found = False
    for word in words:
        if word == name or word.startswith(f"{name}="):
            inside = found = True
            values += [word.removeprefix(f"{name}=")] if word != name else []
        else:
            inside = inside and not word.startswith("--")
            (values if inside else others).append(word)
    return [*others, name, *values] if found else others


def looked_at(path: Path, of: Of, where: Sequence[str], *, bar: bool = True) -> Iterator[Known]:
    """What there is of a run in the order of its files, as far as the conditions hold. They are read at once, the files as it is asked for,
    with a bar where they are large."""
    run = Run.open(path)
    judge = run.config.judge.name
    if of == "evaluation":
        names, files, stream = [LABELS], sorted(run.evaluation.glob("*.jsonl")), evaluated(path)
        if not files:
            raise RunFolderError(f"expected an evaluation in {path}, found none: run `swirl evaluate {path}` first")
    else:
        names, files = [name_of(stem, judge) for stem in judges(path)], shards(run.trajectories)
        stream = known(path, judge, grader(run.config))
        if not files:
            run.require(run.trajectories, "generate")
    return filter(parse_where(where, names), _watched(stream, files) if bar else stream)


def _watched(stream: Iterable[Known], files: Sequence[Path]) -> Iterator[Known]:
    """The same stream, with progress where there is much to read."""
    if sum(file.stat().st_size for file in files) < _BIG:
        yield from stream
        return
    with progress("read", sum(map(_lines, files)), unit="trajectories") as advance:
        for place, each in enumerate(stream, start=1):
            yield each
            if place % _GROUP == 0:
                advance(_GROUP)


def _lines(file: Path) -> int:
    with file.open("rb") as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))
