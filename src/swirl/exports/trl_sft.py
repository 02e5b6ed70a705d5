"""Whole trajectories as conversations, for TRL's SFTTrainer (its type "language modeling", conversational).

A conversation ends with the last action that was written. TRL takes the loss over results, too, unless `assistant_only_loss=True`, which
needs a chat template that marks what the assistant writes; `--to trl-prompt-completion` needs none.
"""

from collections.abc import Iterable, Iterator

from swirl.decompose import state_before
from swirl.exports import Format, Item, Row
from swirl.exports.trl_turns import action, source
from swirl.exports.turns import Turn, turns
from swirl.types import Trajectory


def rows(items: Iterable[Item]) -> Iterator[Row]:
    """A row a trajectory; none where no action was written."""
    for item in items:
        if messages := conversation(item.trajectory):
            yield {"messages": messages, **source(item.trajectory, len(messages) // 2 - 1)}


def conversation(trajectory: Trajectory) -> list[Turn]:
    """All turns up to the last action, each as the next one's policy saw it; empty where no action was written."""
    written = [index for index, step in enumerate(trajectory.steps) if step.thinking + step.text]
    if not written:
        return []
    return turns(state_before(trajectory, written[-1])) + action(trajectory.steps[written[-1]])


FORMAT = Format("trl-sft", "messages, one conversation a trajectory, for TRL's SFTTrainer", rows)
