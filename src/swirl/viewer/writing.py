"""What is put into the viewer's index: a row a trajectory, a row a verdict, what comes of them, and what the filter decided.

Every function is a part of a change that the caller begins and ends (`swirl.viewer.database`).
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from swirl.errors import RecordError
from swirl.filters import Decision, FilterConfig
from swirl.types import JudgedStep, Verdict, VerdictStatus
from swirl.viewer.entries import Entry, shortened, tally
from swirl.viewer.following import Line
from swirl.viewer.sources import Source

_RANK = 1 << 32
"""Lines of a file, at most: an entry's place is its file's rank, then its line."""
_LARGEST = 1 << 62
Value = str | int | float | None
_INSERT = """
INSERT INTO entries SELECT
    :row, :n, :file, :shard, :evaluated, :place, :line, :offset, :length, :task, :stop, :steps, :calls, :errors, :tokens, :characters,
    :sample, :good, :bad, :missing, :checked, :process, :outcome, :correct,
    CASE WHEN :evaluated THEN NULL ELSE (SELECT kept FROM decisions WHERE n = :n) END,
    NOT :evaluated AND EXISTS (SELECT 1 FROM verdicts WHERE n = :n)
"""
_SAID = """
SELECT files.judge, verdicts.step, verdicts.score FROM verdicts JOIN files USING (file) WHERE verdicts.n = ? AND files.shard = ?
"""


class Writer:
    """Writes through the one connection that does."""

    def __init__(self, connection: sqlite3.Connection, judge: str, config: FilterConfig) -> None:
        self._connection = connection
        self._judge = judge
        self._counting = config.judges or (judge,)
        self._config = config
        self._row = self._doc = self._file = 0
        self._last: tuple[str, int] | None = None
        self._judged: int | None = None
        self._texts: list[tuple[int, str]] = []
        self._reasons: list[tuple[int, str]] = []

    def begin(self) -> None:
        """Remember nothing of a change that may have been taken back."""
        self._last = self._judged = None
        self._texts.clear()
        self._reasons.clear()

    def end(self) -> None:
        """Take the words of the change's texts, all together: between other statements FTS5 would write what it gathers after each."""
        for table, texts in (("texts", self._texts), ("reasons", self._reasons)):
            self._connection.executemany(f"INSERT INTO {table} (rowid, text) VALUES (?, ?)", texts).close()
        self._texts.clear()
        self._reasons.clear()

    def follow(self, source: Source) -> None:
        """Give a file its number."""
        self._file += 1
        source.number = self._file
        name = source.path.name
        row = (source.number, name, source.kind, source.shard, source.judge)
        self._run("INSERT INTO files VALUES (?, ?, ?, ?, ?, 0)", row)

    def rank(self, source: Source, rank: int) -> None:
        """Put a file at its place among those of its kind, and what it holds with it."""
        source.rank = rank
        self._run("UPDATE files SET rank = ? WHERE file = ?", (rank, source.number))
        self._run("UPDATE entries SET place = ? + line WHERE file = ?", (rank * _RANK, source.number))

    def forget(self, source: Source, *, gone: bool) -> None:
        """Take out what a file held, and the file itself where it is gone."""
        file = (source.number,)
        if source.kind == "verdicts":
            self._run(
                "UPDATE entries SET stale = 1 WHERE n IN (SELECT n FROM verdicts WHERE file = ?) AND NOT evaluated",
                file,
            )
            self._run("DELETE FROM verdicts WHERE file = ?", file)
        else:
            for table in ("uses", "shown"):
                self._run(f"DELETE FROM {table} WHERE row IN (SELECT row FROM entries WHERE file = ?)", file)
            self._run("DELETE FROM entries WHERE file = ?", file)
        if gone:
            self._run("DELETE FROM files WHERE file = ?", file)

    def add(self, source: Source, line: Line, entry: Entry) -> None:
        """Take a trajectory."""
        self._row += 1
        trajectory, came_of = entry.trajectory, entry.tally
        values: dict[str, Value] = {
            "row": self._row,
            "n": self._number(trajectory.id),
            "file": source.number,
            "shard": source.shard,
            "evaluated": source.kind == "evaluation",
            "place": source.rank * _RANK + line.number,
            "line": line.number,
            "offset": line.offset,
            "length": len(line.data),
            "task": trajectory.question.task,
            "stop": entry.stop,
            "steps": len(trajectory.steps),
            "calls": trajectory.num_calls,
            "errors": entry.errors,
            "tokens": trajectory.num_tokens,
            "characters": len(entry.text),
            "sample": max(-_LARGEST, min(_LARGEST, trajectory.sample)),
            "good": came_of.good,
            "bad": came_of.bad,
            "missing": came_of.missing,
            "checked": entry.checked,
            "process": came_of.process,
            "outcome": entry.outcome,
            "correct": entry.correct,
        }
        self._run(_INSERT, values)
        answer, gold = trajectory.answer, " or ".join(trajectory.question.answers)
        shown = (trajectory.question.text, answer, gold)
        self._run("INSERT INTO shown VALUES (?, ?, ?, ?)", (self._row, *(text and shortened(text) for text in shown)))
        for tool in entry.tools:
            self._run("INSERT INTO uses VALUES (?, ?)", (tool, self._row))
        self._texts.append((self._row, entry.text))

    def judged(self, source: Source, line: Line, record: JudgedStep) -> None:
        """Take a verdict; of two on one step in one file the later counts. Raises `RecordError` where it is on no step."""
        if not 0 <= record.step < _RANK:
            raise RecordError(
                f"{source.path}:{line.number}: field step: expected a step's number from 0, found {record.step}; mend or delete the line"
            )
        self._doc += 1
        number, verdict = self._number(record.trajectory), record.verdict
        values = (self._doc, number, source.number, record.step, line.offset, len(line.data), verdict.score)
        self._run("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        if number != self._judged:
            self._run("UPDATE entries SET stale = 1 WHERE n = ? AND NOT evaluated AND NOT stale", (number,))
            self._judged = number
        if verdict.reason:
            self._reasons.append((self._doc, verdict.reason))

    def decide(self, decisions: Sequence[Decision]) -> None:
        """Take what the filter decided, in place of what it decided before."""
        self._run("DELETE FROM decisions")
        rows = ((self._number(each.trajectory), each.kept, each.reason) for each in decisions)
        self._connection.executemany("INSERT OR REPLACE INTO decisions VALUES (?, ?, ?)", rows).close()
        self._run(
            "UPDATE entries SET kept = (SELECT kept FROM decisions WHERE decisions.n = entries.n) WHERE NOT evaluated"
        )

    def sum_up(self, most: int) -> None:
        """Say anew what comes of the verdicts on trajectories on which some are new, at most so many."""
        self._judged = None
        rows = self._all("SELECT row, n, shard, steps FROM entries WHERE stale LIMIT ?", (most,))
        for row, number, shard, steps in rows:
            said: dict[str, list[Verdict | None]] = {}
            for judge, step, score in self._all(_SAID, (number, shard)):
                if step < steps:
                    said.setdefault(judge, [None] * steps)[step] = verdict_of(score)
            nothing: list[Verdict | None] = [None] * steps
            counting = {judge: said.get(judge, nothing) for judge in self._counting}
            found = tally(said.get(self._judge, nothing), counting, self._config)
            self._run(
                "UPDATE entries SET stale = 0, good = ?, bad = ?, missing = ?, process = ? WHERE row = ?",
                (found.good, found.bad, found.missing, found.process, row),
            )

    def _number(self, name: str) -> int:
        """The number of an id."""
        if self._last is None or self._last[0] != name:
            self._run("INSERT OR IGNORE INTO names (id) VALUES (?)", (name,))
            [(number,)] = self._all("SELECT n FROM names WHERE id = ?", (name,))
            self._last = (name, number)
        return self._last[1]

    def _run(self, statement: str, values: Sequence[Value] | Mapping[str, Value] = ()) -> None:
        self._connection.execute(statement, values).close()

    def _all(self, statement: str, values: Sequence[Value]) -> list[Any]:
        return self._connection.execute(statement, values).fetchall()


def verdict_of(score: float | None) -> Verdict:
    """A verdict as far as its score goes.

    >>> verdict_of(1.0).good, verdict_of(None).score
    (True, None)
    """
    return Verdict(score) if score is not None else Verdict(None, status=VerdictStatus.UNREADABLE)
