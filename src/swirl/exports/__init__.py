"""A run's trajectories and verdicts in the formats of other tools, a file a format: pure functions from what is on record to rows.

Not here: which trajectories are wanted, and how rows are written to disk (`swirl export`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

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


class Written(NamedTuple):
    """Rows that have been written, for the files that go beside them."""

    name: str
    """Of the run folder."""
    data: str
    """Of the file with the rows."""
    rows: int
    trajectories: int
    kept: bool
    """Whether they are those that the filter keeps, or all."""
    origin: Mapping[str, str] = {}
    """Where they come from: what, and its value; each one line for people to read."""


class Format(NamedTuple):
    """One format."""

    name: str
    """As in `--to NAME`."""
    about: str
    """What it is and who reads it, in one line of help."""
    rows: Callable[[Iterable[Item]], Iterator[Row]]
    """The rows, made while the items are read: all trajectories of a question stand together, a run may hold 50,000."""
    dropped: bool = False
    """Whether it tells good from bad, and so is made of the trajectories that the filter dropped, too."""
    kind: Literal["jsonl", "parquet"] = "jsonl"
    """What the rows are written as; the columns of Parquet are those of `schemas/NAME.json`."""
    beside: Mapping[str, Callable[[Written], str]] = {}
    """Files that go beside the rows: name -> text. With any, an export is a folder."""
