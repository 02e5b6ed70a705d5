"""A call of a tool as other programs write it, read into an action: ours by name, or as `--map` says; any other keeps its name."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from swirl.errors import ConfigError
from swirl.imports import CannotMap, Reading, Target
from swirl.protocol import PARAMETERS, parse, write
from swirl.settings import nearest
from swirl.types import Action, Answer, ToolCall

ANSWER = "answer"
"""What `--map NAME=answer` calls a tool that takes the final answer."""


def targets(pairs: Iterable[str]) -> dict[str, Target]:
    """`NAME=TOOL` or `NAME=TOOL:ARGUMENT`, as `--map` takes them.

    >>> targets(["web=search:q", "submit=answer"])
    {'web': Target(tool='search', argument='q'), 'submit': Target(tool='answer', argument='')}
    """
    found: dict[str, Target] = {}
    known = [*PARAMETERS, ANSWER]
    for pair in pairs:
        name, _, aim = pair.partition("=")
        tool, _, argument = aim.partition(":")
        if not name or tool not in known:
            raise ConfigError(
                f"--map: expected NAME=TOOL or NAME=TOOL:ARGUMENT with one of {', '.join(known)} as TOOL, found {pair!r}"
                f"{nearest(tool, known)}"
            )
        if name in found:
            raise ConfigError(f"--map names {name} twice; name each once")
        found[name] = Target(tool, argument)
    return found


class Called(NamedTuple):
    """A call, whoever wrote it down."""

    name: str
    arguments: str
    """In JSON."""
    call_id: str = ""


def called(value: Any) -> Called:
    """A call as OpenAI writes it (`function` a table), as verifiers does (flat, or that as a text in JSON) or as Inspect does (`function` a
    name).

    >>> called({"id": "c1", "function": {"name": "search", "arguments": "{}"}})
    Called(name='search', arguments='{}', call_id='c1')
    >>> called('{"id": "c1", "name": "search", "arguments": "{}"}') == called({"id": "c1", "function": "search", "arguments": {}})
    True
    """
    told = _json(value) if isinstance(value, str) else value
    if not isinstance(told, dict):
        raise CannotMap(value, "expected a tool call, a table with a name and arguments")
    function = told.get("function")
    table = function if isinstance(function, dict) else told
    name = function if isinstance(function, str) else table.get("name")
    arguments, call_id = table.get("arguments"), told.get("id")
    if not isinstance(name, str) or not name.strip():
        raise CannotMap(value, "expected the name of a tool in its call, found none")
    if isinstance(arguments, dict):
        arguments = json.dumps(arguments, ensure_ascii=False)
    if not isinstance(arguments, str):
        raise CannotMap(value, f"expected the arguments of {name} in JSON, found none")
    return Called(name, arguments, call_id if isinstance(call_id, str) else "")


def action(call: Called, said: str, reading: Reading) -> tuple[str, Action]:
    """The text of an action that says something, then makes a call, and the action.

    >>> action(Called("web", '{"q": "Ada Quill"}'), "Who?", Reading(tools={"web": Target("search")}))[0]
    'Who? <search_query>Ada Quill</search_query>'
    >>> action(Called("python", '{"code": "print(6)"}'), "", Reading())[1]
    ToolCall(tool='python', arguments='print(6)', call_id='', raw='')
    """
    aim = reading.tools.get(call.name, Target(call.name))
    raw = call.arguments if call.call_id else ""
    if aim.tool == ANSWER and call.name in reading.tools:
        return written(Answer(_content(call, aim)), said)
    if aim.tool in PARAMETERS:
        return written(ToolCall(aim.tool, _content(call, aim), call.call_id, raw), said)
    return foreign(call, said), ToolCall(call.name, _only(call.arguments) or call.arguments, call.call_id, raw)


def written(act: ToolCall | Answer, said: str) -> tuple[str, Action]:
    """The text of an action in our grammar, and the action; it has to read as that action again."""
    text = write(act, said)
    read = parse(text)
    same = isinstance(act, Answer) and read == act
    if isinstance(act, ToolCall) and isinstance(read, ToolCall):
        same = (read.tool, read.arguments) == (act.tool, act.arguments)
    if not same:
        raise CannotMap(text, "what is said beside the action, or inside it, holds a tag of our own")
    return text, act


def foreign(call: Called, said: str) -> str:
    """The text of a call of a tool that has no tag here: for people and judges to read, never written by a policy of ours."""
    told = json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False)
    return f"{said}\n<tool_call>{told}</tool_call>".lstrip()


def _content(call: Called, aim: Target) -> str:
    table = _json(call.arguments)
    if not isinstance(table, dict):
        raise CannotMap(call.arguments, f"expected the arguments of {call.name} as a table in JSON")
    name = aim.argument or (next(iter(table)) if len(table) == 1 else "")
    if not name:
        raise CannotMap(
            call.arguments,
            f"expected one argument of {call.name}, found {len(table)}; say which one counts by --map {call.name}={aim.tool}:ARGUMENT",
        )
    content = table.get(name)
    if not isinstance(content, str) or not content.strip():
        raise CannotMap(call.arguments, f"expected a text as the argument {name} of {call.name}")
    return content.strip()


def _only(arguments: str) -> str:
    """The one text of arguments that hold no more than that; else empty."""
    try:
        table = _json(arguments)
    except CannotMap:
        return ""
    values = list(table.values()) if isinstance(table, Mapping) else []
    return values[0] if len(values) == 1 and isinstance(values[0], str) else ""


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CannotMap(text, "a call is no valid JSON") from error
