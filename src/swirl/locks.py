"""The lock of a run folder: one process at a time, or several that write a shard each and nothing else.

It ends with the process that holds it, however that ends. A file of records has a lock of its own beside it (`swirl.records`), so that no
shard ever has two writers.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from swirl.errors import RunFolderError
from swirl.processes import leads

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that a process waits for another one to make a run folder ready for both."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a run folder against all other writers. Of several processes that train together the first holds it."""
    if not leads():
        yield
        return
    file = _opened(path)
    try:
        if not _taken(file, fcntl.LOCK_EX):
            raise in_use(path)
        yield
    finally:
        os.close(file)


@contextmanager
def shared(path: Path, prepare: Callable[[bool], T]) -> Iterator[T]:
    """Hold a run folder together with others that hold it so. `prepare(alone)` makes it ready: alone, where nobody else is at work and
    it may be written to, or beside others that have made it so, and then it may only be looked at. Whoever was alone looks once more when
    others may come in, because between the two nobody holds it."""
    file = _opened(path)
    try:
        if _taken(file, fcntl.LOCK_EX):
            prepare(True)
        _wait(file, path)
        yield prepare(False)
    finally:
        os.close(file)


def _wait(file: int, path: Path) -> None:
    """Hold it with others, once whoever makes it ready has done so."""
    end = time.monotonic() + PATIENCE
    while not _taken(file, fcntl.LOCK_SH):
        if time.monotonic() > end:
            raise in_use(path)
        time.sleep(0.02)


def in_use(path: Path) -> RunFolderError:
    """The error where another process is at work."""
    return RunFolderError(f"{path} is in use by another swirl process; wait for it to end, or use another --out")


def _taken(file: int, how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _opened(path: Path) -> int:
    try:
        require_ours(path)
        path.mkdir(parents=True, exist_ok=True)
        return os.open(path / "run.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RunFolderError(
            f"cannot write in a run folder at {path}: {error.strerror}; mend its permissions, or choose another"
        ) from error


def require_ours(path: Path) -> None:
    """Raise where a folder holds anything but a run."""
    known = ("run.lock", "run.toml.part")
    if path.is_dir() and not (path / "run.toml").exists() and any(entry.name not in known for entry in path.iterdir()):
        raise RunFolderError(
            f"expected a new, empty or run folder at {path}, found other files in it; choose another --out"
        )
