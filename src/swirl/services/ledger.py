"""What was asked, how long it took, and what it cost: a line a request in `calls.jsonl`."""

from pathlib import Path
from threading import Lock

from msgspec import Struct

from swirl.records import log


class Usage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of a request and its reply, as the service counts them; where it does not, 0."""

    tokens_in: int = 0
    tokens_cached: int = 0
    """Of these, how many the service had in its prefix cache."""
    tokens_out: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Both together.

        >>> Usage(tokens_in=1) + Usage(tokens_in=2, tokens_out=3)
        Usage(tokens_in=3, tokens_cached=0, tokens_out=3)
        """
        return Usage(
            tokens_in=self.tokens_in + other.tokens_in,
            tokens_cached=self.tokens_cached + other.tokens_cached,
            tokens_out=self.tokens_out + other.tokens_out,
        )


class Request(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="swirl.request/1", tag_field="schema"):
    """One request to a service, however many attempts it took."""

    stage: str
    service: str
    """What it was asked as: policy, judge, grader or search."""
    model: str
    seconds: float
    """From the first attempt to the last one's end, waits included."""
    status: str = "ok"
    """ok, or how it failed for good (`swirl.services.faults.Fault`)."""
    attempts: int = 1
    """Times it was sent; those that failed may have been billed all the same, which few services tell."""
    problem: str = ""
    """What went wrong last."""
    usage: Usage = Usage()
    """Of all attempts, as far as the service tells."""
    usd: float | None = None
    """US dollars; None where the price or the number of tokens is unknown. Never 0 for that reason."""
    usd_in_doubt: float | None = None
    """US dollars that its attempts may have cost beyond `usd`: the most that each can have cost that was sent and of which nobody said what
    it took (it timed out, was broken off, or its reply counts no tokens). None where there are none, or prices are unknown."""


class Ledger:
    """The requests of one stage; safe to use from several threads. Without a path it only counts."""

    def __init__(self, path: Path | None = None, stage: str = "") -> None:
        self.stage = stage
        self._path = path
        self._lock = Lock()
        self.num_requests = 0
        self.num_stored = 0
        """Replies that were stored already: nothing was asked."""

    def note(self, request: Request) -> None:
        """Write a request down at once, so that a killed process leaves it on record."""
        with self._lock:
            self.num_requests += 1
            if self._path is not None:
                log(self._path, [request])

    def note_stored(self) -> None:
        """Count a reply that was there already."""
        with self._lock:
            self.num_stored += 1
