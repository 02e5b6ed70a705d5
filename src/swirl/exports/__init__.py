"""A run's trajectories and verdicts in the formats of other tools, a file a format: pure functions from what is on record to rows.

Not here: which trajectories are wanted, and how rows are written to disk (`swirl export`).
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from swirl.types import Trajectory, Verdict

Row = dict[str, Any]


class Item(NamedTuple):
    """A trajectory to export, with all that is known of it."""

    trajectory: Trajectory
    verdicts: tuple[Verdict | None, ...] = ()
    """Of the run's own judge, one a step, None where there is none; empty where nothing was judged."""
    kept: bool | None = None
    """Whether the filter keeps it; None where it has not decided."""
    correct: bool | None = None
    """Whether its answer is right; None where the question has no gold answer."""


class Format(NamedTuple):
    """One format."""

    name: str
    """As in `--to NAME`."""
    about: str
    """What it is and who reads it, in one line of help."""
    rows: Callable[[Iterable[Item]], Iterator[Row]]
    """The rows, made while the items are read: all trajectories of a question stand together, a run may hold 50,000."""
