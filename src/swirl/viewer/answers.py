"""What was answered to held-out questions, by byte offset: who was right, and where each record stands, so that one is read and never all.

The first answers to a question are compared, as McNemar's test does; how many of several samples are right stands beside it. Of a record a
few hundred bytes are kept. Files are followed while an evaluation goes on; one that is made anew is read anew.

Not here: which of the questions are wanted (`swirl.viewer.listing`), what they come to (`swirl.figures`).
"""

import threading
import time
from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from swirl.evaluate import EvaluatedTrajectory, When
from swirl.types import Action, Answer, StopReason
from swirl.viewer.following import Followed

Kind = Literal["gained", "lost", "right", "wrong", "waiting"]
"""What became of a question: right after alone, before alone, both times, neither time; or answered by one of two policies so far."""
KINDS: tuple[Kind, ...] = ("gained", "lost", "right", "wrong", "waiting")
_CUT = 400
"""Characters that are kept of a text; the record has all of it."""
_LOOK = 64
"""Lines between two looks at the clock."""


class Way(NamedTuple):
    """How questions were asked."""

    task: str
    mode: str
    prompt: str
    tools: str
    """with or without."""


class Said(Struct, frozen=True, gc=False):
    """One answer, and where its record stands."""

    sample: int
    correct: bool
    answer: str
    """The final answer; without one, how it ended."""
    file: str
    offset: int


class Pair(NamedTuple):
    """A question as both policies answered it first, as far as they did."""

    way: Way
    id: str
    text: str
    gold: str
    before: Said | None
    after: Said | None
    right: tuple[int, int]
    """Samples that are right, before and after."""
    samples: tuple[int, int]
    kind: Kind


class Count(NamedTuple):
    """What became of the questions of a way."""

    gained: int = 0
    lost: int = 0
    right: int = 0
    wrong: int = 0
    waiting: int = 0
    before: tuple[int, int] = (0, 0)
    """First answers that are right, and all of them."""
    after: tuple[int, int] = (0, 0)


class Records(NamedTuple):
    """All samples of both policies on a question, each in order."""

    before: tuple[EvaluatedTrajectory, ...] = ()
    after: tuple[EvaluatedTrajectory, ...] = ()


class _Asked(Struct, frozen=True):
    id: str
    text: str
    answers: tuple[str, ...] = ()


class _Step(Struct, frozen=True):
    action: Action


class _Trajectory(Struct, frozen=True, tag="swirl.trajectory/1", tag_field="schema"):
    question: _Asked
    sample: int = 0
    steps: tuple[_Step, ...] = ()
    stop: StopReason | None = None


class _Grade(Struct, frozen=True):
    correct: bool


class _Record(Struct, frozen=True, tag=EvaluatedTrajectory.__struct_config__.tag, tag_field="schema"):
    """A line of a file of evaluation, read for these fields alone."""

    policy: When
    task: str
    mode: str
    prompt: str
    trajectory: _Trajectory
    grade: _Grade
    tools: bool = True


class _File:
    """One file as far as it was read."""

    def __init__(self, path: Path) -> None:
        self.followed = Followed(path)
        self.records: list[tuple[Way, When, _Asked, Said]] = []
        self.unread = 0
        """Lines that hold no record."""
        self.done = True


class _Question:
    """What is known of one question asked in one way."""

    def __init__(self, asked: _Asked) -> None:
        self.asked = asked
        self.said: Mapping[When, dict[int, Said]] = {"before": {}, "after": {}}


class Answers:
    """The evaluation of a run folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.version = 0
        """Grows with each change."""
        self.complete = True
        """Whether all that is there was read."""
        self._decoder = msgspec.json.Decoder(_Record)
        self._files: dict[Path, _File] = {}
        self._found: dict[Way, dict[str, _Question]] = {}
        self._two: set[Way] = set()
        self._lock = threading.Lock()

    @property
    def unread(self) -> int:
        """Lines that hold no record of an evaluation."""
        return sum(file.unread for file in self._files.values())

    def refresh(self, budget: float = inf) -> bool:
        """Read what is new, for so many seconds; True where there was anything, or where something is gone."""
        with self._lock:
            until, changed, some = time.monotonic() + budget, self._forget(), False
            for path in sorted(self.folder.glob("*.jsonl"), key=_order):
                file = self._files.setdefault(path, _File(path))
                file.done = not some or time.monotonic() <= until
                for line in file.followed.lines() if file.done else ():
                    changed = some = True
                    self._take(file, line.offset, line.data)
                    if line.number % _LOOK == 0 and time.monotonic() > until:
                        file.done = False
                        break
            self.complete = all(file.done for file in self._files.values())
            if changed:
                self._gather()
                self.version += 1
            return changed

    def _forget(self) -> bool:
        """Let go of the files that are no longer what was read of them."""
        gone = [path for path, file in self._files.items() if not file.followed.stands()]
        for path in gone:
            del self._files[path]
        return bool(gone)

    def _take(self, file: _File, offset: int, data: bytes) -> None:
        try:
            record = self._decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            file.unread += 1
            return
        trajectory = record.trajectory
        asked = trajectory.question
        kept = _Asked(asked.id, asked.text[:_CUT], (" or ".join(asked.answers)[:_CUT],))
        way = Way(record.task, record.mode, record.prompt, "with" if record.tools else "without")
        said = Said(
            trajectory.sample, record.grade.correct, _answer(trajectory)[:_CUT], file.followed.path.name, offset
        )
        file.records.append((way, record.policy, kept, said))

    def _gather(self) -> None:
        found: dict[Way, dict[str, _Question]] = {}
        two: set[Way] = set()
        for path in sorted(self._files, key=_order):
            for way, when, asked, said in self._files[path].records:
                question = found.setdefault(way, {}).setdefault(asked.id, _Question(asked))
                question.said[when][said.sample] = said
                if when == "after":
                    two.add(way)
        self._found, self._two = found, two

    def ways(self) -> list[Way]:
        """How questions were asked, in the order of the files."""
        return list(self._found)

    def compared(self, way: Way) -> bool:
        """Whether two policies answer there."""
        return way in self._two

    def questions(self, way: Way, kind: Kind | None = None) -> list[Pair]:
        """The questions of a way, or those of a kind, in the order in which they were asked."""
        pairs = (self._pair(way, question) for question in self._found.get(way, {}).values())
        return [pair for pair in pairs if kind in (None, pair.kind)]

    def count(self, way: Way) -> Count:
        """What became of the questions of a way."""
        pairs = self.questions(way)
        kinds = {kind: sum(pair.kind == kind for pair in pairs) for kind in KINDS}
        firsts = [[said.correct for pair in pairs if (said := getattr(pair, when))] for when in ("before", "after")]
        before, after = ((sum(own), len(own)) for own in firsts)
        return Count(**kinds, before=before, after=after)

    def pair(self, way: Way, id: str) -> Pair | None:
        """One question of a way."""
        question = self._found.get(way, {}).get(id)
        return self._pair(way, question) if question else None

    def of(self, way: Way, id: str) -> Records:
        """All samples of a question, read by their offsets."""
        question = self._found.get(way, {}).get(id)
        if question is None:
            return Records()
        before, after = (tuple(self._records(question, when)) for when in ("before", "after"))
        return Records(before, after)

    def _records(self, question: _Question, when: When) -> Iterator[EvaluatedTrajectory]:
        for _, said in sorted(question.said[when].items()):
            record = _at(self.folder / said.file, said.offset)
            if record and (record.policy, record.trajectory.question.id) == (when, question.asked.id):
                yield record

    def _pair(self, way: Way, question: _Question) -> Pair:
        own = [question.said[when] for when in ("before", "after")]
        before, after = (said[min(said)] if said else None for said in own)
        right = [sum(each.correct for each in said.values()) for said in own]
        return Pair(
            way,
            question.asked.id,
            question.asked.text,
            " or ".join(question.asked.answers),
            before,
            after,
            (right[0], right[1]),
            (len(own[0]), len(own[1])),
            _kind(before, after, way in self._two),
        )


def _kind(before: Said | None, after: Said | None, two: bool) -> Kind:
    if before and after and before.correct is not after.correct:
        return "gained" if after.correct else "lost"
    first = before or after
    if first is None or (two and not (before and after)):
        return "waiting"
    return "right" if first.correct else "wrong"


def _answer(trajectory: _Trajectory) -> str:
    last = trajectory.steps[-1].action if trajectory.steps else None
    if isinstance(last, Answer) and trajectory.stop is StopReason.ANSWERED:
        return last.text
    return f"no answer ({trajectory.stop.value.replace('_', ' ') if trajectory.stop else 'unfinished'})"


def _order(path: Path) -> tuple[str, str]:
    """Before and after of one way stand together."""
    when, _, way = path.name.partition("-")
    return way, {"before": "", "after": "~"}.get(when, when)


def _at(path: Path, offset: int) -> EvaluatedTrajectory | None:
    """The record that stands there; None where there is none, because the file was made anew meanwhile."""
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            return msgspec.json.decode(stream.readline(), type=EvaluatedTrajectory)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
