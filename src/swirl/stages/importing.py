"""Importing: traces of other tools become the trajectories of a run folder, on questions of its own.

The questions are written beside them, as the run's one task (`jsonl`), each with the numbers of the samples that are there: so the run is
one whose generation is done, and every other stage goes on from there. `import.jsonl` says of each trajectory where it came from, and lists
what could not be mapped. The folder is there whole or not at all; trajectories are held one at a time.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from swirl.errors import ConfigError, RecordError, RunFolderError
from swirl.folders import whole
from swirl.imports import CannotMap, Format, Imported, Reading, Source, Trace, Unmapped
from swirl.imports.mapping import mapped
from swirl.imports.messages import SYSTEM
from swirl.manifest import writing
from swirl.rollout import begin
from swirl.run import Run
from swirl.settings import QUESTIONS, RunConfig
from swirl.shards import shard
from swirl.stages.outline import outline
from swirl.terminal import Advance, progress, say
from swirl.types import Question, Rules, Trajectory

LISTED = "import.jsonl"
SETTING_UP = ("run.toml", "run.toml.part", "manifest.json", "manifest.json.part", "manifest.lock")
_FOUND = "found.jsonl"
"""Trajectories as they were found, until the run's order is known."""
_REASONS = 5
"""Why traces could not be mapped: how many reasons are told at the end."""


@dataclass
class Found:
    """What was found so far: which samples of which questions, and where they stand in the file they are kept in meanwhile."""

    samples: dict[str, set[int]] = field(default_factory=dict)
    """Id of a question -> numbers of its samples."""
    places: dict[str, int] = field(default_factory=dict)
    """Id of a trajectory -> where it begins."""
    unmapped: Counter[str] = field(default_factory=Counter)
    """Why -> how many."""
    instructed: int = 0
    """Trajectories whose traces have system messages, which are left out."""
    _asked: dict[str, bytes] = field(default_factory=dict)

    def named(self, mapped: Trajectory) -> Trajectory:
        """The trajectory as one of this run: its question's id, which no other question has, and a number that no other of its samples has.
        Questions without a name are the same where text and answers are."""
        question = mapped.question
        if not question.text.strip() or not all(answer.strip() for answer in question.answers):
            raise CannotMap(question.text, "the question, or an accepted answer to it, is blank")
        told = hashlib.sha256(json.dumps([question.text, question.answers]).encode()).digest()
        if mapped.sample < 0:
            raise CannotMap(str(mapped.sample), "the number of its sample is below 0")
        name = question.id.strip() or told.hex()[:12]
        if self._asked.get(name, told) != told:
            raise CannotMap(name, "its question has the id of another question, whose text or answers differ")
        self._asked[name] = told
        there = self.samples.get(name, set())
        number = mapped.sample if mapped.sample not in there else _free(there)
        asked = msgspec.structs.replace(question, id=name)
        own = begin(asked, mapped.rules, sample=number)
        return msgspec.structs.replace(mapped, id=own.id, question=asked, sample=number)

    def add(self, own: Trajectory, place: int, trace: Trace) -> None:
        """Count a trajectory, which begins at a place."""
        self.samples.setdefault(own.question.id, set()).add(own.sample)
        self.places[own.id] = place
        self.instructed += any(isinstance(each, dict) and each.get("role") in SYSTEM for each in trace.messages)


def _free(numbers: set[int]) -> int:
    """A number that is not among them; the next one, where they are 0, 1, 2 and so on."""
    number = len(numbers)
    while number in numbers:
        number += 1
    return number


class _Files(NamedTuple):
    """What is written while traces are read."""

    kept: BinaryIO
    listed: BinaryIO


def import_traces(paths: Sequence[Path], form: Format, reading: Reading, out: Path, config: RunConfig) -> Found:
    """Make a run folder of the traces in some files. Raises `RecordError` where a file is none of that format or nothing in it can be
    mapped, and `RunFolderError` where `out` holds something already."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunFolderError(f"expected a new or empty folder at {out}, found something in it; choose another --out")
    sources, found = [_source(path) for path in dict.fromkeys(paths)], Found()
    with whole(out, _is_written) as part:
        with (
            (part / _FOUND).open("wb") as kept,
            (part / LISTED).open("wb") as listed,
            progress("import", sum(map(_kilobytes, sources)), unit="kB") as advance,
        ):
            for source in sources:
                _read(source, form, reading, found, _Files(kept, listed), advance)
        _write(part, out, config, found)
        (part / _FOUND).unlink()
    _tell(found, out)
    return found


def _is_written(name: str) -> bool:
    return name in (*SETTING_UP, QUESTIONS, LISTED, _FOUND) or name.startswith("trajectories")


def _source(path: Path) -> Source:
    if not path.is_file():
        raise ConfigError(f"expected a file of traces at {path}, found {'a folder' if path.is_dir() else 'none'}")
    return Source(path)


def _kilobytes(source: Source) -> int:
    return -(-source.size // 1000)


def _read(source: Source, form: Format, reading: Reading, found: Found, files: _Files, advance: Advance) -> None:
    """Write down what a file holds."""
    before, told, first = len(found.places), 0, None
    for number, each in enumerate(form.read(source, reading), start=1):
        unmapped = _keep(each, reading, found, files)
        first = first or (number, unmapped)
        now = min(source.done // 1000, _kilobytes(source))
        advance(now - told, f"{found.unmapped.total()} not mapped" if found.unmapped else "")
        told = now
    if first is None:
        raise RecordError(f"{source.path}: expected {form.about}, found nothing in it")
    if len(found.places) == before and first[1] is not None:
        one = first[1]
        raise RecordError(
            f"{source.path}: expected {form.about}, found nothing that can be mapped: the first is {one.place}, {one.why} (found "
            f"{one.found[:60]!r})"
        )
    advance(_kilobytes(source) - told)


def _keep(each: Trace | Unmapped, reading: Reading, found: Found, files: _Files) -> Unmapped | None:
    """Write a trace down as a trajectory, or list it; returns what could not be mapped."""
    unmapped = each if isinstance(each, Unmapped) else _mapped(each, reading, found, files)
    if unmapped is not None:
        found.unmapped[unmapped.why] += 1
        files.listed.write(msgspec.json.encode(unmapped) + b"\n")
    return unmapped


def _mapped(trace: Trace, reading: Reading, found: Found, files: _Files) -> Unmapped | None:
    try:
        own = found.named(mapped(trace, reading))
        data = msgspec.json.encode(own)
        record = msgspec.json.encode(Imported(place=trace.place, trajectory=own.id, told=dict(trace.told)))
    except CannotMap as why:
        return why.at(trace.place)
    except UnicodeEncodeError:
        return Unmapped(place=trace.place, found="half of a surrogate pair", why="expected Unicode text")
    found.add(own, files.kept.tell(), trace)
    files.kept.write(data + b"\n")
    files.listed.write(record + b"\n")
    return None


def _write(part: Path, out: Path, config: RunConfig, found: Found) -> None:
    """The run's configuration, its questions, and its trajectories in the order that it has them in."""
    generate = replace(
        config.generate,
        tasks=(f"jsonl:{out / QUESTIONS}",),
        questions=len(found.samples),
        samples=max(map(len, found.samples.values())),
    )
    with (part / _FOUND).open("rb") as kept:
        with (part / QUESTIONS).open("wb") as questions:
            for line in _questions(kept, found):
                questions.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        Run(part, replace(config, generate=generate)).write_config()
        with writing(part, "generate"):
            for own in outline(Run.open(part)):
                with shard(part / Trajectory.FILE, own.number).open("wb") as file:
                    for name in own.names:
                        kept.seek(found.places[name])
                        file.write(kept.readline())


def _questions(kept: BinaryIO, found: Found) -> Iterator[dict[str, object]]:
    for name, samples in found.samples.items():
        asked = Question(id=name, task="jsonl", text="")
        kept.seek(found.places[begin(asked, Rules(), sample=min(samples)).id])
        question = msgspec.json.decode(kept.readline(), type=Trajectory).question
        yield {
            "id": name,
            "question": question.text,
            "answer": question.answers,
            "split": "train",
            "samples": sorted(samples),
        }


def _tell(found: Found, out: Path) -> None:
    said = f"{out}: {len(found.places)} trajectories on {len(found.samples)} questions"
    say(f"{said}; go on by `swirl judge {out}`")
    if found.instructed:
        say(
            f"{found.instructed} of them had system messages, which are left out: a trajectory has our own instructions"
        )
    if found.unmapped:
        say(f"{found.unmapped.total()} traces could not be mapped; {out / LISTED} lists each:")
    for why, count in found.unmapped.most_common(_REASONS):
        say(f"  {count} x {why}")
    if len(found.unmapped) > _REASONS:
        say(f"  and {len(found.unmapped) - _REASONS} other reasons")
