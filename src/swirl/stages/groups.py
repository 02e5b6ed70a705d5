"""Records that come one at a time, written in groups: a group is all that came while the one before it was on its way to the disk."""

from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Generic, TypeVar

import msgspec

from swirl.records import Appender

T = TypeVar("T", bound=msgspec.Struct)


class Groups(Generic[T]):
    """Writes to an `Appender` from a thread of its own, so that whoever brings records never waits for the disk; a context manager. When it
    is left, however it is left, all that was put is on the disk, or the error that kept it from there was raised.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from swirl.records import read
    >>> from swirl.types import JudgedStep, Verdict
    >>> path = Path(tempfile.mkdtemp(), "verdicts.jsonl")
    >>> with Appender(path, JudgedStep) as out, Groups(out) as groups:
    ...     for step in range(3):
    ...         groups.put(JudgedStep(trajectory="q/0", step=step, judge="rule", verdict=Verdict(1.0)))
    >>> [record.step for record in read(path, JudgedStep)]
    [0, 1, 2]
    """

    def __init__(self, out: Appender[T]) -> None:
        self._out = out
        self._came: SimpleQueue[T | None] = SimpleQueue()
        self._error: Exception | None = None
        self._thread = Thread(target=self._write, name="swirl groups")

    def put(self, record: T) -> None:
        """Have a record written soon; raises what went wrong with an earlier one."""
        if self._error is not None:
            raise self._error
        self._came.put(record)

    def _write(self) -> None:
        going = True
        while going:
            came = [self._came.get(), *self._ready()]
            going = None not in came
            try:
                self._out.append([record for record in came if record is not None])
            except Exception as error:
                self._error = error
                return

    def _ready(self) -> list[T | None]:
        """What came and can be had without waiting."""
        ready: list[T | None] = []
        try:
            while True:
                ready.append(self._came.get_nowait())
        except Empty:
            return ready

    def __enter__(self) -> "Groups[T]":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._came.put(None)
        try:
            self._thread.join()
        except BaseException:
            # Ctrl-C, once more: the file must not be closed while it is written to.
            self._thread.join()
            raise
        if self._error is not None and kind is None:
            raise self._error
