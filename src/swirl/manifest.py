"""`manifest.json`: size and SHA-256 of every file of a run that has come to its end, so that what changes later is found (`swirl verify`).

A stage says when it begins and when it has ended. Meanwhile nobody vouches for its files; in the end those are hashed that it has written,
and no others: a file that was changed behind its back stays known as it was. Equal runs have equal manifests, but for `run.toml`, which
may name folders and addresses: what else may differ between them (`calls.jsonl`, `replies.sqlite`, `summary.json`, the report, a tracker's
files) is not in it, and neither are checkpoints, which come and go.
"""

import fcntl
import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from swirl.errors import RecordError
from swirl.processes import leads
from swirl.records import read_document, write_json
from swirl.terminal import Advance, progress

FILE = "manifest.json"
LOCK = "manifest.lock"
"""Its own, because several processes that write a part of a run each hold the run's."""
_IMPORTED = ("questions.jsonl", "import.jsonl")
SETTINGS = "settings"
"""What writes `run.toml`, which is no stage."""
FILES: Mapping[str, tuple[str, ...]] = {
    SETTINGS: ("run.toml",),
    "warm_start": ("warm_start/metrics.jsonl", "warm_start/model/*"),
    "generate": ("trajectories.jsonl", "trajectories-?????.jsonl", "origins/generate-*.json", *_IMPORTED),
    "judge": ("verdicts*.jsonl", "calibration.json", "origins/judge-*.json"),
    "filter": ("selection.json",),
    "train": ("train/metrics.jsonl", "train/samples.jsonl", "train/probes.jsonl", "train/model/*"),
    "evaluate": ("evaluation/*.jsonl", "origins/evaluate-*.json"),
}
"""Stage -> its files that two equal runs have in common."""
_DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_CODES = tuple(bytes(pair) for pair in product(_DIGITS, repeat=2))
"""What can stand for a line: 12 bits of its CRC-32."""
_CODE = 2
"""Characters of one."""
_LONG = 1000
"""Megabytes from which on hashing is worth a progress bar."""


class File(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a file has to be."""

    bytes: int
    sha256: str
    records: int = 0
    """Lines, each a record; 0 where it holds none."""
    lines: str = ""
    """Two characters a line, so that the lines that were changed can be named; empty for what is no text of the run's own."""


class Manifest(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="swirl.manifest/1", tag_field="schema"
):
    """What is known of a run's files."""

    under_way: tuple[str, ...] = ()
    """Stages that have begun, and not ended since; a part of one with its part."""
    files: dict[str, File] = {}
    """Path in the run folder -> what it has to be."""
    digest: str = ""
    """SHA-256 of all the above."""

    def sealed(self) -> "Manifest":
        """With its digest, its files in order."""
        bare = msgspec.structs.replace(self, files=dict(sorted(self.files.items())), digest="")
        return msgspec.structs.replace(bare, digest=hashlib.sha256(msgspec.json.encode(bare)).hexdigest())

    def vouches(self, name: str) -> bool:
        """Whether it has a file that no stage is at work on."""
        return name in self.files and stage_of(name) not in self.unfinished

    @property
    def unfinished(self) -> frozenset[str]:
        """The stages of which something is under way."""
        return frozenset(mark.partition(" ")[0] for mark in self.under_way)


def stage_of(name: str) -> str:
    """The stage that writes a file of a run folder; empty where none does.

    >>> stage_of("verdicts-solver-00001.jsonl"), stage_of("calls.jsonl")
    ('judge', '')
    """
    return next((stage for stage, patterns in FILES.items() for each in patterns if fnmatchcase(name, each)), "")


def found(folder: Path, stage: str) -> dict[str, Path]:
    """The files of a stage that are there, by their path in the run folder."""
    paths = (path for pattern in FILES.get(stage, ()) for path in folder.glob(pattern))
    return {path.relative_to(folder).as_posix(): path for path in paths if path.is_file() and path.suffix != ".part"}


def known(path: Path, on_read: Callable[[int], None] = lambda count: None) -> File:
    """What a file is now; it is read once, and not kept in memory. `on_read` hears how many bytes were read."""
    digest, size = hashlib.sha256(), 0
    codes = bytearray() if _in_lines(path) else None
    with path.open("rb") as stream:
        parts = stream if codes is not None else iter(lambda: stream.read(1 << 20), b"")
        for part in parts:
            digest.update(part)
            size += len(part)
            if codes is not None:
                codes += _CODES[zlib.crc32(part) & 0xFFF]
            on_read(len(part))
    lines = (codes or b"").decode()
    return File(size, digest.hexdigest(), len(lines) // _CODE if path.suffix == ".jsonl" else 0, lines)


def _in_lines(path: Path) -> bool:
    """Whether it is a text of the run's own, not of a model."""
    return path.suffix in (".jsonl", ".json", ".toml") and path.parent.name != "model"


class Megabytes:
    """Bytes that are read, told to a progress bar in megabytes."""

    def __init__(self, num_bytes: int) -> None:
        self.total = num_bytes // 1_000_000
        """How many there are in all."""
        self._read = 0

    def read(self, count: int, advance: Advance) -> None:
        """So many bytes more were read."""
        told = self._read // 1_000_000
        self._read += count
        if (now := self._read // 1_000_000) > told:
            advance(now - told)


class Change(NamedTuple):
    """A line that is not what it was."""

    line: int
    """From 1."""
    what: str


def changes(then: str, now: str) -> list[Change]:
    """How the lines of a file differ, given the codes of both; empty where that cannot be told.

    >>> changes("AAbbCC", "AAxxCC")
    [Change(line=2, what='it was changed')]
    >>> changes("AAbbCC", "CCbbAA")[0].what
    'it has changed places with line 3'
    >>> changes("AAbbCC", "AACC")
    [Change(line=2, what='1 line that stood before it is gone')]
    """
    before, after = _each(then), _each(now)
    pairs = enumerate(zip(before, after, strict=False), start=1)
    differing = [line for line, (old, new) in pairs if old != new]
    if len(before) == len(after):
        if len(differing) == 2 and [before[line - 1] for line in differing] == [
            after[line - 1] for line in differing[::-1]
        ]:
            return [Change(differing[0], f"it has changed places with line {differing[1]}")]
        return [Change(line, "it was changed") for line in differing]
    first = differing[0] if differing else min(len(before), len(after)) + 1
    surplus = len(after) - len(before)
    rest = f"{abs(surplus)} line{'s' if abs(surplus) > 1 else ''}"
    if surplus < 0 and after[first - 1 :] == before[first - 1 - surplus :]:
        where = "stood before it" if first <= len(after) else "stood from here on"
        return [Change(first, f"{rest} that {where} {'are' if surplus < -1 else 'is'} gone")]
    if surplus > 0 and before[first - 1 :] == after[first - 1 + surplus :]:
        return [Change(first, f"{rest} too many, from here on")]
    return [Change(first, "it differs, and so does what follows")]


def _each(text: str) -> list[str]:
    return [text[start : start + _CODE] for start in range(0, len(text), _CODE)]


def read_manifest(folder: Path) -> Manifest:
    """What is known of a run's files; nothing where there is no manifest yet. Raises `RecordError` where it is damaged or was edited."""
    path = folder / FILE
    if not path.exists():
        return Manifest().sealed()
    again = f"swirl verify {folder}"
    manifest = read_document(path, Manifest, again)
    if manifest != manifest.sealed():
        raise RecordError(
            f"{path}: expected what swirl wrote, found that it was edited (its digest differs); restore it from a copy, or look at the "
            "files that it names, and delete it: the stages of the run then write it anew"
        )
    return manifest


@contextmanager
def writing(
    folder: Path, stage: str, part: str = "", owns: Callable[[str], bool] = lambda name: True
) -> Iterator[None]:
    """A stage at work, or a part of one, which `owns` the files of some names. What it has written is in the manifest in the end; where it
    fails or is killed, the manifest goes on saying that it is unfinished, unless nothing was written."""
    if stage not in FILES or not leads():
        yield
        return
    mark, before = f"{stage} {part}".rstrip(), _seen(folder, stage, owns)
    again = mark in _update(folder, lambda old: _marked(old, mark)).under_way
    try:
        yield
    except BaseException:
        if not again and _seen(folder, stage, owns) == before:
            _update(folder, lambda old: _unmarked(old, mark))
        raise
    now = _seen(folder, stage, owns)
    there = read_manifest(folder).files
    written = [name for name in now if again or now[name] != before.get(name) or name not in there]
    files = _hashed(folder, written)

    def seal(old: Manifest) -> Manifest:
        gone = {name for name in old.files if stage_of(name) == stage and owns(name) and name not in now}
        kept = {name: file for name, file in old.files.items() if name not in gone}
        return msgspec.structs.replace(_unmarked(old, mark), files={**kept, **files})

    _update(folder, seal)


def _hashed(folder: Path, names: Sequence[str]) -> dict[str, File]:
    megabytes = Megabytes(sum((folder / name).stat().st_size for name in names))
    with progress("hash", megabytes.total if megabytes.total >= _LONG else 0, unit="MB") as advance:
        return {name: known(folder / name, lambda count: megabytes.read(count, advance)) for name in names}


def _seen(folder: Path, stage: str, owns: Callable[[str], bool]) -> dict[str, tuple[int, int, int]]:
    """What tells whether a file was written since."""
    stats = {name: path.stat() for name, path in found(folder, stage).items() if owns(name)}
    return {name: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def _marked(manifest: Manifest, mark: str) -> Manifest:
    return msgspec.structs.replace(manifest, under_way=tuple(sorted({*manifest.under_way, mark})))


def _unmarked(manifest: Manifest, mark: str) -> Manifest:
    """Without the mark; a stage that is done whole is done in all its parts."""
    left = (each for each in manifest.under_way if each != mark and not each.startswith(f"{mark} "))
    return msgspec.structs.replace(manifest, under_way=tuple(left))


def forget(folder: Path, stages: set[str]) -> None:
    """Know no more of the files of some stages, which are going to be removed."""

    def without(old: Manifest) -> Manifest:
        files = {name: file for name, file in old.files.items() if stage_of(name) not in stages}
        marks = tuple(mark for mark in old.under_way if mark.partition(" ")[0] not in stages)
        return msgspec.structs.replace(old, files=files, under_way=marks)

    if (folder / FILE).exists():
        _update(folder, without)


def _update(folder: Path, change: Callable[[Manifest], Manifest]) -> Manifest:
    """Change the manifest, one process at a time; returns what it was."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        old = read_manifest(folder)
        new = change(old).sealed()
        if new != old:
            write_json(folder / FILE, new)
        return old
    finally:
        os.close(descriptor)
