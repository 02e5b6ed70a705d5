"""`calls.jsonl`: what may differ between two equal runs. Times and memory of pieces of work, and beside them the requests to services."""

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from swirl.records import read
from swirl.services.ledger import Request


class Call(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="swirl.call/1", tag_field="schema"):
    """The circumstances of a piece of work: what may differ between two equal runs."""

    stage: str
    item: str
    seconds: float
    count: int = 0
    """Things done: trajectories, verdicts, updates."""
    tokens: int = 0
    """Tokens sampled."""
    parts: dict[str, float] = {}
    """Seconds of its parts, where it has some."""
    peak_memory_mb: float = 0.0
    """Highest resident memory of the process so far, in MiB."""


def laps(file: Path) -> Iterator[Call]:
    """What was noted so far, without the requests to services that stand there too."""
    return read(file, Call, beside=(Request,)) if file.exists() else iter(())


def requests(file: Path) -> Iterator[Request]:
    """The requests to services so far."""
    return read(file, Request, beside=(Call,)) if file.exists() else iter(())


def peak_memory_mb() -> float:
    """Highest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if sys.platform != "darwin" else 1024 * 1024), 1)
