"""A file of records may be several, each with a writer of its own: `trajectories.jsonl`, `trajectories-00001.jsonl`, and so on.

The shards of a judge's verdicts are on the trajectories of the same number, so that whatever goes through a run holds one shard's verdicts
at a time, however many there are.

A *part* of a run is every n-th shard, so that several processes or machines make a run together, each the shards of its part.

Not here: what a run has to hold (`swirl.stages.chunks`), and who writes it.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from swirl.errors import ConfigError, RecordError
from swirl.records import read
from swirl.types import JudgedStep, Trajectory, Verdict


class Judged(Struct, frozen=True):
    """A trajectory and what judges said of its steps."""

    trajectory: Trajectory
    verdicts: Mapping[str, tuple[Verdict | None, ...]]
    """Judge's file (`verdicts` for the run's own judge, `verdicts-NAME` for another) -> one entry a step, None where there is none."""
    place: tuple[Path, int]
    """File and line of the trajectory."""


class Part(NamedTuple):
    """One of several parts of a run; the first of one is all of it."""

    number: int = 1
    """From 1."""
    of: int = 1

    @classmethod
    def read(cls, text: str) -> "Part":
        """The part that a flag names, all for an empty one; raises `ConfigError` where it names none.

        >>> Part.read("2/8"), Part.read("").whole
        (Part(number=2, of=8), True)
        """
        found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text or "1/1")
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ConfigError(
                f"--part: expected which part of how many, e.g. 2/8 for the second of eight, found {text!r}"
            )
        return cls(int(found[1]), int(found[2]))

    @property
    def whole(self) -> bool:
        """Whether it is all of the run."""
        return self.of == 1

    def has(self, shard: int) -> bool:
        """Whether a shard belongs to it.

        >>> [shard for shard in range(9) if Part(2, 4).has(shard)]
        [1, 5]
        """
        return shard % self.of == self.number - 1


ALL = Part()
"""The whole of a run."""


_MOST = 100_000
"""Shards that have a number of five digits."""


class Named(NamedTuple):
    """A trajectory by its id alone."""

    id: str
    place: tuple[Path, int]
    """File and line."""


class _Id(Struct, frozen=True, tag=Trajectory.__struct_config__.tag, tag_field="schema"):
    id: str


def shard(path: Path, number: int) -> Path:
    """The file of a shard, given the first one's.

    >>> shard(Path("runs/mine/trajectories.jsonl"), 3).name
    'trajectories-00003.jsonl'
    """
    return path.with_name(f"{path.stem}-{number:05d}{path.suffix}") if number else path


def shards(path: Path) -> list[Path]:
    """The shards that are there of a file, given the first one's, by number; raises `RecordError` where one in between is missing."""
    names = re.compile(rf"{re.escape(path.stem)}-(\d{{5}}){re.escape(path.suffix)}")
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    last = max((int(found[1]) for each in beside if (found := names.fullmatch(each.name))), default=0)
    # Looked for by name: what is made while a folder is listed may be left out, and shards are made in order.
    there = {number: each for number in range(last + 1) if (each := shard(path, number)).exists()}
    missing = next((number for number in range(last) if number not in there), None)
    if missing is not None:
        raise RecordError(
            f"expected {shard(path, missing)}, because {shard(path, last).name} is there, found none: put the missing shard back"
        )
    return list(there.values())


def number_of(path: Path) -> int:
    """Which shard a file is; 0 for one that has no number.

    >>> number_of(Path("runs/mine/verdicts-solver-00003.jsonl")), number_of(Path("verdicts.jsonl"))
    (3, 0)
    """
    found = re.search(r"-(\d{5})$", path.stem)
    return int(found[1]) if found else 0


def expect(path: Path, count: int) -> None:
    """Have so many shards of a file there, empty where nothing is written yet, so that one that is lost later is missed. Empty ones beyond
    them, of settings that changed before anything was written, go."""
    for expected in (shard(path, number) for number in range(count if count > 1 else 0)):
        if not expected.exists():
            expected.touch()
    beyond = takewhile(Path.exists, (shard(path, number) for number in range(count, _MOST)))
    for surplus in reversed(list(beyond)):
        if not surplus.stat().st_size:
            surplus.unlink()


def trajectories(folder: Path) -> Iterator[Trajectory]:
    """Every trajectory of a run folder, shard by shard."""
    for path in shards(folder / Trajectory.FILE):
        yield from read(path, Trajectory)


def ids(folder: Path) -> Iterator[Named]:
    """The id of every trajectory of a run folder, and where it stands; all else is skipped unseen."""
    for path in shards(folder / Trajectory.FILE):
        for line, each in enumerate(read(path, _Id), start=1):
            yield Named(each.id, (path, line))


def judged(folder: Path, files: Sequence[str] | None = None) -> Iterator[Judged]:
    """Every trajectory of a run folder with the verdicts on it, in the order of the files; of two on one step the later counts. `files`
    names those of the judges that are wanted, as in `Judged.verdicts`; None: all that are there."""
    wanted = judges(folder) if files is None else list(files)
    for number, path in enumerate(shards(folder / Trajectory.FILE)):
        said = {name: _by_trajectory(shard(folder / f"{name}.jsonl", number)) for name in wanted}
        for line, trajectory in enumerate(read(path, Trajectory), start=1):
            verdicts = {
                name: tuple(found.get(trajectory.id, {}).get(index) for index in range(len(trajectory.steps)))
                for name, found in said.items()
            }
            yield Judged(trajectory, verdicts, (path, line))


def judges(folder: Path) -> list[str]:
    """The judges whose verdicts are in a run folder, by their files' names; the run's own comes first.

    >>> judges(Path("nowhere"))
    []
    """
    stems = {re.sub(r"-\d{5}$", "", path.stem) for path in folder.glob("verdicts*.jsonl")}
    return sorted(stems)


def _by_trajectory(path: Path) -> Mapping[str, Mapping[int, Verdict]]:
    found: dict[str, dict[int, Verdict]] = defaultdict(dict)
    for record in read(path, JudgedStep) if path.exists() else ():
        found[record.trajectory][record.step] = record.verdict
    return found
