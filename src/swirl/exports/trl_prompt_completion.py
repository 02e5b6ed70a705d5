"""Each action with the state it was taken at, for supervised training in TRL (its type "prompt-completion", conversational).

The loss is over the action alone, as in supervised training here. Whole trajectories are not written this way: the results in their
completions would be trained on.
"""

from collections.abc import Iterable, Iterator

from swirl.decompose import state_before
from swirl.exports import Format, Item, Row
from swirl.exports.trl_turns import action, source
from swirl.exports.turns import turns


def rows(items: Iterable[Item]) -> Iterator[Row]:
    """A row a step, without those at which nothing was written."""
    for item in items:
        for index, step in enumerate(item.trajectory.steps):
            if step.thinking + step.text:
                prompt = turns(state_before(item.trajectory, index))
                yield {"prompt": prompt, "completion": action(step), **source(item.trajectory, index)}


FORMAT = Format(
    "trl-prompt-completion", "prompt and completion, one pair a step, for TRL's SFTTrainer: loss on actions alone", rows
)
