"""A state's training group as plain values for a page: the actions sampled there, best first, and how likely each token was found, when.

Each column is what a policy said: the initial one, the one that sampled, and that of each checkpoint, for the actions of the first update.
"""

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, NamedTuple, TypeVar

from swirl.train.recorded import Probe, SampledAction, SampledState
from swirl.viewer.groups import Groups, Measured, alike, gain_of, times
from swirl.viewer.steps import pieces, said

T = TypeVar("T")
MOST_CHECKPOINTS = 8
"""Of which tokens are told, first and last among them."""
_LEVELS = (0.05, 0.5, 2.0)
"""Nats from which on a token has moved a little, clearly, far."""
_SAME = 0.01
_BEFORE = "before training"
MOST_CELLS = 30_000
"""Log-probabilities on one page."""


class Column(NamedTuple):
    """What one policy says of an action's tokens."""

    label: str
    logprobs: tuple[float, ...]


def group(groups: Groups, trajectory: tuple[str, str, int], judge: str, objective: str, update: int) -> dict[str, Any]:
    """What training sampled at a state, given as task, id and step: in the update asked for, else in the first one if its actions were
    probed, else in the last one."""
    visits = groups.visits(*trajectory)
    probes = groups.probes(*trajectory)
    chosen = _chosen(visits, update, probed=bool(probes))
    found = groups.of_state(*trajectory, update=chosen.update) if chosen else []
    state = next((one for one in found if chosen and one.place == chosen.place), None)
    return {
        "visits": [{**measured(visit), "chosen": visit == chosen} for visit in visits],
        "group": state and sampled(state, groups.advantages(state, objective), probes, judge),
    }


def measured(visit: Measured) -> dict[str, Any]:
    """A state of an update in figures, None for what is not known."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in visit._asdict().items()
    }


def _chosen(visits: Sequence[Measured], update: int, *, probed: bool) -> Measured | None:
    asked = [visit for visit in visits if visit.update == update]
    first = [visit for visit in visits[:1] if probed and visit.update == 1]
    return next(iter([*asked, *first, *visits[-1:]]), None)


def sampled(
    state: SampledState, advantages: Sequence[float | None], probes: Sequence[Probe], judge: str
) -> dict[str, Any]:
    """A state's actions, by advantage and then by weight, those that pull most first; `times` says how often each is there, 0 where it
    comes again."""
    own = [probe for probe in probes if state.update == 1 and probe.place == state.place]
    first = {action.token_ids: place for place, action in reversed(list(enumerate(state.actions)))}
    actions = [
        {**action_of(place, action, advantage, own, judge), "same": first[action.token_ids]}
        for place, (action, advantage) in enumerate(zip(state.actions, advantages, strict=True))
    ]
    actions.sort(key=_rank)
    for action, count in zip(actions, times([alike(state.actions[each["place"]]) for each in actions]), strict=True):
        action["times"] = count
    scores = [action.score for action in state.actions if action.score is not None]
    return {
        "update": state.update,
        "place": state.place,
        "reward": sum(scores) / len(scores) if scores else None,
        "actions": actions,
        "checkpoints": len(own),
        "left_out": max(0, len(own) - MOST_CHECKPOINTS),
    }


def share_out(steps: Sequence[dict[str, Any]], first: int) -> None:
    """Leave out tokens that were told of equal actions before, and what a page has no room for; the step that was asked for, by its number,
    comes first."""
    spent = 0
    for step in sorted(steps, key=lambda step: step["number"] != first):
        told: set[int] = set()
        for action in step["group"]["actions"] if step["group"] else []:
            action["again"], cells = action["same"] in told, len(action["rows"]) * len(action["columns"])
            action["room"] = spent + cells <= MOST_CELLS
            if action["again"] or not action["room"]:
                action["rows"] = []
            else:
                spent += cells
                told.add(action["same"])


def _rank(action: dict[str, Any]) -> tuple[bool, float, float, int]:
    missing = action["badge"] == "MISSING"
    return missing, -(action["advantage"] or 0.0), -action["weight"], action["place"]


def action_of(
    place: int, action: SampledAction, advantage: float | None, probes: Sequence[Probe], judge: str
) -> dict[str, Any]:
    """A sampled action, what was said of it, and its tokens."""
    columns = list(_columns(place, action, probes))
    return {
        **said(judge, action.verdict),
        "place": place,
        "thinking": action.thinking,
        "action": pieces(action.text),
        "advantage": advantage,
        "weight": action.weight,
        "tokens": len(action.token_ids),
        "gain": gain_of(action),
        "moved": _moved(columns),
        "columns": [{"label": column.label, "sum": math.fsum(column.logprobs)} for column in columns],
        "rows": list(_rows(action, columns)),
    }


def _columns(place: int, action: SampledAction, probes: Sequence[Probe]) -> "list[Column]":
    """Who said what, in the order of time. Those who said the same before the first update are one."""
    later = [
        Column(f"checkpoint {probe.checkpoint}" if probe.checkpoint else _BEFORE, probe.logprobs[place])
        for probe in spread(probes, MOST_CHECKPOINTS)
        if place < len(probe.logprobs)
    ]
    before = [column for column in later if column.label == _BEFORE]
    initial = [Column("initial policy", action.initial_logprobs)] if action.initial_logprobs else []
    told = [*initial, *before, Column("when sampled", action.logprobs)]
    return [*(_joined(told) if before else told), *later[len(before) :]]


def _joined(columns: Sequence[Column]) -> list[Column]:
    found = [columns[0]]
    for column in columns[1:]:
        if _equal(found[-1].logprobs, column.logprobs):
            found[-1] = Column(_BEFORE, found[-1].logprobs)
        else:
            found.append(column)
    return found


def spread(probes: Sequence[T], most: int) -> list[T]:
    """Some of them, evenly, first and last among them.

    >>> spread(list("abcdefg"), 3)
    ['a', 'd', 'g']
    """
    if len(probes) <= most:
        return list(probes)
    return [probes[round(place * (len(probes) - 1) / (most - 1))] for place in range(most)]


def _equal(ones: Sequence[float], others: Sequence[float]) -> bool:
    return len(ones) == len(others) and all(abs(a - b) < _SAME for a, b in zip(ones, others, strict=True))


def _moved(columns: Sequence[Column]) -> float | None:
    """How many nats likelier the whole action is in the last column than in the first."""
    if len(columns) < 2:
        return None
    return math.fsum(columns[-1].logprobs) - math.fsum(columns[0].logprobs)


def _rows(action: SampledAction, columns: Sequence[Column]) -> "list[dict[str, Any]]":
    values = zip_longest(*(column.logprobs[: len(action.tokens)] for column in columns))
    return [
        {"token": token, "cells": cells, "moved": _between(row)}
        for token, row in zip(action.tokens, values, strict=False)
        for cells in [[{"logprob": value, "level": level(value, row[0])} for value in row]]
    ]


def _between(row: Sequence[float | None]) -> float | None:
    first, last = row[0], row[-1]
    return last - first if len(row) > 1 and first is not None and last is not None else None


def level(value: float | None, first: float | None) -> int:
    """How far a token has moved: 0 for hardly, 1 to 3 for likelier, -1 to -3 for less likely.

    >>> level(-0.1, -3.0), level(-1.0, -0.8), level(-1.0, -1.0)
    (3, -1, 0)
    """
    if value is None or first is None:
        return 0
    moved = value - first
    far = sum(abs(moved) >= least for least in _LEVELS)
    return far if moved > 0 else -far
