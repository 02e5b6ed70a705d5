"""The actions that training sampled at states, and how likely checkpoints find them: by state, by update, and the most striking ones.

`train/samples.jsonl` may have gigabytes: what is held is where each state stands, and a few figures of it.
Not here: what is on record of them (`swirl.train.recorded`).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Container, Hashable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from swirl.train.recorded import Probe, SampledAction, SampledState, advantages, fewest_verdicts
from swirl.viewer.lines import About, Line, Lines, Progress

By = Literal["advantage", "disagreement", "kl"]
"""What states can be ranked by."""


class Measured(NamedTuple):
    """A state of an update in figures."""

    update: int
    place: int
    """In the update's batch."""
    actions: int
    judged: int
    """Actions that have a verdict."""
    reward: float
    """Mean verdict; NaN where there is none."""
    advantage: float
    """The largest weight of one of its actions in the update, without its sign."""
    disagreement: float
    """Standard deviation of the verdicts."""
    contradicted: bool
    """Whether equal actions were judged differently."""
    kl: float
    """How many nats likelier the actions were, when they were sampled, than under the initial policy: their mean, NaN where not known."""


class Groups:
    """What training put on record in a run folder, kept up with while it goes on; several threads may ask."""

    def __init__(self, run: Path) -> None:
        self._samples = Lines(run / "train" / SampledState.FILE, SampledState, _sampled, figures=len(_FIGURES))
        self._probes = Lines(run / "train" / Probe.FILE, Probe, _probed)

    def refresh(self, budget: float = math.inf) -> bool:
        """Read on for about so many seconds; whether anything has changed."""
        changed = [lines.refresh(budget) for lines in (self._samples, self._probes)]
        return any(changed)

    def state(self) -> Progress:
        """How far the samples are read; its version also tells of the probes."""
        samples, probes = self._samples.state(), self._probes.state()
        return samples._replace(version=samples.version + probes.version)

    def updates(self) -> list[int]:
        """The updates that are on record."""
        return self._samples.numbers()

    def visits(self, task: str, trajectory: str, step: int) -> list[Measured]:
        """The updates that visited a state, in figures and in order; nothing is read for that."""
        found = map(_measured, self._samples.about(task, trajectory, str(step)))
        return sorted(found, key=lambda one: (one.update, one.place))

    def of_state(self, task: str, trajectory: str, step: int, update: int | None = None) -> list[SampledState]:
        """What was sampled at a state (`step` counted from 0), by update; or in one update alone."""
        lines = self._samples.about(task, trajectory, str(step))
        found = self._samples.read(line for line in lines if update in (None, line.number))
        return sorted(
            (one for one in found if (one.task, one.trajectory, one.step) == (task, trajectory, step)),
            key=lambda one: (one.update, one.place),
        )

    def of_update(self, update: int, places: Container[int] | None = None) -> list[SampledState]:
        """The states of an update, or those at some places of its batch."""
        lines = [line for line in self._samples.of_number(update) if places is None or line.figures[0] in places]
        found = (one for one in self._samples.read(lines) if one.update == update)
        return sorted(found, key=lambda one: one.place)

    def measured(self, update: int) -> list[Measured]:
        """The states of an update in figures; nothing is read for that."""
        return sorted(map(_measured, self._samples.of_number(update)), key=lambda one: one.place)

    def largest(self, by: By, most: int = 20) -> list[Measured]:
        """The states of all updates on record where something is largest, those first; without those where there is none of it."""
        figure = _FIGURES.index(by)
        return [_measured(line) for line in self._samples.largest(figure, most)]

    def probes(self, task: str, trajectory: str, step: int) -> list[Probe]:
        """What the policy of each checkpoint says of the actions that the first update sampled at a state, by checkpoint."""
        found = self._probes.read(self._probes.about(task, trajectory, str(step)))
        return sorted(
            (one for one in found if (one.task, one.trajectory, one.step) == (task, trajectory, step)),
            key=lambda one: (one.checkpoint, one.place),
        )

    def advantages(self, state: SampledState, objective: str) -> tuple[float | None, ...]:
        """The advantage of each action, None where it has none."""
        fewest = fewest_verdicts(objective)
        states = sum(one.judged >= fewest for one in self.measured(state.update))
        return advantages(state.actions, objective, states)


class _Action(Struct):
    text: str
    score: float | None
    weight: float
    logprobs: tuple[float, ...]
    initial_logprobs: tuple[float, ...] = ()


class _State(Struct, tag=SampledState.__struct_config__.tag, tag_field="schema"):
    update: int
    place: int
    task: str
    trajectory: str
    step: int
    actions: tuple[_Action, ...]


class _Probe(Struct, tag=Probe.__struct_config__.tag, tag_field="schema"):
    checkpoint: int
    task: str
    trajectory: str
    step: int


_STATES, _PROBES = msgspec.json.Decoder(_State), msgspec.json.Decoder(_Probe)
_FIGURES = ("place", "actions", "reward", "advantage", "disagreement", "kl", "judged", "contradicted")


def _sampled(line: bytes) -> About:
    state = _STATES.decode(line)
    scores = [action.score for action in state.actions if action.score is not None]
    moved = [gain for action in state.actions if (gain := gain_of(action)) is not None]
    figures = (
        state.place,
        len(state.actions),
        fmean(scores) if scores else math.nan,
        max((abs(action.weight) for action in state.actions), default=0.0),
        _spread(scores),
        fmean(moved) if moved else math.nan,
        len(scores),
        _is_contradicted(state.actions),
    )
    return About((state.task, state.trajectory, str(state.step)), state.update, figures)


def _probed(line: bytes) -> About:
    probe = _PROBES.decode(line)
    return About((probe.task, probe.trajectory, str(probe.step)), probe.checkpoint)


def _measured(line: Line) -> Measured:
    place, actions, reward, advantage, disagreement, kl, judged, contradicted = line.figures
    return Measured(
        update=line.number,
        place=int(place),
        actions=int(actions),
        judged=int(judged),
        reward=reward,
        advantage=advantage,
        disagreement=disagreement,
        contradicted=contradicted > 0,
        kl=kl,
    )


def gain_of(action: "SampledAction | _Action") -> float | None:
    """How many nats likelier an action was, when it was sampled, than under the initial policy; None where that was not asked."""
    if not action.initial_logprobs:
        return None
    return math.fsum(action.logprobs) - math.fsum(action.initial_logprobs)


def alike(action: SampledAction) -> Hashable:
    """What two actions of a state share where a page need not show both: their words and tokens, and all that was made of them."""
    return (
        action.text, action.thinking, action.token_ids, action.score, action.reason, action.status, action.weight
    )  # fmt: skip


def times(keys: Sequence[Hashable]) -> list[int]:
    """How often each is there, told where it is for the first time; 0 where it comes again.

    >>> times(["a", "b", "a"])
    [2, 1, 0]
    """
    counts = Counter(keys)
    return [counts.pop(key, 0) for key in keys]


def _spread(scores: Sequence[float]) -> float:
    """Standard deviation; the one of `statistics` is exact, and ten times as slow."""
    if not scores:
        return 0.0
    mean = math.fsum(scores) / len(scores)
    return math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / len(scores))


def _is_contradicted(actions: "Sequence[SampledAction | _Action]") -> bool:
    verdicts: dict[str, set[float]] = defaultdict(set)
    for action in actions:
        if action.score is not None:
            verdicts[action.text].add(action.score)
    return any(len(scores) > 1 for scores in verdicts.values())
