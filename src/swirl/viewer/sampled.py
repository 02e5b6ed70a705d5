"""A state of an update and its sampled actions, as pages show them: rewards, what they are compared with, advantages."""

import math

from msgspec import Struct

from swirl.known import badge
from swirl.train.recorded import SampledAction, SampledState
from swirl.viewer.baselines import Rewards, baselines
from swirl.viewer.groups import Groups, Measured, alike, gain_of, times
from swirl.viewer.shelf import Opened


class Sampled(Struct, frozen=True, kw_only=True):
    """A sampled action."""

    number: int
    """Which of its state's actions it is, from 1, as they were sampled."""
    text: str
    thinking: str
    badge: str
    """GOOD, BAD or MISSING."""
    reward: float | None
    """The verdict's score."""
    reason: str
    status: str
    baseline: float | None
    advantage: float | None
    weight: float
    """What its log-probability counts in the update."""
    kl: float | None
    """How many nats likelier it was, when it was sampled, than under the initial policy."""
    tokens: int
    times: int
    """How many actions of the state are like it, itself included; 0 where an earlier one stands for it."""


class Seen(Struct, frozen=True, kw_only=True):
    """A state of an update."""

    update: int
    place: int
    task: str
    trajectory: str
    step: int
    """How many steps it has; the step taken there is this one, counted from 0."""
    question: str
    """Empty where the trajectory is not known yet."""
    reward: float | None
    """Mean."""
    judged: int
    disagreement: float
    contradicted: bool
    """Whether equal actions were judged differently."""
    kl: float | None
    advantage: float | None
    """The largest, without its sign."""
    actions: list[Sampled]
    """By falling advantage."""


def known(value: float) -> float | None:
    """A figure that JSON can hold: none where it is not a number.

    >>> known(math.nan), known(0.5)
    (None, 0.5)
    """
    return value if math.isfinite(value) else None


def seen(run: Opened, groups: Groups, state: SampledState, measured: Measured, everywhere: Rewards) -> Seen:
    """A state as it is shown; `everywhere`: the rewards of its update."""
    config = run.config.train
    advantages = groups.advantages(state, config.objective)
    compared = baselines(state, everywhere, config)
    actions = [
        _action(number, *told)
        for number, told in enumerate(
            zip(state.actions, compared, advantages, times([*map(alike, state.actions)]), strict=True), start=1
        )
    ]
    sizes = [abs(advantage) for advantage in advantages if advantage is not None]
    return Seen(
        update=state.update,
        place=state.place,
        task=state.task,
        trajectory=state.trajectory,
        step=state.step,
        question=_question(run, state.trajectory),
        reward=known(measured.reward),
        judged=measured.judged,
        disagreement=measured.disagreement,
        contradicted=measured.contradicted,
        kl=known(measured.kl),
        advantage=max(sizes) if sizes else None,
        actions=sorted(actions, key=lambda one: (-_order(one), one.number)),
    )


def _order(action: Sampled) -> float:
    return action.weight if action.advantage is None else action.advantage


def _action(number: int, action: SampledAction, baseline: float | None, advantage: float | None, count: int) -> Sampled:
    return Sampled(
        number=number,
        text=action.text,
        thinking=action.thinking,
        badge=badge(action.verdict),
        reward=action.score,
        reason=action.reason,
        status=action.status.value,
        baseline=baseline,
        advantage=advantage,
        weight=action.weight,
        kl=gain_of(action),
        tokens=len(action.token_ids),
        times=count,
    )


def _question(run: Opened, trajectory: str) -> str:
    found = run.index.trajectory(trajectory)
    return found.trajectory.question.text if found else ""


def foremost(state: Seen, by: str) -> list[Sampled]:
    """The action of a state that shows best why it stands out: the one that counts most, or that moved most; for disagreement two of
    different verdicts."""
    shown = [action for action in state.actions if action.times]
    if by == "kl":
        moved = [action for action in shown if action.kl is not None]
        return sorted(moved, key=lambda one: -(one.kl or 0.0))[:1]
    if by == "advantage":
        return sorted(shown, key=lambda one: -abs(one.advantage if one.advantage is not None else one.weight))[:1]
    judged = sorted((one for one in shown if one.reward is not None), key=lambda one: one.reward or 0.0)
    return [judged[-1], judged[0]] if len(judged) > 1 else judged
