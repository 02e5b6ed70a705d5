"""What blocks (a tool, a file) keeps the event loop from nothing: it runs in a thread of its own."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """The result of something that blocks, run in a thread of its own. Where this is cancelled the thread goes on, and nobody waits for it,
    not even the end of the process.

    >>> from swirl.services.loop import wait_for
    >>> wait_for(in_thread(lambda: threading.current_thread().name))
    'swirl thread'
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Future[T]] = loop.create_future()

    def tell(outcome: Future[T]) -> None:
        if not ended.done():
            ended.set_result(outcome)

    def run() -> None:
        outcome: Future[T] = Future()
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)
        loop.call_soon_threadsafe(tell, outcome)

    threading.Thread(target=run, name="swirl thread", daemon=True).start()
    return (await ended).result()
