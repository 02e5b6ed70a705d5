"""What judges said of recorded steps, by byte offset: scores in arrays, reasons read where they are shown.

A verdict takes some 25 bytes, so that half a million of them can be compared at once; the files are followed while judging goes on.

Not here: how far two judges agree (`swirl.judges.agreement`), what the page makes of it (`swirl.viewer.pages.judge`).
"""

import re
import threading
import time
from collections.abc import Callable, Sequence
from math import inf, nan
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from swirl.judges.agreement import Agreement, agreement_of
from swirl.shards import number_of
from swirl.statistics import Interval, wilson
from swirl.types import JudgedStep
from swirl.viewer.following import Followed
from swirl.viewer.scores import STATUSES, STEPS, Said, Shard, gathered

_LOOK = 256
"""Lines between two looks at the clock."""
_NICE = [size for power in range(1, 9) for size in (5 * 10**power, 10 * 10**power, 20 * 10**power)]


class Spot(NamedTuple):
    """Where a verdict stands."""

    file: str
    offset: int


class Mean(NamedTuple):
    """A mean score, or a share that is good, with its interval."""

    at: int
    """The step, or the number of the last verdict of a block, from 1."""
    mean: Interval
    n: int
    """Verdicts with a score."""
    missing: int


class Tally(NamedTuple):
    """What a judge's verdicts come to."""

    good: int
    bad: int
    missing: dict[str, int]
    """Status -> verdicts without a score."""


class Difference(NamedTuple):
    """A step that two judges see differently."""

    trajectory: str
    step: int
    """From 0."""
    one: Spot
    other: Spot


class _Compared(NamedTuple):
    agreement: Agreement
    alone: int
    """Steps that one of the two was never asked about."""
    one: NDArray[np.intp]
    other: NDArray[np.intp]
    """Places of what they see differently, in the verdicts of each."""


class Verdicts:
    """The verdicts in a run folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.version = 0
        """Grows with each change."""
        self.complete = True
        """Whether all that is there was read."""
        self._files: dict[Path, Shard] = {}
        self._numbers: dict[str, int] = {}
        """Trajectory -> its number, in the order in which verdicts came."""
        self._names: list[str] = []
        self._made: dict[tuple[Any, ...], Any] = {}
        """What was reckoned of this version."""
        self._lock = threading.RLock()

    def refresh(self, budget: float = inf) -> bool:
        """Read what is new, for so many seconds; True where there was anything, or where something is gone."""
        with self._lock:
            until, changed, some = time.monotonic() + budget, self._forget(), False
            for path in sorted(self.folder.glob("verdicts*.jsonl")):
                shard = self._files.setdefault(path, Shard(Followed(path)))
                shard.done = not some or time.monotonic() <= until
                some = (shard.done and self._read(shard, until)) or some
            changed = changed or some
            self.complete = all(shard.done for shard in self._files.values())
            if changed:
                self._made = {}
                self.version += 1
            return changed

    def _forget(self) -> bool:
        gone = [path for path, shard in self._files.items() if not shard.followed.stands()]
        for path in gone:
            del self._files[path]
        return bool(gone)

    def _read(self, shard: Shard, until: float) -> bool:
        before = shard.followed.line
        for line in shard.followed.lines():
            shard.take(line.offset, line.data, self._number)
            if line.number % _LOOK == 0 and time.monotonic() > until:
                shard.done = False
                break
        return shard.followed.line > before

    def _number(self, trajectory: str) -> int:
        number = self._numbers.setdefault(trajectory, len(self._names))
        if number == len(self._names):
            self._names.append(trajectory)
        return number

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes that were read, and all of them."""
        files = [shard.followed for shard in self._files.values()]
        return sum(file.offset for file in files), sum(file.size() for file in files)

    @property
    def unread(self) -> int:
        """Lines that hold no verdict."""
        return sum(shard.unread for shard in self._files.values())

    def files(self) -> list[str]:
        """The judges, by their files' names without shard and ending (`verdicts` is the run's own), which comes first."""
        return sorted({_stem(path) for path in self._files})

    def judge(self, stem: str) -> str:
        """What a judge calls itself in its file; empty where nothing is in it."""
        return next((shard.judge for path, shard in sorted(self._files.items()) if _stem(path) == stem), "")

    def tally(self, stem: str) -> Tally:
        """What a judge's verdicts come to."""
        said = self._said(stem)
        good = int(np.count_nonzero(said.scores >= 0.5))
        counts = np.bincount(said.statuses[~said.known], minlength=len(STATUSES))
        missing = {status.value: int(count) for status, count in zip(STATUSES, counts, strict=True) if count}
        return Tally(good, int(said.known.sum()) - good, missing)

    def by_step(self, stem: str, most: int = 20) -> list[Mean]:
        """Mean score at each position, from 1, of the first so many."""
        said = self._said(stem)
        steps = said.keys % STEPS
        places = [(step, steps == step) for step in range(min(most, int(steps.max(initial=-1)) + 1))]
        return [_mean(step + 1, said.scores[place]) for step, place in places if place.any()]

    def over_time(self, stem: str, most: int = 12) -> list[Mean]:
        """Share that is good, block by block, in the order of the files; blocks are of a round number, at most so many of them."""
        scores = self._said(stem).scores
        size = next(size for size in _NICE if size * most >= len(scores))
        good = np.where(np.isnan(scores), nan, scores >= 0.5)
        return [_mean(min(start + size, len(good)), good[start : start + size]) for start in range(0, len(good), size)]

    def agreement(self, one: str, other: str) -> tuple[Agreement, int]:
        """How far one judge agrees with another, on the steps that both were asked about; and how many steps only one of them was."""
        found = self._compared(one, other)
        return found.agreement, found.alone

    def differences(self, one: str, other: str, start: int, stop: int, good: str = "") -> tuple[list[Difference], int]:
        """Some of the steps that two judges see differently, and how many there are; `good` names the one that has to call them good."""
        found, mine, theirs = self._compared(one, other), self._said(one), self._said(other)
        chosen = np.ones(len(found.one), dtype=bool)
        if good:
            chosen = (mine.scores[found.one] >= 0.5) == (good == one)
        files, its_files = self._paths(one), self._paths(other)
        pairs = zip(found.one[chosen][start:stop].tolist(), found.other[chosen][start:stop].tolist(), strict=True)
        rows = []
        for place, its in pairs:
            number, step = divmod(int(mine.keys[place]), STEPS)
            rows.append(Difference(self._names[number], step, _spot(mine, files, place), _spot(theirs, its_files, its)))
        return rows, int(chosen.sum())

    def at(self, spot: Spot, trajectory: str, step: int) -> JudgedStep | None:
        """The verdict that stands there; None where it is another by now."""
        try:
            with (self.folder / spot.file).open("rb") as stream:
                stream.seek(spot.offset)
                found = msgspec.json.decode(stream.readline(), type=JudgedStep)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return found if (found.trajectory, found.step) == (trajectory, step) else None

    def _paths(self, stem: str) -> Sequence[Path]:
        return sorted((path for path in self._files if _stem(path) == stem), key=number_of)

    def _said(self, stem: str) -> Said:
        with self._lock:
            found: Said = self._once(
                ("said", stem), lambda: gathered([self._files[path] for path in self._paths(stem)])
            )
            return found

    def _compared(self, one: str, other: str) -> _Compared:
        with self._lock:
            found: _Compared = self._once(
                ("compared", one, other), lambda: _compare(self._said(one), self._said(other))
            )
            return found

    def _once(self, name: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


def _spot(said: Said, files: Sequence[Path], place: int) -> Spot:
    return Spot(files[int(said.shards[place])].name, int(said.offsets[place]))


def _stem(path: Path) -> str:
    return re.sub(r"-\d{5}$", "", path.stem)


def _compare(one: Said, other: Said) -> _Compared:
    shared, mine, theirs = np.intersect1d(one.keys, other.keys, assume_unique=True, return_indices=True)
    both = one.known[mine] & other.known[theirs]
    first, second = one.scores[mine] >= 0.5, other.scores[theirs] >= 0.5
    counts = {
        (a, b): int(np.count_nonzero(both & (first == a) & (second == b))) for a in (True, False) for b in (True, False)
    }
    differ = both & (first != second)
    order = np.argsort(mine[differ], kind="stable")
    return _Compared(
        agreement_of(counts, len(shared) - int(both.sum())),
        len(one.keys) + len(other.keys) - 2 * len(shared),
        mine[differ][order],
        theirs[differ][order],
    )


def _mean(at: int, scores: NDArray[np.float64]) -> Mean:
    known = scores[~np.isnan(scores)]
    inside = min(max(float(known.sum()), 0.0), float(len(known)))  # no judge here gives a score outside 0 to 1
    return Mean(at, wilson(inside, len(known)), len(known), len(scores) - len(known))
