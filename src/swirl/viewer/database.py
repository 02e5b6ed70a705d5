"""The SQLite file behind the viewer's tables: one connection writes, a few read beside it, each a whole state of the file.

It is made anew whenever a run is opened and goes with its folder, so it waits for no disk.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from swirl.errors import RunFolderError

SCHEMA = """
CREATE TABLE names (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
CREATE TABLE files (
    file INTEGER PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, shard INTEGER NOT NULL, judge TEXT NOT NULL, rank INTEGER NOT NULL);
CREATE TABLE entries (
    row INTEGER PRIMARY KEY, n INTEGER NOT NULL, file INTEGER NOT NULL, shard INTEGER NOT NULL, evaluated INTEGER NOT NULL,
    place INTEGER NOT NULL, line INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, task TEXT NOT NULL, stop TEXT NOT NULL,
    steps INTEGER NOT NULL, calls INTEGER NOT NULL, errors INTEGER NOT NULL, tokens INTEGER NOT NULL, characters INTEGER NOT NULL,
    sample INTEGER NOT NULL, good INTEGER NOT NULL, bad INTEGER NOT NULL, missing INTEGER NOT NULL, checked INTEGER NOT NULL,
    process INTEGER NOT NULL, outcome INTEGER NOT NULL, correct INTEGER, kept INTEGER, stale INTEGER NOT NULL);
CREATE INDEX by_name ON entries (n);
CREATE INDEX by_file ON entries (file);
CREATE INDEX in_order ON entries (evaluated, place);
CREATE INDEX to_sum_up ON entries (row) WHERE stale;
CREATE TABLE shown (row INTEGER PRIMARY KEY, question TEXT NOT NULL, answer TEXT, gold TEXT NOT NULL);
CREATE TABLE uses (tool TEXT NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (tool, row)) WITHOUT ROWID;
CREATE TABLE verdicts (
    doc INTEGER PRIMARY KEY, n INTEGER NOT NULL, file INTEGER NOT NULL, step INTEGER NOT NULL, offset INTEGER NOT NULL,
    length INTEGER NOT NULL, score REAL);
CREATE UNIQUE INDEX of_step ON verdicts (n, file, step);
CREATE TABLE decisions (n INTEGER PRIMARY KEY, kept INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE VIRTUAL TABLE texts USING fts5(text, content='', columnsize=0);
CREATE VIRTUAL TABLE reasons USING fts5(text, content='', columnsize=0);
INSERT INTO texts (texts, rank) VALUES ('hashsize', 8000000);
INSERT INTO reasons (reasons, rank) VALUES ('hashsize', 8000000);
"""
"""`names`: ids, told once. `files`: what is followed. `entries`: a row a trajectory, with all that is filtered and sorted by; `shown`:
what else the table tells of it. `texts` and `reasons` hold the words of an entry and of a verdict and not the texts, so nothing can be
taken out of them: what belongs to no row any more is not looked at, and no number is given twice."""
_CACHE = "PRAGMA cache_size = -{}"
_WRITER, _READER = 32_000, 8_000
"""KiB of the file that a connection remembers."""


class Database:
    """The file, made where it is not there; whoever owns its folder removes it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._closed = False
        self.writer = self._connect(_WRITER)
        """Of the one thread that writes."""
        try:
            self.writer.execute("PRAGMA journal_mode = WAL").close()
            self.writer.execute("PRAGMA synchronous = OFF")
            self.writer.execute("PRAGMA secure_delete = OFF").close()
            self.writer.executescript(SCHEMA)
        except sqlite3.Error as error:
            self.writer.close()
            raise disk_error(file, error) from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A change that is seen whole or not at all."""
        try:
            self.writer.execute("BEGIN")
            try:
                yield self.writer
            except BaseException:
                self.writer.execute("ROLLBACK")
                raise
            self.writer.execute("COMMIT")
        except sqlite3.Error as error:
            raise disk_error(self.file, error) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection of whoever asks, to which nothing changes meanwhile."""
        with self._lock:
            if self._closed:
                raise RunFolderError(f"{self.file} is closed: open the run again")
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._connect(_READER)
        try:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise disk_error(self.file, error) from error
        finally:
            self._give_back(connection)

    def close(self) -> None:
        """Close what is open; what is being read is closed by its reader."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in [*idle, self.writer]:
            connection.close()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self, kib: int) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self.file, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise disk_error(self.file, error) from error
        connection.execute(_CACHE.format(kib))
        return connection


def disk_error(file: Path, error: sqlite3.Error) -> RunFolderError:
    """The sentence for a file that cannot be used."""
    return RunFolderError(
        f"{file}: expected to keep a run's index there, but it cannot be used ({error}); free some space, or set TMPDIR to another folder"
    )
