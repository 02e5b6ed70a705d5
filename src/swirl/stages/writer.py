"""Records that come one by one, written as they come: everything that is ready goes to the disk as one group."""

from collections.abc import Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Generic, TypeVar

import msgspec

from swirl.records import Appender

T = TypeVar("T", bound=msgspec.Struct)


class Writing(Generic[T]):
    """Appends in a thread of its own, so that waiting for the disk holds nobody up; a context manager, and when it is left, all is on the
    disk. What went wrong with the file is raised by the next `put`, or on leaving."""

    def __init__(self, out: "Appender[T]") -> None:
        self._out = out
        self._ready: SimpleQueue[Sequence[T] | None] = SimpleQueue()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._write, name="swirl writer", daemon=True)

    def put(self, records: Sequence[T]) -> None:
        """Hand records over; those of one call go into one group."""
        if self._error is not None:
            raise self._error
        self._ready.put(records)

    def _write(self) -> None:
        try:
            while group := self._group():
                self._out.append(group)
        except BaseException as error:
            self._error = error

    def _group(self) -> list[T]:
        """All that is ready, at least one record; nothing once the end has come."""
        group: list[T] = []
        try:
            records = self._ready.get()
            while records is not None:
                group += records
                records = self._ready.get_nowait()
        except Empty:
            return group
        self._ready.put(None)
        return group

    def __enter__(self) -> "Writing[T]":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ready.put(None)
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error
