"""US dollars: what a request costs, and how many are left."""

import asyncio

from msgspec import Struct

from swirl.services import ServerConfig
from swirl.services.faults import Fault, Trouble
from swirl.services.ledger import Usage


class Prices(Struct, frozen=True, kw_only=True):
    """US dollars a million tokens; None where unknown."""

    tokens_in: float | None = None
    tokens_cached: float | None = None
    tokens_out: float | None = None

    @classmethod
    def of(cls, config: ServerConfig) -> "Prices":
        """The prices that a configuration states.

        >>> Prices.of(ServerConfig(usd_per_million_in=2.0)).tokens_cached, Prices.of(ServerConfig()).tokens_in
        (2.0, None)
        """
        known = [
            None if price < 0 else price
            for price in (config.usd_per_million_in, config.usd_per_million_cached, config.usd_per_million_out)
        ]
        return cls(tokens_in=known[0], tokens_cached=known[0] if known[1] is None else known[1], tokens_out=known[2])

    def cost(self, usage: Usage) -> float | None:
        """US dollars of a request; None where a price is unknown, or the service did not count its tokens.

        >>> Prices(tokens_in=2.0, tokens_cached=1.0, tokens_out=10.0).cost(Usage(tokens_in=1000, tokens_cached=500, tokens_out=100))
        0.0025
        >>> Prices().cost(Usage(tokens_in=1000)) is None
        True
        """
        if self.tokens_in is None or self.tokens_cached is None or self.tokens_out is None or usage == Usage():
            return None
        cached = min(usage.tokens_cached, usage.tokens_in)
        fresh = usage.tokens_in - cached
        return (fresh * self.tokens_in + cached * self.tokens_cached + usage.tokens_out * self.tokens_out) / 1e6


class Budget:
    """What may be spent. The most that a request can cost is set aside before it is made, so the limit is never passed; used on the event
    loop alone."""

    def __init__(self, prices: Prices, limit: float = 0.0, spent: float = 0.0) -> None:
        self.prices = prices
        self.limit = limit
        """US dollars; 0: no limit."""
        self.spent = spent
        """US dollars so far, as far as they are known."""
        self._set_aside: dict[int, float] = {}
        """What each request under way may cost."""
        self._changed = asyncio.Event()
        self._number = 0

    async def set_aside(self, most: Usage) -> int:
        """Set aside the most that a request can cost; waits where that is more than is left, and what is under way may turn out cheaper.
        Raises `Trouble` where nothing can help. Returns what to settle it by."""
        cost = (self.prices.cost(most) or 0.0) if self.limit else 0.0
        while self.limit and self.spent + sum(self._set_aside.values()) + cost > self.limit:
            if not self._set_aside or self.spent + cost > self.limit:
                raise Trouble(
                    Fault.OVER_BUDGET,
                    f"${self.spent:.4f} of ${self.limit:g} are spent, and another request can cost ${cost:.4f}",
                )
            self._changed.clear()
            await self._changed.wait()
        self._number += 1
        self._set_aside[self._number] = cost
        return self._number

    def settle(self, number: int, usage: Usage | None) -> float | None:
        """Put what was set aside back, and take what the request really cost: where nobody says, all that was set aside; where it brought
        nothing (None), nothing. Returns its US dollars where they are known."""
        set_aside = self._set_aside.pop(number)
        cost = None if usage is None else self.prices.cost(usage)
        if usage is not None:
            self.spent += set_aside if cost is None else cost
        self._changed.set()
        return cost
