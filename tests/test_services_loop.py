"""The one event loop: results as they end, errors after what is under way, and nothing left running."""

import _thread
import asyncio
import gc
import os
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl.services import loop
from swirl.services.loop import as_done, wait_for


@settings(deadline=None, max_examples=40)
@given(lengths=st.lists(st.integers(0, 5), max_size=15), limit=st.integers(0, 6))
def test_every_item_is_done_once_and_no_more_at_once_than_allowed(lengths: list[int], limit: int) -> None:
    under_way, most = 0, 0

    async def job(length: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(length):
            await asyncio.sleep(0)
        under_way -= 1
        return 10 * length

    found = dict(as_done(lengths, job, limit))
    assert found == {place: 10 * length for place, length in enumerate(lengths)}
    assert most <= max(1, limit)


def test_items_are_begun_in_order_and_drawn_no_faster_than_jobs_end() -> None:
    drawn: list[int] = []
    gates = [asyncio.Event() for _ in range(10)]

    def items() -> Iterator[int]:
        for number in range(10):
            drawn.append(number)
            yield number

    async def job(number: int) -> int:
        if number != 1:
            await gates[number].wait()
        return number

    results = as_done(items(), job, 3)
    assert next(results) == (1, 1)
    assert drawn == [0, 1, 2, 3]
    results.close()


def test_after_an_error_what_is_under_way_is_let_end_and_nothing_is_begun() -> None:
    begun: list[int] = []
    failed = asyncio.Event()

    async def job(number: int) -> int:
        begun.append(number)
        while len(begun) < 4:
            await asyncio.sleep(0)
        if number == 1:
            failed.set()
            raise ValueError("the second")
        await failed.wait()
        await asyncio.sleep(0)
        return number

    results = as_done(range(100), job, 4)
    found: list[tuple[int, int]] = []
    with pytest.raises(ValueError, match="the second"):
        found.extend(results)
    assert sorted(found) == [(0, 0), (2, 2), (3, 3)]
    assert sorted(begun) == [0, 1, 2, 3]


def test_an_error_in_the_items_is_raised_after_what_is_under_way() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("no more")

    async def job(number: int) -> int:
        await asyncio.sleep(0.01)
        return number

    found: list[tuple[int, int]] = []
    with pytest.raises(OSError, match="no more"):
        found.extend(as_done(items(), job, 8))
    assert sorted(found) == [(0, 1), (1, 2)]


def test_a_job_that_cancels_itself_leaves_nothing_behind_and_loses_no_other() -> None:
    ended: list[int] = []

    async def job(number: int) -> int:
        if number == 0:
            raise asyncio.CancelledError
        await asyncio.sleep(0)
        ended.append(number)
        return number

    found = list(as_done(range(4), job, 2))
    assert [number for _, number in found] == ended == [1, 2, 3]


def slow_to_end(ended: list[str]) -> "asyncio.Future[None]":
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(200):
                await asyncio.sleep(0)
            ended.append("ended")

    return asyncio.ensure_future(work())


def test_a_consumer_that_stops_early_waits_until_all_has_given_back_what_it_held() -> None:
    ended: list[str] = []

    async def job(number: int) -> int:
        if number == 0:
            return number
        await slow_to_end(ended)
        return number

    results = as_done(range(9), job, 4)
    assert next(results) == (0, 0)
    results.close()
    assert ended == ["ended"] * 4


def test_a_consumer_that_is_forgotten_leaves_nothing_running() -> None:
    ended: list[str] = []

    async def job(number: int) -> int:
        if number:
            await slow_to_end(ended)
        return number

    for _ in as_done(range(3), job, 2):
        break
    gc.collect()
    assert ended == ["ended"] * 2


def test_what_was_cancelled_from_within_is_told() -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(CancelledError):
        wait_for(work())


def test_waiting_on_the_loop_itself_is_refused_and_does_not_hang() -> None:
    async def work() -> None:
        wait_for(asyncio.sleep(0))

    with pytest.raises(RuntimeError, match="was called on it"):
        wait_for(work())
    with pytest.raises(RuntimeError, match="was called on it"):
        list(as_done((wait_for(asyncio.sleep(0, number)) for number in range(3)), asyncio.sleep, 1))


def test_threads_that_begin_at_once_share_one_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[asyncio.AbstractEventLoop, threading.Thread]] = []
    monkeypatch.setattr(loop, "_loops", started)
    barrier = threading.Barrier(8)
    found = set()

    async def running() -> int:
        return id(asyncio.get_running_loop())

    def ask() -> None:
        barrier.wait()
        found.add(wait_for(running()))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(started) == 1
    [(own, thread)] = started
    own.call_soon_threadsafe(own.stop)
    thread.join()
    own.close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_a_loop_of_its_own() -> None:
    wait_for(asyncio.sleep(0))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, wait_for(asyncio.sleep(0, b"done")))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        assert stream.read() == b"done"
    assert os.waitpid(child, 0)[1] == 0


def test_ctrl_c_that_does_not_wake_a_sleeping_thread_is_heard_all_the_same(ctrl_c: None) -> None:
    """`interrupt_main` sets the flag of a signal and wakes nobody, as does a signal that comes just before a thread goes to sleep."""
    ended = []

    async def stuck(number: int) -> int:
        try:
            await asyncio.sleep(0.1)
            _thread.interrupt_main()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(number)
        return number

    with pytest.raises(KeyboardInterrupt):
        list(as_done([1], stuck, limit=1))
    with pytest.raises(KeyboardInterrupt):
        wait_for(stuck(2))
    assert ended == [1, 2]
