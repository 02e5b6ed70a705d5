"""How often a service may be asked: at once, and a minute. Used on the event loop alone."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

_MINUTE = 60.0
_REST = 1.0
"""Seconds of rest at most whose units may come at once."""
_SOONEST, _LATEST = 0.001, 1.0
"""Seconds between two looks at whether it is one's turn: what others did not use in the meantime counts."""


@dataclass
class Share:
    """Units that were let through."""

    at: float
    units: int


class Flow:
    """Lets so many units a minute through, evenly, and never more in any minute; a rest of a second's worth may come at once. What is
    larger than a minute's worth has a minute to itself."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._free_at = 0.0
        self._shares: deque[Share] = deque()
        """Of the last minute."""
        self._in_minute = 0
        """Their units."""

    def wait(self, units: int) -> float:
        """Seconds until these units may pass, if nothing else does before; 0 where they may now.

        >>> Flow(60, clock=lambda: 100.0).wait(1)
        0.0
        """
        if not self._per_minute:
            return 0.0
        now = self._clock()
        while self._shares and self._shares[0].at <= now - _MINUTE:
            self._in_minute -= self._shares.popleft().units
        surplus, free_at = self._in_minute + units - self._per_minute, self._free_at
        for share in self._shares:
            if surplus <= 0:
                break
            surplus, free_at = surplus - share.units, max(free_at, share.at + _MINUTE)
        return max(0.0, free_at - now)

    def take(self, units: int) -> Share:
        """Let these units through now."""
        now = self._clock()
        share = Share(now, units)
        if self._per_minute:
            self._free_at = max(self._free_at, now - _REST) + units * _MINUTE / self._per_minute
            self._shares.append(share)
            self._in_minute += units
        return share

    def correct(self, share: Share, used: int) -> None:
        """Tell how many units were really used of those let through."""
        surplus, share.units = share.units - used, used
        if self._per_minute:
            self._free_at -= surplus * _MINUTE / self._per_minute
            if self._shares and share.at >= self._shares[0].at:
                self._in_minute -= surplus


class Pace:
    """All limits of one service. Requests come to their turn in the order in which they asked for it."""

    def __init__(
        self, concurrency: int, requests: Flow, tokens: Flow, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._room = asyncio.Semaphore(concurrency)
        self._gate = asyncio.Lock()
        self._requests = requests
        self._tokens = tokens
        self._sleep = sleep

    @asynccontextmanager
    async def turn(self, tokens: int) -> AsyncIterator[Share]:
        """Wait for the turn of a request of about so many tokens, and hold one of the places while it is under way. Who gives up waiting
        has taken nothing."""
        async with self._room:
            async with self._gate:
                while wait := max(self._requests.wait(1), self._tokens.wait(tokens)):
                    await self._sleep(min(max(wait, _SOONEST), _LATEST))
                self._requests.take(1)
                share = self._tokens.take(tokens)
            yield share

    def correct(self, share: Share, used: int) -> None:
        """Tell how many tokens a request really used."""
        self._tokens.correct(share, used)
