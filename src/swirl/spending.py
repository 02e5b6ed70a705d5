"""What was asked of services, and what it came to: requests, tokens, US dollars and times, summed up from `calls.jsonl`.

What is unknown is never taken for nothing: dollars are of the requests whose price is known, and it is told how many these are.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct, convert

from swirl.services.ledger import Request

_UNKNOWN = "unknown"


class Spent(Struct, frozen=True, kw_only=True):
    """The requests of a stage to one model of a service."""

    stage: str
    service: str
    """policy, judge, grader or search."""
    model: str
    requests: int
    attempts: int
    """Times something was sent."""
    failed: dict[str, int]
    """How requests failed for good (`swirl.services.faults.Fault`) -> how many."""
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    usd: float | None
    """Of the requests whose price is known; None where none's is."""
    usd_known: int
    """How many these are."""
    usd_in_doubt: float = 0.0
    """The most that attempts of which nobody said what they took can have cost beyond that."""
    seconds_p50: float
    """From a request's first attempt to its last one's end, waits between them included: half took no longer."""
    seconds_p95: float


def spent(requests: Iterable[Request]) -> list[Spent]:
    """Summed up by stage, service and model, in the order in which these were first asked.

    >>> [found] = spent([Request(stage="judge", service="judge", model="m", seconds=1.0, usd=0.5)] * 3)
    >>> found.requests, found.usd, found.seconds_p95
    (3, 1.5, 1.0)
    """
    sums: dict[tuple[str, str, str], Sum] = {}
    for request in requests:
        sums.setdefault((request.stage, request.service, request.model), Sum()).add(request)
    return [found.told(*key) for key, found in sums.items()]


class Sum:
    """Requests to one model of a service, summed up one by one."""

    def __init__(self) -> None:
        self.attempts = self.tokens_in = self.tokens_cached = self.tokens_out = 0
        self.seconds: list[float] = []
        self.usd: list[float] = []
        self.usd_in_doubt: list[float] = []
        self.failed: Counter[str] = Counter()

    def add(self, request: Request) -> None:
        """Count one more."""
        self.attempts += request.attempts
        self.tokens_in += request.usage.tokens_in
        self.tokens_cached += request.usage.tokens_cached
        self.tokens_out += request.usage.tokens_out
        self.seconds.append(request.seconds)
        if request.usd is not None:
            self.usd.append(request.usd)
        self.usd_in_doubt.append(request.usd_in_doubt or 0.0)
        if request.status != "ok":
            self.failed[request.status] += 1

    def told(self, stage: str, service: str, model: str) -> Spent:
        """What they came to so far."""
        in_order = sorted(self.seconds)
        return Spent(
            stage=stage,
            service=service,
            model=model,
            requests=len(in_order),
            attempts=self.attempts,
            failed=dict(sorted(self.failed.items())),
            tokens_in=self.tokens_in,
            tokens_cached=self.tokens_cached,
            tokens_out=self.tokens_out,
            usd=round(math.fsum(self.usd), 8) if self.usd else None,
            usd_known=len(self.usd),
            usd_in_doubt=round(math.fsum(self.usd_in_doubt), 8),
            seconds_p50=quantile(in_order, 0.5),
            seconds_p95=quantile(in_order, 0.95),
        )


def quantile(in_order: Sequence[float], share: float) -> float:
    """The smallest of some values in order that at least this share of them does not exceed.

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5), quantile([1.0, 2.0, 3.0, 4.0], 0.95)
    (2.0, 4.0)
    """
    return in_order[max(0, math.ceil(share * len(in_order)) - 1)]


def line(found: Sequence[Spent], stored: int = 0) -> str:
    """What a stage asked of services, in a line; empty where it asked nothing, and nothing was stored.

    >>> line(spent([Request(stage="judge", service="judge", model="m", seconds=1.0, status="down", attempts=6)]), stored=2)
    '1 request to services (6 attempts), failed: 1 down; 0 tokens in, 0 out; cost unknown; 2 replies were stored already'
    """
    requests, attempts = sum(one.requests for one in found), sum(one.attempts for one in found)
    failed = _failures(found)
    already = f"{_count(stored, 'reply was', 'replies were')} stored already" if stored else ""
    if not requests:
        return already
    said = _count(requests, "request", "requests") + " to services"
    said += f" ({attempts:,} attempts)" if attempts != requests else ""
    said += f", failed: {_counted(failed)}" if failed else ""
    tokens = f"{sum(one.tokens_in for one in found):,} tokens in, {sum(one.tokens_out for one in found):,} out"
    cost = _cost(found)
    return "; ".join(
        part for part in (said, tokens, f"cost {cost}" if cost.startswith(_UNKNOWN) else cost, already) if part
    )


def dollars(usd: float | None, known: int, answered: int) -> str:
    """US dollars of the answered requests whose price is known.

    >>> dollars(1.5, 3, 3), dollars(1.5, 3, 4), dollars(None, 0, 4)
    ('$1.5000', '$1.5000 for 3 of 4, the rest unknown', 'unknown')
    """
    if usd is None:
        return _UNKNOWN
    return f"${usd:.4f}" if known >= answered else f"${usd:.4f} for {known:,} of {answered:,}, the rest unknown"


def rows(services: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """`services` of a summary as rows of text: stage, service, model, requests, attempts, failed, tokens in, of these cached, tokens out,
    cost, median and 95th percentile of seconds."""
    return [
        (one.stage, one.service, one.model, *_sums([one]), f"{one.seconds_p50:.2f}", f"{one.seconds_p95:.2f}")
        for one in convert(list(services), list[Spent])
    ]


def total_row(services: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """All of them together as one more such row, without the times, which are of single requests.

    >>> from msgspec import to_builtins
    >>> one = to_builtins(spent([Request(stage="judge", service="judge", model="m", seconds=1.0, usd=0.5)])[0])
    >>> total_row([one, one])
    ('all', '', '', '2', '2', '0', '0', '0', '0', '$1.0000', '', '')
    """
    return ("all", "", "", *_sums(convert(list(services), list[Spent])), "", "")


def _sums(found: Sequence[Spent]) -> list[str]:
    """From requests to cost."""
    counts = ("requests", "attempts", "tokens_in", "tokens_cached", "tokens_out")
    requests, attempts, *tokens = (f"{sum(getattr(one, name) for one in found):,}" for name in counts)
    return [requests, attempts, _counted(_failures(found)) or "0", *tokens, _cost(found)]


def _failures(found: Sequence[Spent]) -> Counter[str]:
    return sum((Counter(one.failed) for one in found), Counter())


def _counted(failed: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {status}" for status, count in failed.items())


def _cost(found: Sequence[Spent]) -> str:
    usd = [one.usd for one in found if one.usd is not None]
    answered = sum(one.requests for one in found) - _failures(found).total()
    cost = dollars(math.fsum(usd) if usd else None, sum(one.usd_known for one in found), answered)
    in_doubt = math.fsum(one.usd_in_doubt for one in found)
    return f"{cost}, and at most ${in_doubt:.4f} of what nobody counted" if in_doubt else cost


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
