"""How often a service is asked: never more in any minute than allowed, in order, and nothing is lost by giving up."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl.services.pace import Flow, Pace


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds


def most_in_a_minute(passed: Sequence[tuple[float, int]]) -> int:
    """The largest sum of units in any minute; a minute begins with a request and ends just before the same time of the next."""
    return max(sum(units for at, units in passed if begin <= at < begin + 60 - 1e-6) for begin, _ in passed)


def pass_all(flow: Flow, clock: Clock, asked: Sequence[tuple[float, int, float]]) -> list[tuple[float, int]]:
    """(idle seconds, units, share of them used) each -> when they passed, and what was used."""
    passed = []
    for idle, units, used in asked:
        clock.now += idle
        while (wait := flow.wait(units)) > 0:
            clock.now += max(wait, 0.001)
        share = flow.take(units)
        passed.append((clock.now, int(units * used)))
        flow.correct(share, int(units * used))
    return passed


ASKED = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.0, 0.3, 2.0, 59.0, 200.0]),
        st.sampled_from([1, 2, 7, 30]),
        st.sampled_from([1.0, 1.0, 0.1, 0.0]),
    ),
    min_size=1,
    max_size=120,
)


@settings(deadline=None)
@given(per_minute=st.sampled_from([30, 31, 60, 600]), asked=ASKED)
def test_no_minute_sees_more_than_allowed_bursts_and_corrections_included(
    per_minute: int, asked: list[tuple[float, int, float]]
) -> None:
    clock = Clock()
    passed = pass_all(Flow(per_minute, clock=clock), clock, asked)
    assert most_in_a_minute(passed) <= per_minute + 1e-6


def test_what_was_used_beyond_its_share_holds_back_what_follows() -> None:
    clock = Clock()
    flow = Flow(60, clock=clock)
    flow.correct(flow.take(1), 31)
    assert flow.wait(1) == pytest.approx(30, abs=1)


def test_what_was_not_used_is_there_for_others() -> None:
    clock = Clock()
    flow = Flow(60, clock=clock)
    flow.correct(flow.take(60), 1)
    assert flow.wait(1) <= 1


def test_a_rest_is_worth_a_second_and_no_more() -> None:
    clock = Clock()
    passed = pass_all(Flow(600, clock=clock), clock, [(0.0, 1, 1.0)] * 100)
    at_once = sum(at == passed[0][0] for at, _ in passed)
    assert at_once in (10, 11)
    assert passed[-1][0] - passed[0][0] == pytest.approx(8.9, abs=0.2)


def test_the_limit_is_reached_and_not_only_kept() -> None:
    clock = Clock()
    passed = pass_all(Flow(60, clock=clock), clock, [(0.0, 1, 1.0)] * 601)
    assert passed[-1][0] - passed[0][0] == pytest.approx(600, rel=0.02)


def test_what_is_larger_than_a_minutes_worth_has_a_minute_to_itself() -> None:
    clock = Clock()
    passed = pass_all(Flow(10, clock=clock), clock, [(0.0, 1, 1.0), (0.0, 25, 1.0), (0.0, 1, 1.0)])
    times = [at - passed[0][0] for at, _ in passed]
    assert times[1] >= 60 - 1e-6
    assert times[2] - times[1] >= 60 - 1e-6


def test_a_correction_that_comes_after_its_minute_changes_no_other_minute() -> None:
    clock = Clock()
    flow = Flow(60, clock=clock)
    late = flow.take(60)
    clock.now += 120
    assert flow.wait(60) == 0
    flow.take(60)
    flow.correct(late, 0)
    assert flow.wait(1) > 58


def test_no_limit_lets_everything_through_and_remembers_nothing() -> None:
    flow = Flow(0)
    for _ in range(3):
        flow.correct(flow.take(10**9), 0)
    assert flow.wait(10**9) == 0


def pace(concurrency: int, clock: Clock, requests: int = 0, tokens: int = 0) -> Pace:
    return Pace(concurrency, Flow(requests, clock=clock), Flow(tokens, clock=clock), clock.sleep)


def test_both_limits_hold_at_the_moment_a_request_is_let_through() -> None:
    """Small requests that wait for the limit of requests do not let large ones save up tokens meanwhile."""
    clock = Clock()
    passed: list[tuple[float, int]] = []

    async def ask(own: Pace, tokens: int) -> None:
        async with own.turn(tokens):
            passed.append((clock.now, tokens))

    async def all_of_them() -> None:
        own = pace(1000, clock, requests=60, tokens=60)
        await asyncio.gather(*[ask(own, tokens) for tokens in [0] * 100 + [20] * 10])

    asyncio.run(all_of_them())
    assert most_in_a_minute(passed) <= 60
    assert most_in_a_minute([(at, 1) for at, _ in passed]) <= 60


def test_turns_come_in_the_order_in_which_they_were_asked_for_also_after_a_correction() -> None:
    clock, turns = Clock(), []

    async def ask(own: Pace, name: int) -> None:
        async with own.turn(30) as share:
            turns.append(name)
            own.correct(share, 1)

    async def all_of_them() -> None:
        own = pace(4, clock, tokens=60)
        await asyncio.gather(*[ask(own, name) for name in range(20)])

    asyncio.run(all_of_them())
    assert turns == list(range(20))


def test_who_gives_up_waiting_has_taken_neither_a_place_nor_units() -> None:
    clock = Clock()

    async def told() -> tuple[float, float]:
        flow = Flow(60, clock=clock)
        flow.take(10)
        own = Pace(2, flow, Flow(0), asyncio.sleep)
        before = flow.wait(1)
        waiting = [asyncio.create_task(hold(own)) for _ in range(5)]
        for _ in range(3):
            await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        assert all(
            isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*waiting, return_exceptions=True)
        )
        after = flow.wait(1)
        clock.now += 60
        async with asyncio.timeout(60), own.turn(1), own.turn(1):
            return before, after

    async def hold(own: Pace) -> None:
        async with own.turn(1):
            pytest.fail("it was let through")

    before, after = asyncio.run(told())
    assert before == after > 0


@settings(deadline=None, max_examples=50)
@given(concurrency=st.integers(1, 5), lengths=st.lists(st.integers(0, 4), min_size=1, max_size=20))
def test_no_more_are_under_way_than_there_are_places(concurrency: int, lengths: list[int]) -> None:
    under_way, most = 0, 0

    async def ask(own: Pace, length: int) -> None:
        nonlocal under_way, most
        async with own.turn(1):
            under_way += 1
            most = max(most, under_way)
            for _ in range(length):
                await asyncio.sleep(0)
            under_way -= 1

    async def all_of_them() -> None:
        own = pace(concurrency, Clock())
        await asyncio.gather(*[ask(own, length) for length in lengths])

    asyncio.run(all_of_them())
    assert most <= concurrency
    assert under_way == 0
