"""States as prompts, for TRL's trainers that sample their own completions: GRPO, RLOO, and other online methods.

A row a state, so training is step-wise: the policy writes one action at a recorded state, and `swirl.exports.trl_reward` judges it.
`state` is that state in JSON, all that a judge reads; `answers` are the accepted ones, for rewards of one's own. TRL hands all columns to
reward functions.
"""

import json
from collections.abc import Iterable, Iterator

import msgspec

from swirl.decompose import decompose
from swirl.exports import Format, Item, Row
from swirl.exports.trl_turns import source
from swirl.exports.turns import turns
from swirl.types import Trajectory


def rows(items: Iterable[Item]) -> Iterator[Row]:
    """A row a state, trajectory by trajectory."""
    for item in items:
        for index, state in enumerate(decompose(item.trajectory)):
            yield {
                "prompt": turns(state),
                "state": _json(_without_tokens(state)),
                "answers": list(state.question.answers),
                **source(state, index),
            }


def _json(state: Trajectory) -> str:
    """With half a character (a lone surrogate), where there is one, left as it is, to whoever writes the row."""
    try:
        return msgspec.json.encode(state).decode()
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(state), ensure_ascii=False)


def _without_tokens(state: Trajectory) -> Trajectory:
    """Without token ids and log-probabilities, which no judge reads."""
    steps = [msgspec.structs.replace(step, token_ids=(), thinking_tokens=0, logprobs=()) for step in state.steps]
    return msgspec.structs.replace(state, steps=tuple(steps))


FORMAT = Format(
    "trl-grpo", "prompts, one a state, for TRL's GRPOTrainer and RLOOTrainer with swirl.exports.trl_reward", rows
)
