"""The files of a run folder that the viewer follows, and what each of them holds."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from swirl.errors import RecordError
from swirl.evaluate import EvaluatedTrajectory
from swirl.known import name_of
from swirl.records import decode_line
from swirl.shards import number_of
from swirl.types import JudgedStep, Trajectory
from swirl.viewer.following import Followed, Line

Kind = Literal["trajectories", "verdicts", "evaluation"]
KINDS: dict[Kind, type[Struct]] = {
    "trajectories": Trajectory,
    "verdicts": JudgedStep,
    "evaluation": EvaluatedTrajectory,
}
_DECODERS = {kind: msgspec.json.Decoder(record) for kind, record in KINDS.items()}
_NO_TEXT = re.compile(r"[\ud800-\udfff]")
_GENERATED = re.compile(r"trajectories(-\d{5})?\.jsonl")


class Source:
    """One of the files, how far it was read, and what of it was no record."""

    def __init__(self, path: Path, kind: Kind, judge: str) -> None:
        self.path = path
        self.kind = kind
        self.shard = number_of(path) if kind != "evaluation" else 0
        self.judge = name_of(re.sub(r"-\d{5}$", "", path.stem), judge) if kind == "verdicts" else ""
        """Whose verdicts it holds."""
        self.number = 0
        """Its own among the files that were ever followed."""
        self.rank = -1
        """Its place among the files of its kind."""
        self.torn = False
        """Whether what was read of it did not reach the index."""
        self.begin()

    def begin(self) -> None:
        """Read it from its beginning."""
        self.followed = Followed(self.path)
        self.records = 0
        self.wrong: list[str] = []
        """What is said of the first line that is no record, and how many there are."""
        self.num_wrong = 0
        self.torn = False

    def record(self, line: Line) -> Struct | None:
        """The record in a line; None, and a remark, where there is none."""
        kind = KINDS[self.kind]
        try:
            found: Struct = decode_line(_DECODERS[self.kind], kind, line.data, f"{self.path}:{line.number}")
        except RecordError as error:
            self.remark(str(error))
            return None
        self.records += 1
        return found

    def remark(self, sentence: str) -> None:
        """Note a line that is no record."""
        self.num_wrong += 1
        self.wrong = self.wrong or [sentence]

    @property
    def order(self) -> tuple[bool, int, str, str]:
        """In which order files are read: trajectories with what was said of them, shard by shard, then the evaluation."""
        return (self.kind == "evaluation", self.shard, self.kind, self.path.name)

    def remarks(self) -> Iterator[str]:
        """What is told of it, in a sentence."""
        if self.num_wrong:
            more = f" ({self.num_wrong} lines of the file are like that, and left out)" if self.num_wrong > 1 else ""
            yield f"{self.wrong[0]}{more}"


def listed(run: Path) -> list[tuple[Path, Kind]]:
    """The files that are there, by name; those whose names are no text are none that swirl writes.

    >>> listed(Path("nowhere"))
    []
    """
    found: list[tuple[Path, Kind]] = []
    for path in _named(run):
        if _GENERATED.fullmatch(path.name):
            found.append((path, "trajectories"))
        elif path.name.startswith("verdicts"):
            found.append((path, "verdicts"))
    return found + [(path, "evaluation") for path in _named(run / "evaluation")]


def _named(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.jsonl") if not _NO_TEXT.search(path.name))
