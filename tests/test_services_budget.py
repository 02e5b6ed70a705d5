"""What may be spent: never more, in whatever order requests begin and end, and nothing is given up while others may turn out cheaper."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl.services.budget import Budget, Prices
from swirl.services.faults import Fault, Trouble
from swirl.services.ledger import Usage

PRICES = Prices(tokens_in=1e6, tokens_cached=1e6, tokens_out=1e6)
"""A dollar a token, so that sums are exact."""


def tokens(count: int) -> Usage:
    return Usage(tokens_in=count)


REQUESTS = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from(["all", "half", "unknown", "nothing"]), st.integers(0, 5)),
    min_size=1,
    max_size=25,
)
"""The most that each can cost, what it comes to, and how long it takes."""


@settings(deadline=None)
@given(limit=st.integers(1, 20), requests=REQUESTS)
def test_the_limit_is_never_passed_and_what_is_set_aside_always_comes_back(
    limit: int, requests: list[tuple[int, str, int]]
) -> None:
    budget = Budget(PRICES, float(limit))
    under_way: dict[int, int] = {}
    refused: list[tuple[Fault, bool]] = []

    async def ask(number: int, most: int, outcome: str, length: int) -> None:
        try:
            aside = await budget.set_aside(tokens(most))
        except Trouble as trouble:
            refused.append((trouble.fault, budget.spent + most > limit or not under_way))
            return
        under_way[number] = most
        assert budget.spent + sum(under_way.values()) <= limit
        for _ in range(length):
            await asyncio.sleep(0)
        used = {"all": tokens(most), "half": tokens(most // 2), "unknown": Usage(), "nothing": None}[outcome]
        del under_way[number]
        budget.settle(aside, used)
        assert budget.spent + sum(under_way.values()) <= limit

    async def all_of_them() -> None:
        await asyncio.wait_for(asyncio.gather(*[ask(i, *request) for i, request in enumerate(requests)]), 60)

    asyncio.run(all_of_them())
    assert not under_way
    assert set(refused) <= {(Fault.OVER_BUDGET, True)}
    assert budget.spent <= limit
    if sum(most for most, _, _ in requests) <= limit:
        assert not refused


def test_a_request_waits_for_those_under_way_and_is_refused_once_nothing_can_help() -> None:
    async def asked() -> str:
        budget = Budget(PRICES, 10.0)
        first = await budget.set_aside(tokens(8))
        second = asyncio.create_task(budget.set_aside(tokens(8)))
        await asyncio.sleep(0)
        assert not second.done()
        budget.settle(first, tokens(1))
        await second
        third = asyncio.create_task(budget.set_aside(tokens(8)))
        await asyncio.sleep(0)
        budget.settle(await second, tokens(8))
        with pytest.raises(Trouble) as refusal:
            await third
        return refusal.value.problem

    assert asyncio.run(asked()) == "$9.0000 of $10 are spent, and another request can cost $8.0000"


def test_who_is_cancelled_while_waiting_has_set_nothing_aside() -> None:
    async def asked() -> float:
        budget = Budget(PRICES, 10.0)
        first = await budget.set_aside(tokens(8))
        waiting = asyncio.create_task(budget.set_aside(tokens(8)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        budget.settle(first, None)
        await budget.set_aside(tokens(10))
        return budget.spent

    assert asyncio.run(asked()) == 0.0


def test_without_a_limit_nothing_waits_and_spending_is_counted_where_it_is_known() -> None:
    async def asked() -> Budget:
        budget = Budget(PRICES)
        numbers = [await budget.set_aside(tokens(10**9)) for _ in range(100)]
        assert budget.settle(numbers[0], tokens(3)) == 3.0
        assert budget.settle(numbers[1], Usage()) is None
        return budget

    assert asyncio.run(asked()).spent == 3.0


@given(tokens_in=st.integers(0, 10**6), cached=st.integers(0, 10**7), out=st.integers(0, 10**6))
def test_a_service_that_counts_more_cached_tokens_than_there_were_makes_nothing_cheaper_than_free(
    tokens_in: int, cached: int, out: int
) -> None:
    cost = Prices(tokens_in=2.0, tokens_cached=1.0, tokens_out=3.0).cost(
        Usage(tokens_in=tokens_in, tokens_cached=cached, tokens_out=out)
    )
    assert cost is None or cost >= (tokens_in + 3 * out) / 1e6 - 1e-9
