"""What the index counts: each value of a filter, and what the plots of an overview show."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from swirl.filters import Rule
from swirl.viewer.search import CHOICES, looked_at

_MOST_TOOLS = 50
"""Tools that are told: a model may call them whatever it likes."""


class Facets(Struct, frozen=True, kw_only=True):
    """What can be chosen in the filters: each value with how many trajectories have it, the commonest first."""

    tasks: dict[str, int]
    stops: dict[str, int]
    tools: dict[str, int]
    """Tool -> trajectories that ask it."""
    verdicts: dict[str, int]
    """good, bad, missing -> trajectories with such a step."""
    rules: dict[str, int]
    """Rule -> trajectories that pass it."""
    kept: dict[str, int]
    """yes, no, unknown."""
    correct: dict[str, int]
    judges: dict[str, int]
    """Judge -> verdicts."""
    files: dict[str, int]
    """File of the evaluation -> trajectories, by name."""


class AtStep(NamedTuple):
    """The verdicts on the steps of one index."""

    step: int
    """From 0."""
    score: float
    """Mean over those that have one."""
    n: int


def facets(connection: sqlite3.Connection, of: str) -> Facets:
    """The values of all trajectories for training, of all of the evaluation, or of one file of it."""
    condition, values = looked_at(of)
    chosen = {name: _sums(connection, CHOICES[name], condition, values) for name in ("verdict", "kept", "correct")}
    return Facets(
        tasks=_values(connection, f"SELECT task, count(*) FROM entries WHERE {condition} GROUP BY 1", values),
        stops=_values(connection, f"SELECT stop, count(*) FROM entries WHERE {condition} GROUP BY 1", values),
        tools=_values(
            connection,
            f"SELECT tool, count(*) FROM uses JOIN entries USING (row) WHERE {condition} GROUP BY 1",
            values,
            _MOST_TOOLS,
        ),
        verdicts=chosen["verdict"],
        rules=_sums(connection, {rule.value: CHOICES["rule"][rule.value] for rule in Rule}, condition, values),
        kept=chosen["kept"],
        correct=chosen["correct"],
        judges=_values(
            connection,
            "SELECT judge, sum(number) FROM files JOIN (SELECT file, count(*) number FROM verdicts GROUP BY 1) USING (file) GROUP BY 1",
            [],
        ),
        files=dict(
            connection.execute(
                "SELECT name, count(row) FROM files LEFT JOIN entries USING (file) WHERE kind = 'evaluation' GROUP BY 1 ORDER BY 1"
            ).fetchall()
        ),
    )


def steps_distribution(connection: sqlite3.Connection) -> dict[int, int]:
    """How many trajectories for training have how many steps."""
    return dict(
        connection.execute("SELECT steps, count(*) FROM entries WHERE evaluated = 0 GROUP BY 1 ORDER BY 1").fetchall()
    )


def endings(connection: sqlite3.Connection) -> dict[str, int]:
    """How many trajectories for training ended how, the commonest first."""
    return _values(connection, "SELECT stop, count(*) FROM entries WHERE evaluated = 0 GROUP BY 1", [])


def score_by_step(connection: sqlite3.Connection, judge: str) -> list[AtStep]:
    """What a judge thinks of first steps, second steps and so on."""
    rows = connection.execute(
        "SELECT step, avg(score), count(score) FROM verdicts JOIN files USING (file) "
        "WHERE judge = ? AND score IS NOT NULL GROUP BY 1 ORDER BY 1",
        (judge,),
    )
    return [AtStep(*row) for row in rows.fetchall()]


def _values(
    connection: sqlite3.Connection, statement: str, values: Sequence[int | str], most: int = -1
) -> dict[str, int]:
    return dict(connection.execute(f"{statement} ORDER BY 2 DESC, 1 LIMIT {most}", values).fetchall())


def _sums(
    connection: sqlite3.Connection, choices: Mapping[str, str], condition: str, values: Sequence[int | str]
) -> dict[str, int]:
    sums = ", ".join(f"coalesce(sum({sql}), 0)" for sql in choices.values())
    [row] = connection.execute(f"SELECT {sums} FROM entries WHERE {condition}", values).fetchall()
    return dict(zip(choices, row, strict=True))
