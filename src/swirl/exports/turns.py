"""The dialogue at a state as plain messages, in our own grammar: what a policy sees in swirl."""

from msgspec import structs

from swirl.protocol import TAGS, render
from swirl.types import Trajectory

Turn = dict[str, str]
"""A message: its role, and its content."""


def turns(state: Trajectory) -> list[Turn]:
    """The prompt at a state, with tools called in their tags, whatever way they were called in.

    >>> from swirl.types import PromptStyle, Question, Rules
    >>> bare = Rules(prompt=PromptStyle.BARE)
    >>> turns(Trajectory(id="q/0", question=Question(id="q", task="t", text="What is 2 * 3?"), rules=bare))
    [{'role': 'user', 'content': 'What is 2 * 3?'}]
    """
    known = tuple(tool for tool in state.rules.tools if tool in TAGS)
    rules = structs.replace(state.rules, native_calls=False, tools=known)
    return [{"role": each.role, "content": each.text} for each in render(structs.replace(state, rules=rules)).messages]
