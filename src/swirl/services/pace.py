"""How often a service may be asked: at once, and a minute. Used on the event loop alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic


class Flow:
    """Lets so many units a minute through, evenly; a rest of a second's worth may come at once."""

    def __init__(
        self,
        per_minute: int,
        *,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._seconds_a_unit = 60.0 / per_minute if per_minute else 0.0
        self._clock = clock
        self._sleep = sleep
        self._free_at = 0.0

    async def take(self, units: float = 1.0) -> None:
        """Wait until these units may pass. They pass in the order in which they were asked for."""
        if not self._seconds_a_unit:
            return
        begin = max(self._free_at, self._clock() - 1.0)
        self._free_at = begin + units * self._seconds_a_unit
        if (wait := begin - self._clock()) > 0:
            await self._sleep(wait)

    def give(self, units: float) -> None:
        """Units that were taken and not used (below 0: used and not taken) count for what comes next."""
        self._free_at -= units * self._seconds_a_unit


class Pace:
    """All limits of one service."""

    def __init__(self, concurrency: int, requests: Flow, tokens: Flow) -> None:
        self._room = asyncio.Semaphore(concurrency)
        self._requests = requests
        self._tokens = tokens

    @asynccontextmanager
    async def turn(self, tokens: int) -> AsyncIterator[None]:
        """Wait for the turn of a request of about so many tokens, and hold one of the places while it is under way."""
        async with self._room:
            await self._tokens.take(tokens)
            await self._requests.take()
            yield

    def correct(self, taken: int, used: int) -> None:
        """Tell how many tokens a request that had taken so many really used."""
        self._tokens.give(taken - used)
