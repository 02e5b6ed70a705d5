"""An index of one run's trajectories and evaluation in SQLite, kept up with while the run goes on.

It holds what is filtered, sorted and searched by, and where in the run folder's files each record stands: a trajectory is read there when
it is looked at, a line and no more. One thread calls `refresh` again and again; any number read meanwhile.

Not here: what can be asked (`swirl.viewer.search`), how it is kept up (`swirl.viewer.keeping`).
"""

import math
import sqlite3
import threading
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

from swirl.filters import FilterConfig
from swirl.known import Known
from swirl.types import Trajectory
from swirl.viewer import census
from swirl.viewer.census import AtStep, Facets
from swirl.viewer.database import Database
from swirl.viewer.keeping import Indexed, Keeping
from swirl.viewer.reading import Place, entered, known_at, rows_of
from swirl.viewer.search import TRAJECTORIES, Found, Query, condition, order

T = TypeVar("T")
_REMEMBERED = 8
"""Searches whose rows are remembered, and counts, until something changes."""


class Index:
    """The index of one run folder, made anew in a file whose folder the caller owns. `judge` is the run's own, `right` says whether an
    answer is right, as far as that can be said (`swirl.grades.grader`), and `config` is the run's filter, which decides what passes a
    rule."""

    def __init__(
        self,
        run: Path,
        judge: str,
        right: Callable[[Trajectory], bool | None],
        file: Path,
        *,
        config: FilterConfig | None = None,
    ) -> None:
        self.run = run
        self.judge = judge
        self._database = Database(file)
        self._keeping = Keeping(run, judge, right, self._database, config or FilterConfig())
        self._found: OrderedDict[tuple[Query, int], array[int]] = OrderedDict()
        self._counts: dict[str, tuple[int, object]] = {}
        self._lock = threading.Lock()

    def refresh(self, budget: float = math.inf) -> bool:
        """Take in what is new in the run folder, for about so many seconds; whether anything changed. `state` says whether that was all."""
        return self._keeping.go_on(time.monotonic() + budget)

    def state(self) -> Indexed:
        """How far it is."""
        return self._keeping.state

    def find(self, query: Query) -> Found:
        """A page of what is looked for."""
        with self._database.reading() as connection:
            rows = self._rows(connection, query)
            pages = max(1, math.ceil(len(rows) / query.size))
            page = min(query.page, pages)
            shown = rows[(page - 1) * query.size : page * query.size]
            return Found(rows_of(connection, shown), len(rows), page, pages)

    def facets(self, of: str = TRAJECTORIES) -> Facets:
        """What can be chosen in the filters, and how many trajectories it leaves."""
        return self._counted(f"facets of {of}", lambda connection: census.facets(connection, of))

    def locate(self, id: str, of: str = TRAJECTORIES) -> Place | None:
        """Where the line of a trajectory is."""
        with self._database.reading() as connection:
            found = entered(connection, self.run, id, of)
            return found.place if found else None

    def trajectory(self, id: str, of: str = TRAJECTORIES) -> Known | None:
        """A trajectory with all that is known of it, read from its place; None where there is none of that id, or not any more."""
        with self._database.reading() as connection:
            found = entered(connection, self.run, id, of)
            known = known_at(connection, self.run, self.judge, found) if found else None
        return known if known and known.trajectory.id == id else None

    def neighbours(self, id: str, query: Query) -> tuple[str | None, str | None]:
        """The ids before and after a trajectory among those that are looked for, in their order; None where there is none, and where it is
        not among them itself."""
        with self._database.reading() as connection:
            found = entered(connection, self.run, id, query.of)
            rows = self._rows(connection, query)
            if found is None or found.row not in rows:
                return None, None
            place = rows.index(found.row)
            before, after = rows[max(0, place - 1) : place], rows[place + 1 : place + 2]
            return _id_of(connection, before), _id_of(connection, after)

    def steps_distribution(self) -> dict[int, int]:
        """How many trajectories for training have how many steps."""
        return self._counted("steps", census.steps_distribution)

    def score_by_step(self) -> list[AtStep]:
        """The mean score that the run's judge gives to first steps, second steps and so on."""
        return self._counted("scores", lambda connection: census.score_by_step(connection, self.judge))

    def endings(self) -> dict[str, int]:
        """How many trajectories for training ended how."""
        return self._counted("endings", census.endings)

    def close(self) -> None:
        """Close the file; whoever owns its folder removes it."""
        self._database.close()

    def _counted(self, name: str, count: Callable[[sqlite3.Connection], T]) -> T:
        """A count, remembered until something changes."""
        version = self._keeping.state.version
        with self._lock:
            then, known = self._counts.get(name, (-1, None))
        if then == version:
            return cast(T, known)
        with self._database.reading() as connection:
            found = count(connection)
        with self._lock:
            self._counts[name] = (version, found)
            while len(self._counts) > _REMEMBERED:
                self._counts.pop(next(iter(self._counts)))
        return found

    def _rows(self, connection: sqlite3.Connection, query: Query) -> "array[int]":
        """The rows of all pages, in order; remembered, because pages and neighbours are asked for one after another."""
        key = (replace(query, page=1, size=1), self._keeping.state.version)
        with self._lock:
            if (known := self._found.get(key)) is not None:
                self._found.move_to_end(key)
                return known
        sql, values = condition(query)
        found = connection.execute(f"SELECT row FROM entries WHERE {sql} ORDER BY {order(query)}", values)
        rows = array("q", (row for (row,) in found))
        with self._lock:
            self._found[key] = rows
            while len(self._found) > _REMEMBERED:
                self._found.popitem(last=False)
        return rows


def _id_of(connection: sqlite3.Connection, rows: "array[int]") -> str | None:
    return next((told.id for told in rows_of(connection, rows)), None)
