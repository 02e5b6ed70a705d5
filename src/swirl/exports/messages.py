"""Plain `messages` of role and content, as chat templates take them: the dialogue in our own grammar, tags as text, results as user turns.

The layout that TRL, Axolotl, LLaMA-Factory and `datasets` call messages, conversational or OpenAI's
(https://huggingface.co/docs/trl/dataset_formats). It is what a policy sees in swirl and writes: what learns from it can be run by swirl.
"""

from collections.abc import Iterable, Iterator

from msgspec import structs

from swirl.exports import Format, Item, Row
from swirl.exports.metadata import metadata
from swirl.exports.turns import turns


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
