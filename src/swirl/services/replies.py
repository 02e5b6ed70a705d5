"""Replies that were paid for, by request, in SQLite: what was answered once is not asked again. It saves money and is never the record."""

import hashlib
import os
import re
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from swirl.errors import RunFolderError
from swirl.terminal import say

_REMOTE = re.compile(
    r"(fuse\.)?(nfs|cifs|smb|lustre|gpfs|beegfs|ceph|9p|afs|glusterfs|davfs|wekafs|panfs|orangefs|sshfs|s3fs|gcsfuse|rclone|juicefs)"
)
"""How the kinds of network file systems begin."""
_OCTAL = re.compile(r"\\([0-7]{3})")
_PATIENCE = 60.0
"""Seconds to wait for other processes."""


def request_key(request: Mapping[str, Any]) -> str:
    """What a reply is found by: a hash of all that decides it.

    >>> request_key({"model": "m", "seed": 1}) == request_key({"seed": 1, "model": "m"})
    True
    """
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()


class Replies:
    """The store. Several processes may use one at once; within a process, the event loop alone."""

    def __init__(self, path: Path, mounts: Path = Path("/proc/mounts")) -> None:
        self.path = path
        self._mounts = mounts
        self._connection: sqlite3.Connection | None = None

    def get(self, key: str) -> bytes | None:
        """The reply to a request; None where there is none."""
        row = self._run("SELECT reply FROM replies WHERE key = ?", (key,))
        return row[0] if row else None

    def put(self, key: str, reply: bytes) -> None:
        """Keep a reply. Once this returns it survives the end of the process, however it ends."""
        self._run("INSERT OR REPLACE INTO replies (key, reply) VALUES (?, ?)", (key, reply))

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, statement: str, values: tuple[Any, ...]) -> Any:
        try:
            with closing((self._connection or self._open()).execute(statement, values)) as cursor:
                return cursor.fetchone()
        except sqlite3.Error as error:
            raise RunFolderError(
                f"{self.path}: the store of replies cannot be used ({error}); delete it (what it holds is asked again), or free some space"
            ) from error

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"cannot make {self.path.parent} for replies: {error.strerror}") from error
        connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if kind := network_filesystem(self.path, self._mounts):
            say(
                f"{self.path}: replies are stored on a network file system ({kind}), which is slow; a local folder is faster (SWIRL_CACHE, "
                "--out)"
            )
            _patiently(connection, "PRAGMA journal_mode = DELETE")
        else:
            _patiently(connection, "PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        _patiently(
            connection, "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply BLOB NOT NULL) WITHOUT ROWID"
        )


def _patiently(connection: sqlite3.Connection, statement: str) -> None:
    """Where several processes open a new file at once, SQLite does not wait for them by itself to change the journal."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute(statement).close()
            return
        except sqlite3.OperationalError as error:
            if (
                error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                or time.monotonic() > end
            ):
                raise
            time.sleep(0.01)


def cache_folder() -> Path:
    """Where replies are stored that are of use to several runs: `$SWIRL_CACHE`, else `$XDG_CACHE_HOME/swirl`, else `~/.cache/swirl`."""
    if own := os.environ.get("SWIRL_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "swirl"


def network_filesystem(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """The kind of network file system that a path is on; empty where it is a local one, or nobody can say."""
    try:
        table = [line.split() for line in mounts.read_text("utf-8", errors="replace").splitlines()]
    except OSError:
        return ""
    place, found = path.resolve(), ("", "")
    for fields in table:
        if len(fields) < 3:
            continue
        mounted = _OCTAL.sub(lambda code: chr(int(code[1], 8)), fields[1])
        if place.is_relative_to(mounted) and len(mounted) >= len(found[0]):
            found = (mounted, fields[2])
    return found[1] if _REMOTE.match(found[1]) else ""
