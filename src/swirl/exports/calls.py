"""A trajectory as a dialogue with function calls: what our grammar writes in a tool's tag becomes a call, its result a message of the tool.

The instructions are those of calls in a server's own way, so that what the policy is told and what it does agree. The final answer stays in
its tag. Messages begin with the question and end with the policy's last action: a result that nothing follows teaches nothing.
"""

import json
from collections.abc import Sequence
from typing import Any

from msgspec import structs

from swirl.policies.native import offer
from swirl.protocol import PARAMETERS, TAGS, observation_turn, render
from swirl.types import Step, ToolCall, Trajectory

_ANY = "input"
"""The one parameter of a tool that is none of ours."""

_in_json = json.JSONEncoder(ensure_ascii=False).encode


def dialogue(trajectory: Trajectory) -> list[dict[str, Any]]:
    """The messages, as OpenAI's chat completions write them.

    >>> from swirl.types import Observation, Question, Rules
    >>> step = Step(text="Twice. <math_exp>2 * 3</math_exp>", action=ToolCall("calculator", "2 * 3"), observation=Observation("6"))
    >>> question = Question(id="q", task="t", text="What is 2 * 3?")
    >>> told = dialogue(Trajectory(id="q/0", question=question, rules=Rules(), steps=(step, step)))
    >>> [message["role"] for message in told]
    ['user', 'assistant', 'tool', 'assistant']
    >>> told[1]["content"], told[1]["tool_calls"][0]["function"]
    ('Twice.', {'name': 'calculator', 'arguments': '{"expression": "2 * 3"}'})
    """
    rules = structs.replace(trajectory.rules, native_calls=True)
    opening = render(structs.replace(trajectory, rules=rules, steps=())).messages[0]
    messages: list[dict[str, Any]] = [{"role": "user", "content": opening.text}]
    for index, step in enumerate(trajectory.steps):
        if index:
            messages.append(_result(trajectory.steps[index - 1], index - 1))
        messages.append(_action(step, index))
    return messages


def _action(step: Step, index: int) -> dict[str, Any]:
    call = step.action
    if not isinstance(call, ToolCall):
        return {"role": "assistant", "content": step.text}
    function = {"name": call.tool, "arguments": called_with(call)}
    named = [{"id": _id(call, index), "type": "function", "function": function}]
    return {"role": "assistant", "content": thought(step), "tool_calls": named}


def _result(step: Step, index: int) -> dict[str, Any]:
    if isinstance(step.action, ToolCall) and step.observation is not None:
        return {"role": "tool", "tool_call_id": _id(step.action, index), "content": step.observation.text}
    return {"role": "user", "content": observation_turn(step)}


def _id(call: ToolCall, index: int) -> str:
    return call.call_id or f"call_{index}"


def called_with(call: ToolCall) -> str:
    """The arguments of a call in JSON, as they came where they did.

    >>> called_with(ToolCall("search", "Ada Quill"))
    '{"query": "Ada Quill"}'
    """
    return call.raw or _in_json({PARAMETERS.get(call.tool, _ANY): call.arguments})


def thought(step: Step) -> str:
    """What is said before the call.

    >>> thought(Step(text="Twice. <math_exp>2 * 3</math_exp>", action=ToolCall("calculator", "2 * 3")))
    'Twice.'
    """
    tag = TAGS.get(step.action.tool) if isinstance(step.action, ToolCall) else None
    return step.text.partition(f"<{tag}>")[0].strip() if tag else step.text


def tools(trajectory: Trajectory) -> list[dict[str, Any]]:
    """The definitions of the tools that were on offer, and of any other that was called; each takes one text.

    >>> from swirl.types import Question, Rules
    >>> asked = Trajectory(id="q/0", question=Question(id="q", task="t", text="?"), rules=Rules(tools=("search",)))
    >>> [tool["function"]["name"] for tool in tools(asked)]
    ['search']
    """
    called = [step.action.tool for step in trajectory.steps if isinstance(step.action, ToolCall)]
    return _definitions(dict.fromkeys([*trajectory.rules.tools, *called]))


def _definitions(names: Sequence[str] | dict[str, None]) -> list[dict[str, Any]]:
    return [offer([name])[0] if name in PARAMETERS else _unknown(name) for name in names]


def _unknown(name: str) -> dict[str, Any]:
    """A tool of another program: what else it takes is not on record."""
    parameters = {"type": "object", "properties": {_ANY: {"type": "string"}}}
    return {"type": "function", "function": {"name": name, "description": "", "parameters": parameters}}
