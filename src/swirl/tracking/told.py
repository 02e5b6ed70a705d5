"""What a tracker is told, and what one has to be able to hear: numbers by name, and tables of text."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from json import dumps
from pathlib import Path
from re import sub
from typing import Any, NamedTuple, Protocol, runtime_checkable

from swirl.terminal import harmless

PROJECT = "swirl"
"""What the runs of all folders are gathered under, unless the tracker's own environment variable says otherwise."""
_MOST = 4000
"""Characters of a cell; trackers are no archive."""

Values = Mapping[str, float]
Cell = str | int | float | None


class Tracked(NamedTuple):
    """What a tracker is told of a stage before anything else."""

    run: str
    """The run folder's name."""
    stage: str
    """`train`, `warm_start` or `evaluate`; each is a run of its own in the tracker."""
    settings: Mapping[str, Any]
    """Of this training, or the figures of this evaluation; with the names and the seed they say whether it is the same one that goes on."""
    config: Mapping[str, Any]
    """Of the whole run, to be looked at."""
    folder: Path
    """Where a tracker that writes files puts them."""

    @property
    def name(self) -> str:
        """What people read."""
        return f"{self.run}/{self.stage}"

    @property
    def id(self) -> str:
        """The same for the same training, however often it is resumed; another where its settings are others."""
        settings = dumps([self.settings, self.config.get("seed")], sort_keys=True, default=str)
        name = sub(r"[^\w.-]", "-", self.run)[:64]
        return f"{name}-{self.stage}-{sha256(settings.encode()).hexdigest()[:8]}"


class Table(NamedTuple):
    """Text from models, tools and judges, in rows: no tracker may take any of it for markup."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def readable(self) -> "Table":
        """With what would hide or turn text around written out, and long texts cut.

        >>> Table("samples", ["action", "reward"], [["a\\x1b[1m", 1.0], ["b" * 5000, None]]).readable().rows[0]
        ['a\\\\x1b[1m', 1.0]
        """
        return self._replace(rows=[[_readable(cell) for cell in row] for row in self.rows])


def _readable(cell: Cell) -> Cell:
    if not isinstance(cell, str):
        return cell
    return harmless(cell) if len(cell) <= _MOST else f"{harmless(cell[:_MOST])} ... ({len(cell)} characters)"


@runtime_checkable
class Sink(Protocol):
    """A tracker that is open."""

    def log(self, values: Values, update: int, tables: Sequence[Table] = ()) -> None:
        """Tell it what an update was, or what an evaluation came to."""

    def close(self) -> None:
        """Tell it that there is no more."""
