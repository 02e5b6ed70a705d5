"""The one way in which a service is asked: in its turn, within its time and the budget, again when it failed for a while, and on record.

The SDKs' own retries are switched off: retries of retries hang for minutes.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

from swirl.errors import ServiceFailure
from swirl.services import Limits
from swirl.services.budget import Budget, Prices
from swirl.services.faults import Fault, Trouble
from swirl.services.ledger import Ledger, Request, Usage
from swirl.services.pace import Flow, Pace
from swirl.services.secrets import redacted
from swirl.terminal import say

T = TypeVar("T")

LONGEST_WAIT = 60.0
"""Seconds between two attempts at most, where the service does not say how long to wait."""
LONGEST_ASKED_FOR = 600.0
"""The same where it does."""
_TOLD_FROM = 30.0
"""Seconds of a wait that a person is told about."""
STOPPED = "stopped"
"""Status on record of a request that was under way when the work was stopped, by Ctrl-C or by an error elsewhere."""


class Service:
    """One service, e.g. the judge's model server."""

    def __init__(
        self,
        name: str,
        limits: Limits,
        ledger: Ledger,
        *,
        role: str,
        model: str = "",
        budget: Budget | None = None,
        advice: str = "",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        """As people are told, e.g. `the judge's server at http://localhost:8000/v1`; holds no secret."""
        self.limits = limits
        self.ledger = ledger
        self.role = role
        """policy, judge, grader or search."""
        self.model = model
        self.budget = budget or Budget(Prices())
        self.advice = advice
        """What to do when it fails, e.g. `see whether it runs, and judge_server.url`."""
        self._sleep = sleep
        self._told_until = 0.0
        """When the last wait that was told of ends."""
        self._pace = Pace(limits.concurrency, Flow(limits.requests_per_minute), Flow(limits.tokens_per_minute), sleep)

    async def ask(self, send: Callable[[], Awaitable[tuple[T, Usage]]], most: Usage | None = None) -> T:
        """Make a request. `send` makes one attempt and raises `Trouble` where it fails; `most` is an upper bound of its tokens.

        An attempt that timed out or was cancelled once it was sent may have been billed, so the budget takes it as spent; one that failed
        otherwise cost what the service says it took (`Trouble.usage`), else nothing. Raises `ServiceFailure` where it fails for good.
        """
        tally = _Tally()
        try:
            while True:
                try:
                    value = await self._attempt(send, most or Usage(), tally)
                except Trouble as trouble:
                    if not trouble.again or tally.attempts > self.limits.retries:
                        raise self._failed(trouble, tally) from None
                    await self._wait(pause(tally.attempts - 1, trouble.wait), trouble)
                else:
                    self._note(tally)
                    return value
        except asyncio.CancelledError:
            if tally.attempts:
                self._note(tally, STOPPED)
            raise

    async def _wait(self, seconds: float, trouble: Trouble) -> None:
        """Wait before another attempt, and say so where that takes long: once for all requests that wait meanwhile."""
        now = monotonic()
        if seconds > _TOLD_FROM and now >= self._told_until:
            self._told_until = now + seconds
            asked = ", as it asks for" if trouble.wait is not None else ""
            say(f"{self.name}: {redacted(trouble.problem)}; trying again in {seconds:.0f} s{asked}")
        await self._sleep(seconds)

    async def _attempt(self, send: Callable[[], Awaitable[tuple[T, Usage]]], most: Usage, tally: "_Tally") -> T:
        about = most.tokens_in + most.tokens_out
        number = await self.budget.set_aside(most)
        usage: Usage | None = None
        try:
            async with self._pace.turn(about) as share:
                usage = Usage()
                tally.attempts += 1
                value, usage = await self._in_time(send)
                self._pace.correct(share, usage.tokens_in + usage.tokens_out or about)
        except Trouble as trouble:
            usage = trouble.usage if trouble.fault is Fault.TIMED_OUT or trouble.usage != Usage() else None
            raise
        finally:
            tally.used += usage or Usage()
            if self.budget.settle(number, usage) is None and usage is not None:
                tally.usd_in_doubt += self.budget.prices.cost(most) or 0.0
        return value

    async def _in_time(self, send: Callable[[], Awaitable[tuple[T, Usage]]]) -> tuple[T, Usage]:
        try:
            async with asyncio.timeout(self.limits.timeout) as limit:
                return await send()
        except TimeoutError:
            late = f"its reply was not there after {self.limits.timeout:g} s"
            problem = late if limit.expired() else "it did not answer in time"
            raise Trouble(Fault.TIMED_OUT, problem, again=True) from None

    def _failed(self, trouble: Trouble, tally: "_Tally") -> ServiceFailure:
        problem = redacted(trouble.problem)
        self._note(tally, trouble.fault.value, problem)
        times = f", {tally.attempts} times" if tally.attempts > 1 else ""
        advice = f"; {self.advice}" if self.advice else ""
        if trouble.fault is Fault.OVER_BUDGET:
            return ServiceFailure(
                f"{self.name} is not asked any more, by its budget_usd: {problem}", trouble.fault.value
            )
        if trouble.fault is Fault.REFUSED:
            return ServiceFailure(f"{self.name} refused a request: {problem}", trouble.fault.value)
        return ServiceFailure(f"{self.name} cannot be used: {problem}{times}{advice}", trouble.fault.value)

    def _note(self, tally: "_Tally", status: str = "ok", problem: str = "") -> None:
        self.ledger.note(
            Request(
                stage=self.ledger.stage,
                service=self.role,
                model=self.model,
                seconds=round(monotonic() - tally.begin, 4),
                status=status,
                attempts=tally.attempts,
                problem=problem,
                usage=tally.used,
                usd=self.budget.prices.cost(tally.used),
                usd_in_doubt=tally.usd_in_doubt or None,
            )
        )


@dataclass
class _Tally:
    """What a request has come to so far."""

    begin: float = field(default_factory=monotonic)
    attempts: int = 0
    """Times it was sent."""
    used: Usage = field(default_factory=Usage)
    usd_in_doubt: float = 0.0


def pause(attempt: int, asked_for: float | None = None) -> float:
    """Seconds before another attempt: a half to a whole of 1, 2, 4, ..., at most a minute, so that those who wait do not all come back at
    once; where the service asks for a time, that, up to ten minutes, and a little more.

    >>> 0.5 <= pause(0) <= 1, 4 <= pause(3) <= 8, 30 <= pause(99) <= 60, 3 <= pause(0, 3.0) <= 4, 600 <= pause(0, 9e9) <= 601
    (True, True, True, True, True)
    """
    if asked_for is not None:
        return min(asked_for, LONGEST_ASKED_FOR) + random.uniform(0.0, min(1.0, 0.1 + asked_for / 10))
    return min(2.0 ** min(attempt, 10), LONGEST_WAIT) * random.uniform(0.5, 1.0)
