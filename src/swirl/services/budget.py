"""US dollars: what a request costs, and how many are left."""

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
        fresh = usage.tokens_in - usage.tokens_cached
        return (
            fresh * self.tokens_in + usage.tokens_cached * self.tokens_cached + usage.tokens_out * self.tokens_out
        ) / 1e6


class Budget:
    """What may be spent. The most that a request can cost is set aside before it is made, so the limit is never passed; used on the event
    loop alone."""

    def __init__(self, prices: Prices, limit: float = 0.0, spent: float = 0.0) -> None:
        self.prices = prices
        self.limit = limit
        """US dollars; 0: no limit."""
        self.spent = spent
        """US dollars so far, as far as they are known."""
        self._set_aside = 0.0

    def set_aside(self, most: Usage) -> float:
        """Set aside the most that a request can cost; raises `Trouble` where that is more than is left."""
        cost = (self.prices.cost(most) or 0.0) if self.limit else 0.0
        if self.limit and self.spent + self._set_aside + cost > self.limit:
            raise Trouble(
                Fault.OVER_BUDGET,
                f"${self.spent:.4f} of ${self.limit:g} are spent, ${self._set_aside:.4f} may go to what is under way, and another request "
                f"can cost ${cost:.4f}",
            )
        self._set_aside += cost
        return cost

    def settle(self, set_aside: float, usage: Usage) -> float | None:
        """Put what was set aside back, and take what the request really cost; where the service does not say, all that was set aside."""
        self._set_aside -= set_aside
        cost = self.prices.cost(usage)
        self.spent += set_aside if cost is None else cost
        return cost

    def put_back(self, set_aside: float) -> None:
        """Put back what was set aside for a request that brought nothing."""
        self._set_aside -= set_aside
