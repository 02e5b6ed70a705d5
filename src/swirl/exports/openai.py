"""OpenAI's chat format with function calls, one JSON object a line: `messages`, `tools`, `parallel_tool_calls`.

Documented by OpenAI as the fine-tuning API's per-line example of the supervised method (schema `FineTuneChatRequestInput` of
https://github.com/openai/openai-openapi), and in
https://learn.microsoft.com/en-us/azure/ai-services/openai/how-to/fine-tuning-functions. Trajectories without a step are left out: every
example has to end with a message of the assistant. The column `swirl` is ours, and makes an import the same trajectory again; a service
that refuses columns it does not know is given an export with `--plain`.
"""

from collections.abc import Iterable, Iterator

from swirl.exports import Format, Item, Row
from swirl.exports.calls import dialogue, tools
from swirl.exports.metadata import metadata


def rows(items: Iterable[Item]) -> Iterator[Row]:
    """A row a trajectory that has a step.

    >>> from swirl.types import Answer, Question, Rules, Step, Trajectory
    >>> steps = (Step(text="<answer>6</answer>", action=Answer("6")),)
    >>> whole = Trajectory(id="q/0", question=Question(id="q", task="t", text="2 * 3?"), rules=Rules(), steps=steps)
    >>> next(rows([Item(whole)]))["messages"][-1]
    {'role': 'assistant', 'content': '<answer>6</answer>'}
    """
    for item in items:
        if item.trajectory.steps:
            offered = tools(item.trajectory)
            row: Row = {"messages": dialogue(item.trajectory)}
            if offered:
                row |= {"tools": offered, "parallel_tool_calls": False}
            yield row | {"swirl": metadata(item)}


FORMAT = Format("openai", "chat with function calls, for OpenAI's fine-tuning and all that reads its files", rows)
