"""What TRL's formats share: an action as a message, the steps that have a verdict, and where a row comes from.

A message is `{"role", "content"}`, and users and assistants take turns, as in TRL 1.16's page "Dataset formats and types"
(huggingface.co/docs/trl/dataset_formats). Calls stand in their tags and results in the user's turns, as a policy reads them here.
"""

from collections.abc import Iterator
from typing import NamedTuple

from swirl.exports import Item, Row
from swirl.exports.turns import Turn
from swirl.types import Step, Trajectory, Verdict


class JudgedAction(NamedTuple):
    """A step that a judge gave a score."""

    place: int
    """Index of the step, from 0."""
    step: Step
    verdict: Verdict


def action(step: Step) -> list[Turn]:
    """What the policy wrote at a step, as the assistant's turn: reasoning that it keeps apart comes first."""
    return [{"role": "assistant", "content": step.thinking + step.text}]


def judged(item: Item) -> Iterator[JudgedAction]:
    """The steps with a score, in order. A verdict that is missing says nothing of its step, neither good nor bad."""
    for index, (step, verdict) in enumerate(zip(item.trajectory.steps, item.verdicts, strict=bool(item.verdicts))):
        if verdict is not None and verdict.score is not None:
            yield JudgedAction(index, step, verdict)


def source(trajectory: Trajectory, step: int) -> Row:
    """Where a row comes from, in columns that trainers pass over."""
    return {
        "task": trajectory.question.task,
        "question": trajectory.question.id,
        "trajectory": trajectory.id,
        "step": step,
    }
