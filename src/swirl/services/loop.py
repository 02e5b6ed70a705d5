"""The one event loop, in a thread of its own. Everything that waits for a service waits here; everybody else calls plain functions."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")

_LOOK_UP = 0.5
"""Seconds after which a waiting thread sees whether Ctrl-C was pressed."""
_LONGEST_END = 5.0
"""Seconds that cancelled work is given to end."""
_loops: list[tuple[asyncio.AbstractEventLoop, threading.Thread]] = []
_starting = threading.Lock()
os.register_at_fork(after_in_child=_loops.clear)


def _loop() -> asyncio.AbstractEventLoop:
    """The loop, which is started when it is first needed. A forked process has one of its own: threads are not forked."""
    with _starting:
        if not _loops:
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name="swirl services", daemon=True)
            thread.start()
            _loops.append((loop, thread))
        return _loops[0][0]


def _on_loop() -> bool:
    return any(thread is threading.current_thread() for _, thread in _loops)


class _Work(Generic[T]):
    """A coroutine that runs on the loop, and is waited for elsewhere."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        if _on_loop():
            work.close()
            raise RuntimeError("this waits for the event loop, and was called on it")
        self.ended: Future[T] = Future()
        """Its result, once nothing of it runs any more."""
        self._task: asyncio.Task[T] | None = None
        _loop().call_soon_threadsafe(self._begin, work)

    def _begin(self, work: Coroutine[Any, Any, T]) -> None:
        self._task = asyncio.get_running_loop().create_task(work)
        self._task.add_done_callback(self._end)

    def _end(self, task: "asyncio.Task[T]") -> None:
        if task.cancelled():
            self.ended.set_exception(CancelledError())
        elif error := task.exception():
            self.ended.set_exception(error)
        else:
            self.ended.set_result(task.result())

    def stop(self) -> None:
        """Cancel it where it is still under way, and wait until it has ended and given back what it held."""
        if self.ended.done():
            return
        _loop().call_soon_threadsafe(self._cancel)
        if not _on_loop():
            with suppress(Exception, CancelledError):
                self.ended.exception(timeout=_LONGEST_END)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that runs on the loop. Ctrl-C cancels it. Raises `RuntimeError` on the loop's own thread, which would wait
    for itself.

    >>> wait_for(asyncio.sleep(0, "done"))
    'done'
    """
    running = _Work(work)
    try:
        while not running.ended.done():
            wait([running.ended], timeout=_LOOK_UP)
        return running.ended.result()
    finally:
        running.stop()


def as_done(items: Iterable[S], job: Callable[[S], Awaitable[T]], limit: int) -> Iterator[tuple[int, T]]:
    """Do a job on each item, on up to `limit` of them at once, begun in order; yields (place of the item, result) as each ends.

    Once a job has raised, or there was no next item to be had, none is begun any more; those under way are let end, for they are paid for,
    and yielded; then the first error is raised. A consumer that stops early cancels what is under way. `items` is drawn from on the loop's
    thread, no faster than jobs end.

    >>> async def double(number):
    ...     return 2 * number
    >>> sorted(as_done([1, 2, 3], double, limit=2))
    [(0, 2), (1, 4), (2, 6)]
    """
    results: SimpleQueue[tuple[int, T] | None] = SimpleQueue()
    running = _Work(_work(enumerate(items), job, limit, results.put))
    running.ended.add_done_callback(lambda _: results.put(None))
    try:
        while (result := _next(results)) is not None:
            yield result
        running.ended.result()
    finally:
        running.stop()


def _next(results: "SimpleQueue[T]") -> T:
    """What comes next, looking up now and then: Ctrl-C pressed just before a thread goes to sleep would not wake it."""
    while True:
        with suppress(Empty):
            return results.get(timeout=_LOOK_UP)


async def _work(
    items: Iterator[tuple[int, S]],
    job: Callable[[S], Awaitable[T]],
    limit: int,
    done: Callable[[tuple[int, T]], None],
) -> None:
    errors: list[Exception] = []

    async def worker() -> None:
        try:
            while not errors and (drawn := next(items, None)) is not None:
                place, item = drawn
                done((place, await job(item)))
        except Exception as error:
            errors.append(error)

    async with asyncio.TaskGroup() as group:
        for _ in range(max(1, limit)):
            group.create_task(worker())
    if errors:
        raise errors[0]
