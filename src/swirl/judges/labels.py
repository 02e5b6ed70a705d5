"""A user's own labels of steps, as the truth that a judge is measured against: JSON lines, one object a line.

    {"trajectory": "q7/0", "step": 0, "good": true}
    {"trajectory": "q7/0", "step": 1, "score": 0.25}

`step` counts from 0, as in verdicts.jsonl. A score of 0.5 or more is good. Steps without a label are left out.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from swirl.errors import RecordError
from swirl.rows import Row, read_rows
from swirl.types import Trajectory, Verdict


def read_labels(path: Path) -> dict[tuple[str, int], tuple[Verdict, str]]:
    """(Trajectory, step) -> its label, and the place it stands at; raises `RecordError` naming file, line and field."""
    found: dict[tuple[str, int], tuple[Verdict, str]] = {}
    for row in read_rows(path):
        key = (row.text("trajectory"), _step(row))
        if key in found:
            raise RecordError(
                f"{row.place}: field step: step {key[1]} of trajectory {key[0]!r} is labelled at {found[key][1]} already; "
                "delete one of the two"
            )
        found[key] = (Verdict(_score(row)), row.place)
    return found


def placed(
    labels: Mapping[tuple[str, int], tuple[Verdict, str]], trajectories: Iterable[Trajectory]
) -> dict[tuple[str, int], Verdict]:
    """The labels alone, once each is known to be of a step that is there; raises `RecordError` where one is not."""
    steps = {each.id: len(each.steps) for each in trajectories}
    for (trajectory, step), (_, place) in labels.items():
        if trajectory not in steps:
            raise RecordError(
                f"{place}: field trajectory: expected the id of one of the run's {len(steps)} trajectories, found {trajectory!r}"
            )
        if step >= steps[trajectory]:
            raise RecordError(
                f"{place}: field step: expected one of the {steps[trajectory]} steps of trajectory {trajectory!r}, counted from 0, "
                f"found {step}"
            )
    return {key: label for key, (label, _) in labels.items()}


def _step(row: Row) -> int:
    value = row.fields.get("step")
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _expected(row, "step", "a whole number, counted from 0", value)
    return value


def _score(row: Row) -> float:
    given = [name for name in ("score", "good") if row.fields.get(name) is not None]
    if len(given) != 1:
        raise RecordError(
            f"{row.place}: field score: expected a score or good, and not both, found {' and '.join(given) or 'neither'}"
        )
    [name] = given
    value = row.fields[name]
    if name == "good":
        if not isinstance(value, bool):
            raise _expected(row, name, "true or false", value)
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _expected(row, name, "a number from 0 to 1", value)
    return float(value)


def _expected(row: Row, field: str, what: str, found: Any) -> RecordError:
    return RecordError(
        f"{row.place}: field {field}: expected {what}, found {'nothing' if found is None else repr(found)[:60]}"
    )
