"""What each action of an update was compared with, as its objective has it (`swirl.train.advantages`), from what is on record of it."""

import math
from statistics import fmean
from typing import NamedTuple

from swirl.train import TrainConfig
from swirl.train.recorded import SampledAction, SampledState
from swirl.viewer.groups import Groups, gain_of

ABOUT = {
    "rloo": "the mean reward of the state's other actions (leave one out)",
    "grpo": "the mean reward at the state; what is above it is divided by the standard deviation there",
    "dpo": "none: the best action of a state stands against its worst",
    "reinforce": "the mean reward of the update's other actions",
}
"""Objective -> what a reward is compared with."""


def about(config: TrainConfig) -> str:
    """What a reward is compared with, in words.

    >>> about(TrainConfig(objective="reinforce", baseline="none"))
    'none: the reward itself counts'
    """
    if config.objective == "reinforce" and config.baseline == "none":
        return "none: the reward itself counts"
    return ABOUT.get(config.objective, "none: nothing is rewarded")


def reward_of(action: SampledAction, config: TrainConfig) -> float | None:
    """What training took as its reward: the verdict, less the KL penalty where that is part of it; None where either is not known."""
    if action.score is None or config.objective == "dpo" or config.kl != "k1" or not config.kl_weight:
        return action.score
    gain = gain_of(action)
    return None if gain is None else action.score - config.kl_weight * gain


class Rewards(NamedTuple):
    """The rewards of a whole update."""

    total: float
    num: int


def of_update(groups: Groups, update: int, config: TrainConfig) -> Rewards:
    """The rewards of an update that is on record; its actions are read only where a penalty is part of them."""
    if config.kl == "k1" and config.kl_weight:
        states = groups.of_update(update)
        known = [
            reward for state in states for action in state.actions if (reward := reward_of(action, config)) is not None
        ]
        return Rewards(math.fsum(known), len(known))
    judged = [one for one in groups.measured(update) if one.judged]
    return Rewards(math.fsum(one.reward * one.judged for one in judged), sum(one.judged for one in judged))


def baselines(state: SampledState, everywhere: Rewards, config: TrainConfig) -> tuple[float | None, ...]:
    """What each action of a state is compared with; None where it is compared with nothing.

    >>> scores = (1.0, 0.0, 0.0, None)
    >>> actions = tuple(SampledAction(text="", token_ids=(), tokens=(), logprobs=(), score=score, weight=0.0) for score in scores)
    >>> state = SampledState(update=1, place=0, task="t", trajectory="q/0", step=0, actions=actions)
    >>> baselines(state, Rewards(1.0, 3), TrainConfig())
    (0.0, 0.5, 0.5, None)
    """
    rewards = [reward_of(action, config) for action in state.actions]
    known = [reward for reward in rewards if reward is not None]
    match config.objective:
        case "rloo":
            return tuple(_of_others(Rewards(math.fsum(known), len(known)), reward) for reward in rewards)
        case "grpo":
            return tuple(None if reward is None or len(known) < 2 else fmean(known) for reward in rewards)
        case "reinforce" if config.baseline == "batch":
            return tuple(_of_others(everywhere, reward) for reward in rewards)
        case _:
            return (None,) * len(rewards)


def _of_others(rewards: Rewards, own: float | None) -> float | None:
    return None if own is None or rewards.num < 2 else (rewards.total - own) / (rewards.num - 1)
