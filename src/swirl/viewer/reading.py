"""What is read of the viewer's index, and with its help of the run folder: a page of the table, and one line of a file by its offset."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from swirl.evaluate import EvaluatedTrajectory
from swirl.known import LABELS, Known
from swirl.types import JudgedStep, Trajectory, Verdict
from swirl.viewer.search import TRAJECTORIES, Row, harmless, looked_at

T = TypeVar("T", bound=Struct)
_ROWS = """
SELECT names.id, files.kind, files.name, task, question, answer, gold, stop, steps, calls, errors, tokens, good, bad, missing, entries.kept,
    reason, correct, sample, row
FROM entries JOIN names USING (n) JOIN files USING (file) JOIN shown USING (row)
LEFT JOIN decisions ON decisions.n = entries.n AND evaluated = 0
"""


class Place(NamedTuple):
    """Where a record stands."""

    file: Path
    offset: int
    length: int
    line: int
    """From 1."""


class Entered(NamedTuple):
    """What the index knows of one trajectory, its texts aside."""

    row: int
    n: int
    shard: int
    place: Place
    kept: bool | None
    reason: str
    correct: bool | None


def rows_of(connection: sqlite3.Connection, rows: Sequence[int]) -> list[Row]:
    """What the table tells of these rows, in their order."""
    marks = ", ".join("?" * len(rows))
    found = {values[-1]: values for values in connection.execute(f"{_ROWS} WHERE row IN ({marks})", rows).fetchall()}
    return [_row(found[row]) for row in rows if row in found]


def _row(values: Sequence[object]) -> Row:
    id, kind, name, *others, _ = values
    told = dict(zip(Row.__struct_fields__[2:], others, strict=True))
    told |= {"kept": _yes(told["kept"]), "correct": _yes(told["correct"]), "reason": told["reason"] or ""}
    return msgspec.convert({"id": id, "of": name if kind == "evaluation" else TRAJECTORIES, **told}, Row)


def entered(connection: sqlite3.Connection, run: Path, id: str, of: str) -> Entered | None:
    """The trajectory of this id among those that are looked at; the first one of several."""
    condition, values = looked_at(of)
    found = connection.execute(
        "SELECT row, n, entries.shard, kind, name, offset, length, line, entries.kept, reason, correct "
        "FROM entries JOIN files USING (file) LEFT JOIN decisions USING (n) "
        f"WHERE n = (SELECT n FROM names WHERE id = ?) AND {condition} ORDER BY place LIMIT 1",
        [harmless(id), *values],
    ).fetchall()
    if not found:
        return None
    row, n, shard, kind, name, offset, length, line, kept, reason, correct = found[0]
    file = run / "evaluation" / name if kind == "evaluation" else run / name
    decided = (_yes(kept), reason or "") if kind != "evaluation" else (None, "")
    return Entered(row, n, shard, Place(file, offset, length, line), *decided, _yes(correct))


def known_at(connection: sqlite3.Connection, run: Path, judge: str, found: Entered) -> Known | None:
    """A trajectory and all that is known of it, as its line and those of the verdicts tell; None where they have gone meanwhile."""
    if found.place.file.parent != run:
        return _labelled(found)
    trajectory = record_at(found.place, Trajectory)
    if trajectory is None:
        return None
    return Known(
        trajectory=trajectory,
        judge=judge,
        verdicts=_verdicts(connection, run, found, trajectory),
        kept=found.kept,
        reason=found.reason,
        correct=found.correct,
        file=found.place.file.name,
        line=found.place.line,
    )


def _labelled(found: Entered) -> Known | None:
    record = record_at(found.place, EvaluatedTrajectory)
    if record is None:
        return None
    return Known(
        trajectory=record.trajectory,
        judge=LABELS,
        verdicts={LABELS: record.verdicts} if record.verdicts else {},
        correct=record.correct,
        file=found.place.file.name,
        line=found.place.line,
    )


def _verdicts(
    connection: sqlite3.Connection, run: Path, found: Entered, trajectory: Trajectory
) -> dict[str, tuple[Verdict | None, ...]]:
    """Judge -> one entry a step, as `swirl.known` has it; the run's own comes first."""
    names = connection.execute("SELECT judge FROM files WHERE kind = 'verdicts' GROUP BY judge ORDER BY min(name)")
    said: dict[str, list[Verdict | None]] = {judge: [None] * len(trajectory.steps) for (judge,) in names.fetchall()}
    rows = connection.execute(
        "SELECT judge, step, name, offset, length FROM verdicts JOIN files USING (file) WHERE n = ? AND shard = ?",
        (found.n, found.shard),
    )
    for judge, step, name, offset, length in rows.fetchall():
        record = record_at(Place(run / name, offset, length, 0), JudgedStep)
        if step < len(trajectory.steps) and record and (record.trajectory, record.step) == (trajectory.id, step):
            said[judge][step] = record.verdict
    return {judge: tuple(verdicts) for judge, verdicts in said.items()}


def record_at(place: Place, kind: type[T]) -> T | None:
    """The record that stands at a place; None where it is another's by now."""
    try:
        with place.file.open("rb") as stream:
            stream.seek(place.offset)
            return msgspec.json.decode(stream.read(place.length), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _yes(value: object) -> bool | None:
    return None if value is None else bool(value)
