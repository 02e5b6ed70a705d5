"""Files of lines that somebody else is writing: counted and summed up piece by piece, each whole line once.

Not here: how a file is followed (`swirl.viewer.following`), what single lines say of a trajectory (`swirl.viewer.index`).
"""

import re
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from swirl.calls import Call
from swirl.services.ledger import Request
from swirl.spending import Sum
from swirl.types import Verdict
from swirl.viewer.following import Followed

_SCORE = re.compile(rb'"verdict":\s*\{"score":\s*(null|[-+0-9.eE]+)')
"""In a line of verdicts; no text can hold it, since its quotes would be escaped."""

_UPDATE = re.compile(r"update (\d{1,9})")


class Growing(ABC):
    """What is new in a file whenever one looks. Where the file is another one, or shorter than it was, it begins anew."""

    def __init__(self, path: Path) -> None:
        self._file = Followed(path)
        self._reading = threading.Lock()
        self.begin()

    def refresh(self) -> None:
        """Read what is new, whole lines alone; nothing where the file is not there."""
        with self._reading:
            if not self._file.stands():
                self._file = Followed(self._file.path)
                self.begin()
            for block in self._file.blocks():
                self.take(block)

    @abstractmethod
    def begin(self) -> None:
        """Nothing was read."""

    @abstractmethod
    def take(self, block: bytes) -> None:
        """Some whole lines more."""


class Lines(Growing):
    """How many there are."""

    def begin(self) -> None:
        """None yet."""
        self.count = 0

    def take(self, block: bytes) -> None:
        """Count on."""
        self.count += block.count(b"\n")


class Verdicts(Lines):
    """How many of a judge's verdicts are good, bad and missing."""

    def begin(self) -> None:
        """None yet."""
        super().begin()
        self.good = self.bad = self.missing = 0

    def take(self, block: bytes) -> None:
        """Count on."""
        super().take(block)
        for score, count in Counter(_SCORE.findall(block)).items():
            if score == b"null":
                self.missing += count
            elif Verdict(_number(score)).good:
                self.good += count
            else:
                self.bad += count


def _number(score: bytes) -> float:
    try:
        return float(score)
    except ValueError:
        return 0.0


class Took(NamedTuple):
    """What an update took."""

    seconds: float
    tokens: int
    """Sampled."""
    parts: dict[str, float]
    """Seconds of its parts."""


class Calls(Growing):
    """Times of stages, and what was asked of services."""

    def begin(self) -> None:
        """Nothing yet."""
        self.seconds: dict[str, float] = {}
        """Stage -> seconds."""
        self.peak_memory_mb = 0.0
        self.updates: dict[tuple[str, int], Took] = {}
        """Stage and update -> what it took when it was last done."""
        self._sums: dict[tuple[str, str, str], Sum] = {}
        self._decoder = msgspec.json.Decoder(Call | Request)

    def take(self, block: bytes) -> None:
        """Add them up; a line that is neither a call nor a request is passed over."""
        for line in block.splitlines():
            try:
                told = self._decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
            if isinstance(told, Call):
                self.seconds[told.stage] = self.seconds.get(told.stage, 0.0) + told.seconds
                self.peak_memory_mb = max(self.peak_memory_mb, told.peak_memory_mb)
                if number := _UPDATE.fullmatch(told.item):
                    self.updates[told.stage, int(number[1])] = Took(told.seconds, told.tokens, told.parts)
            else:
                self._sums.setdefault((told.stage, told.service, told.model), Sum()).add(told)

    def services(self) -> list[dict[str, object]]:
        """As in a summary: by stage, service and model."""
        with self._reading:
            told = [found.told(*key) for key, found in self._sums.items()]
        return [dict(msgspec.to_builtins(one)) for one in told]


@lru_cache(maxsize=512)
def lines(path: Path) -> Lines:
    """The lines of a file."""
    return Lines(path)


@lru_cache(maxsize=512)
def verdicts(path: Path) -> Verdicts:
    """The verdicts in a file."""
    return Verdicts(path)


@lru_cache(maxsize=128)
def calls(path: Path) -> Calls:
    """What a run's `calls.jsonl` says."""
    return Calls(path)


def num_lines(paths: Iterator[Path]) -> int:
    """Lines of some files together."""
    total = 0
    for path in paths:
        found = lines(path)
        found.refresh()
        total += found.count
    return total
