"""Whether what was made of the trajectories is still about them: the filter's decisions, and states that were written out."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

import msgspec
from msgspec import Struct

from swirl.errors import RecordError
from swirl.exports.states import lines
from swirl.filters import Decision
from swirl.protocol import wording
from swirl.records import read_document
from swirl.selection import Selection
from swirl.types import Trajectory
from swirl.verify import Checking, Finding, parts

_ANEW = "write the states anew with `swirl export RUN --to states`"


def check_selection(checking: Checking, ids: dict[str, int], damaged: set[str]) -> Selection | None:
    """Check `selection.json`: one decision a trajectory, each saying why it fell. `ids` are those of the trajectories, each with 0. Gives
    it back, where it can be read."""
    path, command = checking.run.selection, f"swirl filter {checking.run.path} --redo"
    again = f"run `{command}`, which judges nothing again"
    try:
        selection = read_document(path, Selection, command) if path.exists() else None
    except RecordError as error:
        place, problem, _ = parts(error)
        checking.add(Finding(place, "unreadable decisions", problem, again))
        return None
    if selection is None:
        return None
    places = _places(path)
    for decision in selection.decisions:
        checking.records += 1
        place = f"{path}:{places.get(decision.trajectory, 1)}"
        for kind, problem in _wrong(decision, ids, damaged):
            checking.add(Finding(place, kind, problem, again, "filter" if kind == "foreign decision" else ""))
        if decision.trajectory in ids:
            ids[decision.trajectory] += 1
    left = [name for name, count in ids.items() if not count]
    if left or selection.num_trajectories != len(selection.decisions):
        without = f"{len(left)} of {len(ids)} trajectories have no decision (the first is {left[0]!r})" if left else ""
        counts = f"{selection.num_trajectories} decisions are announced, and {len(selection.decisions)} are there"
        checking.add(Finding(str(path), "missing decisions", without or counts, again, "filter"))
    return selection


def _wrong(decision: Decision, ids: Mapping[str, int], damaged: set[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with a decision, by its kind."""
    name = decision.trajectory
    if name not in ids and name not in damaged:
        yield "foreign decision", f"it decides on trajectory {name!r}, which is not there"
    elif ids.get(name):
        yield "double decision", f"it decides on trajectory {name!r} a second time"
    if decision.kept != (decision.reason == "passed"):
        said = "kept" if decision.kept else "dropped"
        yield "decision at odds", f"trajectory {name!r} is {said}, and the reason is {decision.reason!r:.80}"


def _places(path: Path) -> Mapping[str, int]:
    """Trajectory -> the first line that names it."""
    found: dict[str, int] = {}
    with path.open("r", encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            _, key, rest = line.partition('"trajectory":')
            if key:
                found.setdefault(rest.strip().strip('"').partition('"')[0], number)
    return found


class _Named(Struct, frozen=True):
    """What a line of states is about."""

    trajectory: str
    step: int


class _Line(NamedTuple):
    number: int
    text: bytes
    trajectory: str
    step: int


class States:
    """The states of a shard as they were written out, in the order of its trajectories, which may leave some out."""

    FILE: ClassVar[str] = "states.jsonl"

    def __init__(self, checking: Checking, path: Path) -> None:
        self._checking = checking
        self._path = path
        self._lines = _states(checking, path)
        self._next = next(self._lines, None)

    def check(self, trajectory: Trajectory) -> None:
        """Hold the states of the next trajectory against it, where they are there."""
        if self._next is None or self._next.trajectory != trajectory.id:
            return
        for index, expected in enumerate(self._expected(trajectory)):
            line = self._next
            if line is None or (line.trajectory, line.step) != (trajectory.id, index):
                self._wrong(line, f"expected state {index} of trajectory {trajectory.id!r}, found another")
                break
            if line.text != expected:
                self._wrong(line, f"state {index} of trajectory {trajectory.id!r} is not the first steps of it")
            self._next = next(self._lines, None)
        while self._next is not None and self._next.trajectory == trajectory.id:
            self._wrong(self._next, f"no state {self._next.step} of trajectory {trajectory.id!r} is expected here")
            self._next = next(self._lines, None)

    def end(self) -> None:
        """What is left is about no trajectory of the shard."""
        if self._next is not None:
            self._wrong(self._next, f"no states of a trajectory {self._next.trajectory!r} are expected from here on")

    def _expected(self, trajectory: Trajectory) -> list[bytes]:
        """Its states as they are written now; none to compare with where they cannot be, or were written in other words."""
        origin = self._checking.origins.get(trajectory.origin)
        if origin is not None and origin.instructions != wording():
            return []
        try:
            return next(lines([trajectory]))
        except ValueError:
            return []

    def _wrong(self, line: _Line | None, problem: str) -> None:
        place = f"{self._path}:{line.number}" if line else str(self._path)
        self._checking.add(Finding(place, "state at odds", problem, _ANEW))


def _states(checking: Checking, path: Path) -> Iterator[_Line]:
    decoder = msgspec.json.Decoder(_Named)
    if not path.exists():
        return
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            checking.on_read(len(line))
            checking.records += 1
            try:
                named = decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                checking.add(Finding(f"{path}:{number}", "unreadable state", f"expected a state ({error})", _ANEW))
            else:
                yield _Line(number, line, named.trajectory, named.step)
