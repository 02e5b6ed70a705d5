"""Which states of training a page or a tracker shows.

`train/samples.jsonl` is a stream: a state or two are held at a time.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from swirl.records import read
from swirl.train.recorded import SampledState, advantages, fewest_verdicts


class Shown(NamedTuple):
    """A state, and the advantage of each action that was sampled there, None where it has none."""

    state: SampledState
    advantages: tuple[float | None, ...]


def shown_groups(train: Path, objective: str) -> list[Shown]:
    """Of the first recorded update and of the last, the first state whose actions were judged unlike one another, so that an advantage told
    them apart; none where nothing was recorded."""
    first = last = None
    for last in _told_apart(train, objective):
        first = first or last
    return [one for one in (first, last if last is not first else None) if one]


def _told_apart(train: Path, objective: str) -> Iterator[Shown]:
    """Of each update the first state that teaches something."""
    for _, states in groupby(_recorded(train), key=lambda state: state.update):
        first, counted = None, 0
        for state in states:
            judged = sum(action.score is not None for action in state.actions)
            counted += judged >= fewest_verdicts(objective)
            if first is None and any(action.weight for action in state.actions):
                first = state
        if first:
            yield Shown(first, advantages(first.actions, objective, counted))


def at_checkpoints(train: Path, every: int) -> list[SampledState]:
    """The first state of each update that a checkpoint follows, and of the last."""
    chosen, last = {}, None
    for state in _recorded(train):
        if last is None or state.update != last.update:
            last = state
            if state.update % every == 0:
                chosen[state.update] = state
    if last is not None:
        chosen[last.update] = last
    return list(chosen.values())


def _recorded(train: Path) -> Iterator[SampledState]:
    path = train / SampledState.FILE
    yield from read(path, SampledState) if path.exists() else ()
