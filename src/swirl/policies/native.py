"""Tools called in the server's own way: OpenAI's `tools` and `tool_calls`.

An action is kept in the one grammar all the same: its text holds the call in the tool's tag, so that judges, reports and training read it
like any other, and whatever the grammar refuses is malformed. What came from the server (id, arguments in JSON) stays beside it, and goes
back to the server as it was.
"""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from swirl.protocol import PARAMETERS, Message, Prompt, parse, write
from swirl.tools.calculator import Calculator
from swirl.tools.search import Search
from swirl.types import Action, Malformed, ToolCall

_DESCRIPTIONS: Mapping[str, str] = MappingProxyType({tool.name: tool.description for tool in (Calculator, Search)})


def offer(tools: Sequence[str]) -> list[dict[str, Any]]:
    """The tools on offer, as the server is told: each takes one text.

    >>> offer(["search"])[0]["function"]["parameters"]["required"]
    ['query']
    """
    return [
        {
            "type": "function",
            "function": {
                "name": tool,
                "description": _DESCRIPTIONS.get(tool, ""),
                "parameters": {
                    "type": "object",
                    "properties": {PARAMETERS[tool]: {"type": "string"}},
                    "required": [PARAMETERS[tool]],
                    "additionalProperties": False,
                },
            },
        }
        for tool in tools
    ]


def messages(prompt: Prompt) -> list[dict[str, Any]]:
    """The dialogue as the server has seen it: its calls as calls, and their results as results.

    >>> call = ToolCall("calculator", "2 * 3", "c1", '{"expression": "2 * 3"}')
    >>> asked = Prompt((Message("assistant", write(call), call=call), Message("user", "2 * 3 -> 6")))
    >>> messages(asked)[1]
    {'role': 'tool', 'tool_call_id': 'c1', 'content': '6'}
    """
    told: list[dict[str, Any]] = []
    before: Message | None = None
    for place, message in enumerate(prompt.messages):
        if message.call is not None:
            told.append(_called(message, message.call, place))
        elif before is not None and before.call is not None:
            result = message.text.removeprefix(f"{before.call.arguments} -> ")
            told.append({"role": "tool", "tool_call_id": _id(before.call, place - 1), "content": result})
        else:
            told.append({"role": message.role, "content": message.text})
        before = message
    return told


def _called(message: Message, call: ToolCall, place: int) -> dict[str, Any]:
    said = message.text.removesuffix(write(call)).rstrip()
    function = {"name": call.tool, "arguments": call.raw}
    return {
        "role": "assistant",
        "content": said or None,
        "tool_calls": [{"id": _id(call, place), "type": "function", "function": function}],
    }


def _id(call: ToolCall, place: int) -> str:
    return call.call_id or f"call_{place}"


def read_calls(said: str, calls: Sequence[Any]) -> tuple[str, Action]:
    """The text and the action of a message with calls; total: whatever came, it is a call or `Malformed` with the reason.

    >>> read_calls("", [{"id": "c1", "function": {"name": "search", "arguments": '{"query": "Ada Quill"}'}}])[0]
    '<search_query>Ada Quill</search_query>'
    >>> read_calls("", [{"function": {"name": "search", "arguments": "{"}}])[1]
    Malformed(reason='the arguments of the call are no valid JSON')
    """
    if len(calls) > 1:
        return _shown(said, calls), Malformed("more than one call: an action holds one tool call or one answer")
    call = _call(calls[0])
    if isinstance(call, Malformed):
        return _shown(said, calls), call
    text = write(call, said)
    action = parse(text)
    if not isinstance(action, ToolCall):
        return text, action
    if (action.tool, action.arguments) != (call.tool, call.arguments):
        return text, Malformed("a tag in the arguments of the call")
    return text, call


def _call(call: Any) -> ToolCall | Malformed:
    function = call.get("function") if isinstance(call, dict) else None
    name, raw = (function.get("name"), function.get("arguments")) if isinstance(function, dict) else (None, None)
    if not isinstance(name, str) or name not in PARAMETERS:
        named = f": {name:.60}" if isinstance(name, str) else ""
        return Malformed(f"a call of a tool that there is not{named}")
    if not isinstance(raw, str):
        return Malformed("the arguments of the call are no text")
    content = _content(raw, PARAMETERS[name])
    if isinstance(content, Malformed):
        return content
    call_id = call.get("id")
    return ToolCall(name, content, call_id if isinstance(call_id, str) else "", raw)


def _content(raw: str, parameter: str) -> str | Malformed:
    try:
        arguments = json.loads(raw)
    except (ValueError, RecursionError):
        return Malformed("the arguments of the call are no valid JSON")
    if not isinstance(arguments, dict) or set(arguments) != {parameter}:
        return Malformed(f"the call takes one argument, {parameter}, and no other")
    content = arguments[parameter]
    if not isinstance(content, str):
        return Malformed(f"the argument {parameter} of the call is no text")
    if not content.strip():
        return Malformed(f"the argument {parameter} of the call is empty")
    return content.strip().encode(errors="replace").decode()


def _shown(said: str, calls: Sequence[Any]) -> str:
    """Calls that cannot be used, as the text of the action: for people to see."""
    functions = [call.get("function", call) if isinstance(call, dict) else call for call in calls]
    return "\n".join(filter(None, [said, *map(_dumped, functions)]))


def _dumped(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)[:2000]
    except RecursionError:
        return "..."
