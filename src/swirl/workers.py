"""Work for the processor, spread over processes: the same results in the same order, however many there are.

Not here: training in several processes (`swirl.train.ranks`), and what waits for a service, which takes no processor (`swirl.services`).
"""

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import TypeVar

from swirl import processes
from swirl.errors import WorkerError

Advance = Callable[[int], None]
T = TypeVar("T")
R = TypeVar("R")

MOST = 8
"""Worker processes where nobody says how many; each holds what it works on in memory."""


def spread(
    work: Callable[[T, Advance], R], tasks: Sequence[T], workers: int = 0, *, advance: Advance, size: Callable[[T], int]
) -> Generator[R, None, None]:
    """What `work` makes of each task, in order, by so many processes; 0 is one a core, at most `MOST`. One process, or one task, is
    worked on here. `work` has to be importable by name, or a partial of what is. It tells how far it is as it goes; of work in another
    process `advance` hears when a task is done, by its `size`.

    An error of a task ends the other processes and is raised as it is, as Ctrl-C is; they end too where this process is killed. Raises
    `WorkerError` where a process ends on its own.

    >>> def double(task: int, advance: Advance) -> int:
    ...     advance(1)
    ...     return 2 * task
    >>> list(spread(double, [2, 3], workers=1, advance=print, size=lambda task: 1))
    1
    1
    [4, 6]
    """
    count = min(workers or cores(), len(tasks))
    if count <= 1 or processes.count() > 1:
        return (work(task, advance) for task in tasks)
    return _apart(work, tasks, count, lambda task: advance(size(task)))


def cores() -> int:
    """How many processes there are where nobody says how many.

    >>> 1 <= cores() <= MOST
    True
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, MOST)


def _apart(
    work: Callable[[T, Advance], R], tasks: Sequence[T], count: int, done: Callable[[T], None]
) -> Generator[R, None, None]:
    others = set(active_children())
    under_way: deque[Future[R]] = deque()

    with ProcessPoolExecutor(count, get_context("spawn"), _end_with_parent) as pool:
        try:
            for place, task in enumerate([*tasks, *[None] * count]):
                if task is not None:
                    with _deaf():
                        under_way.append(pool.submit(work, task, _silent))
                if place >= count:
                    found = _first(under_way)
                    done(tasks[place - count])
                    yield found
        except BrokenProcessPool as error:
            raise WorkerError(
                "a worker process ended before its work was done: it was killed, often because memory ran out, or it could not start; what "
                "was finished is kept: use fewer with --workers; a script of your own has to call swirl under `if __name__ == '__main__':`"
            ) from error
        except BaseException:
            for process in set(active_children()) - others:
                process.terminate()
            raise


def _first(under_way: "deque[Future[R]]") -> R:
    """The result of the first, once it is there; raises as soon as any of them has failed."""
    while not under_way[0].done():
        wait([each for each in under_way if not each.done()], return_when=FIRST_COMPLETED)
        for each in under_way:
            if each.done():
                each.result()
    return under_way.popleft().result()


def _silent(count: int) -> None:
    """How far it is: nobody hears it."""


def _end_with_parent() -> None:
    """Have this process end with the one that started it, however that ends: it would hold its shard, and wait for work for ever."""
    Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that start in it do not hear Ctrl-C, which a terminal sends to all of them: whoever started them ends them."""
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)
