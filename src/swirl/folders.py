"""A folder that is there whole or not at all."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from swirl.errors import RunFolderError
from swirl.records import flush


@contextmanager
def whole(out: Path, ours: Callable[[str], bool]) -> Iterator[Path]:
    """A folder beside `out` that takes its name in the end; whatever goes wrong, nothing is left. What a killed process left there, which
    `ours` knows by its name, is removed; what another one is writing, or somebody else has put there, is not. Raises `RunFolderError`.

    >>> import tempfile
    >>> out = Path(tempfile.mkdtemp(), "mine")
    >>> with whole(out, "a.txt".__eq__) as part:
    ...     (part / "a.txt").write_text("all of it") and out.exists()
    False
    >>> (out / "a.txt").read_text()
    'all of it'
    """
    part = out.with_name(out.name + ".part")
    try:
        with _empty(part, ours):
            try:
                yield part
                for path in (*part.iterdir(), part):
                    flush(path)
                os.replace(part, out)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise
    except OSError as error:
        raise RunFolderError(
            f"cannot write {out}: {error.strerror or error}; nothing of it is left: mend that, then run the same command again"
        ) from error


@contextmanager
def _empty(part: Path, ours: Callable[[str], bool]) -> Iterator[None]:
    """An empty folder that no other process builds in meanwhile."""
    part.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(part, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise RunFolderError(
            f"{part} is being written by another process; wait for it to end, or choose another --out"
        ) from error
    try:
        foreign = sorted(path.name for path in part.iterdir() if not ours(path.name))
        if foreign:
            raise RunFolderError(
                f"{part} holds {foreign[0]}, which no build has written; move it away, or choose another --out"
            )
        for path in part.iterdir():
            path.unlink()
        yield
    finally:
        os.close(descriptor)
