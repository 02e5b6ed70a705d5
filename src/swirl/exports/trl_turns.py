"""What TRL's formats share: a state and an action as messages, the steps that have a verdict, and where a row comes from.

A message is `{"role", "content"}`, and users and assistants take turns, as in TRL 1.16's page "Dataset formats and types"
(huggingface.co/docs/trl/dataset_formats). Calls stand in their tags and results in the user's turns, as a policy reads them here.
"""

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import structs

from swirl.exports import Item, Row
from swirl.protocol import TAGS, render
from swirl.types import Step, Trajectory, Verdict

Turn = dict[str, str]


class JudgedAction(NamedTuple):
    """A step that a judge gave a score."""

    place: int
    """Index of the step, from 0."""
    step: Step
    verdict: Verdict


def turns(state: Trajectory) -> list[Turn]:
    """The prompt at a state, with tools called in their tags, whatever way they were called in.

    >>> from swirl.types import PromptStyle, Question, Rules
    >>> question, rules = Question(id="q", task="t", text="What is 2 * 3?"), Rules(prompt=PromptStyle.BARE)
    >>> turns(Trajectory(id="q/0", question=question, rules=rules))
    [{'role': 'user', 'content': 'What is 2 * 3?'}]
    """
    offered = tuple(tool for tool in state.rules.tools if tool in TAGS)
    rules = structs.replace(state.rules, native_calls=False, tools=offered)
    prompt = render(structs.replace(state, rules=rules))
    return [{"role": message.role, "content": message.text} for message in prompt.messages]


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
