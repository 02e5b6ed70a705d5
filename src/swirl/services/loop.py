"""The one event loop, in a thread of its own. Everything that waits for a service waits here; everybody else calls plain functions."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import cache
from queue import SimpleQueue
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="swirl services", daemon=True).start()
    return loop


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that runs on the loop. Not to be called from the loop itself. Ctrl-C cancels it.

    >>> wait_for(asyncio.sleep(0, "done"))
    'done'
    """
    future = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return future.result()
    finally:
        _end(future)


def as_done(items: Iterable[S], job: Callable[[S], Awaitable[T]], limit: int) -> Iterator[tuple[int, T]]:
    """Do a job on each item, on up to `limit` of them at once, begun in order; yields (place of the item, result) as each ends.

    Once a job has raised, none is begun any more; those under way are let end, for they are paid for, and yielded; then the first error is
    raised. A consumer that stops early cancels what is under way. `items` is drawn from on the loop's thread, no faster than it is needed.

    >>> async def double(number):
    ...     return 2 * number
    >>> sorted(as_done([1, 2, 3], double, limit=2))
    [(0, 2), (1, 4), (2, 6)]
    """
    results: SimpleQueue[tuple[int, T] | None] = SimpleQueue()
    future = asyncio.run_coroutine_threadsafe(_work(enumerate(items), job, limit, results.put), _loop())
    future.add_done_callback(lambda _: results.put(None))
    try:
        while (result := results.get()) is not None:
            yield result
        future.result()
    finally:
        _end(future)


async def _work(
    items: Iterator[tuple[int, S]],
    job: Callable[[S], Awaitable[T]],
    limit: int,
    done: Callable[[tuple[int, T]], None],
) -> None:
    errors: list[BaseException] = []

    async def worker() -> None:
        try:
            while not errors and (drawn := next(items, None)) is not None:
                place, item = drawn
                done((place, await job(item)))
        except Exception as error:
            errors.append(error)

    await asyncio.gather(*[worker() for _ in range(limit)])
    if errors:
        raise errors[0]


def _end(future: "Future[Any]") -> None:
    """Cancel what is still under way, and wait until it has ended."""
    if future.done():
        return
    future.cancel()
    ended = asyncio.run_coroutine_threadsafe(_settle(), _loop())
    with suppress(CancelledError, TimeoutError):
        ended.result(timeout=5)


async def _settle() -> None:
    """Let cancelled tasks hear of it, and give back what they hold."""
    for _ in range(10):
        await asyncio.sleep(0)
