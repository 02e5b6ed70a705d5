"""Plain `messages` of role and content, as chat templates take them: the dialogue in our own grammar, tags as text, results as user turns.

The layout that TRL, Axolotl, LLaMA-Factory and `datasets` call messages, conversational or OpenAI's
(https://huggingface.co/docs/trl/dataset_formats). It is what a policy sees in swirl and writes: what learns from it can be run by swirl.
"""

from collections.abc import Iterable, Iterator

from msgspec import structs

from swirl.exports import Format, Item, Row
from swirl.exports.metadata import metadata
from swirl.protocol import TAGS, render
from swirl.types import Trajectory


def turns(state: Trajectory) -> list[dict[str, str]]:
    """The prompt at a state, with tools called in their tags, whatever way they were called in.

    >>> from swirl.types import PromptStyle, Question, Rules
    >>> bare = Rules(prompt=PromptStyle.BARE)
    >>> turns(Trajectory(id="q/0", question=Question(id="q", task="t", text="What is 2 * 3?"), rules=bare))
    [{'role': 'user', 'content': 'What is 2 * 3?'}]
    """
    known = tuple(tool for tool in state.rules.tools if tool in TAGS)
    rules = structs.replace(state.rules, native_calls=False, tools=known)
    return [{"role": each.role, "content": each.text} for each in render(structs.replace(state, rules=rules)).messages]


def rows(items: Iterable[Item]) -> Iterator[Row]:
    """A row a trajectory that has a step: the prompt at its last state, and the last action."""
    for item in items:
        trajectory = item.trajectory
        if trajectory.steps:
            last = trajectory.steps[-1]
            said = last.thinking + last.text if trajectory.rules.keep_thinking else last.text
            before = turns(structs.replace(trajectory, steps=trajectory.steps[:-1], stop=None))
            yield {"messages": [*before, {"role": "assistant", "content": said}], "swirl": metadata(item)}


FORMAT = Format("messages", "plain `messages` of role and content in swirl's own grammar, for any chat template", rows)
