"""Messages of a chat as a trajectory: a message of the assistant is a step, a message of a tool its observation.

The first message of the user is the question. What a system message says is the other tool's way to tell its policy what to do: a
trajectory has our own instructions in its place. Ids of tokens are left alone, because the text of an action is written in our grammar,
which they are not the tokens of.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from swirl.imports import CannotMap, Reading, Trace
from swirl.imports.answers import answer
from swirl.imports.calls import Called, action, called
from swirl.protocol import PARAMETERS
from swirl.types import Answer, Observation, Question, Rules, Step, StopReason, ToolCall, Trajectory

_ROLES = ("system", "developer", "user", "assistant", "tool")
SYSTEM = ("system", "developer")


class Said(NamedTuple):
    """One message."""

    number: int
    """Its place among them, from 1."""
    role: str
    text: str
    calls: tuple[Called, ...] = ()
    call_id: str = ""
    thinking: str = ""
    refused: bool = False


def trajectory(trace: Trace, reading: Reading) -> Trajectory:
    """The trajectory, its question still without an id where the trace names none; raises `CannotMap` where it is none.

    >>> messages = [{"role": "user", "content": "What is 2 * 3?"}, {"role": "assistant", "content": "<answer>6</answer>"}]
    >>> trajectory(Trace("a.jsonl:1", messages), Reading()).answer
    '6'
    """
    question, rest = _opening([_said(value, number) for number, value in enumerate(trace.messages, start=1)])
    steps = tuple(_steps(rest, reading))
    answered = isinstance(steps[-1].action, Answer)
    mapped = Trajectory(
        id="",
        question=Question(id=trace.name.strip(), task="jsonl", text=question, answers=trace.answers),
        rules=_rules(trace, steps, reading),
        policy=trace.policy,
        steps=steps,
        stop=StopReason.ANSWERED if answered else StopReason.CUT_OFF,
    )
    waiting = isinstance(steps[-1].action, ToolCall) and steps[-1].observation is None
    if mapped.num_calls - waiting > reading.max_calls:
        raise CannotMap(
            f"{mapped.num_calls} calls",
            f"more calls than generate.max_calls allows, {reading.max_calls}; import with a higher one",
        )
    return mapped


def _opening(dialogue: Sequence[Said]) -> tuple[str, Sequence[Said]]:
    """The question, and what follows it."""
    told = [said for said in dialogue if said.role not in SYSTEM]
    if any(said.role in SYSTEM for said in dialogue[len(dialogue) - len(told) :]):
        raise CannotMap("a system message between others", "expected system messages at the beginning alone")
    if not told or told[0].role != "user":
        raise CannotMap(told[0].role if told else "nothing", "expected a message of the user, the question, first")
    if not told[0].text.strip():
        raise CannotMap("an empty message", "expected a question in the first message of the user")
    if len(told) == 1:
        raise CannotMap("the question alone", "expected a message of the assistant, found none")
    return told[0].text, told[1:]


def _steps(rest: Sequence[Said], reading: Reading) -> Iterator[Step]:
    left = list(reversed(rest))
    while left:
        said = left.pop()
        if said.role != "assistant":
            raise _out_of_place(said)
        step = _step(said, reading)
        if said.calls and left and left[-1].role == "tool":
            step = _observed(step, said, left.pop())
        elif isinstance(step.action, ToolCall) and left:
            raise CannotMap(
                f"message {left[-1].number} of {left[-1].role}", "expected the result of the call before it"
            )
        if isinstance(step.action, Answer) and left:
            raise CannotMap(f"message {left[-1].number} of {left[-1].role}", "expected nothing after the answer")
        yield step


def _out_of_place(said: Said) -> CannotMap:
    if said.role == "user":
        return CannotMap(
            f"message {said.number}: {said.text}", "a second message of the user: a trajectory has one question"
        )
    return CannotMap(f"message {said.number}: {said.text}", "a result that no call asked for")


def _step(said: Said, reading: Reading) -> Step:
    if len(said.calls) > 1:
        names = ", ".join(call.name for call in said.calls)
        raise CannotMap(f"message {said.number}: {names}", "several calls at once: a step holds one")
    if said.calls:
        text, act = action(said.calls[0], said.text, reading)
    else:
        text, act = answer(said.text, reading.answer)
    return Step(text=text, action=act, thinking=said.thinking)


def _observed(step: Step, call: Said, result: Said) -> Step:
    asked = call.calls[0].call_id
    if asked and result.call_id and asked != result.call_id:
        raise CannotMap(
            f"message {result.number}: {result.call_id}", "the result of another call than the one before it"
        )
    if isinstance(step.action, Answer):
        return step
    seen = Observation(result.text, refused=result.refused)
    return Step(text=step.text, action=step.action, thinking=step.thinking, observation=seen)


def _rules(trace: Trace, steps: Sequence[Step], reading: Reading) -> Rules:
    names = [step.action.tool for step in steps if isinstance(step.action, ToolCall)]
    if trace.offered is not None:
        names += [reading.tools[name].tool if name in reading.tools else name for name in map(_name, trace.offered)]
    offered = set(reading.offered or names)
    return Rules(
        prompt=reading.prompt,
        tools=tuple(tool for tool in sorted(PARAMETERS, reverse=True) if tool in offered),
        max_calls=reading.max_calls,
        keep_thinking=reading.keep_thinking,
    )


def _name(definition: Any) -> str:
    """Of a tool, as it is defined: OpenAI's table with `function`, or flat."""
    table = definition.get("function", definition) if isinstance(definition, dict) else {}
    name = table.get("name") if isinstance(table, dict) else None
    return name if isinstance(name, str) else ""


def _said(value: Any, number: int) -> Said:
    if not isinstance(value, dict):
        raise CannotMap(f"message {number}: {value}", "a message that is no table with role and content")
    role = value.get("role")
    if role not in _ROLES:
        raise CannotMap(f"message {number}: {role}", f"a message with none of the roles {', '.join(_ROLES)}")
    if value.get("refusal") or value.get("function_call"):
        which = "a refusal" if value.get("refusal") else "a call in the form before tool_calls"
        raise CannotMap(f"message {number}", f"{which}, which is no step")
    text, thinking = _content(value.get("content"), number)
    kept_apart = value.get("reasoning_content") or value.get("reasoning") or thinking
    calls, error, call_id = value.get("tool_calls") or (), value.get("error"), value.get("tool_call_id")
    if not isinstance(calls, list | tuple):
        raise CannotMap(f"message {number}: {calls}", "tool_calls that are no list")
    told = error.get("message") if role == "tool" and isinstance(error, dict) else None
    return Said(
        number=number,
        role=role,
        text=told if isinstance(told, str) and told else text,
        calls=tuple(map(called, calls)),
        call_id=call_id if isinstance(call_id, str) else "",
        thinking=kept_apart if isinstance(kept_apart, str) else "",
        refused=isinstance(told, str),
    )


def _content(content: Any, number: int) -> tuple[str, str]:
    """The text of a message, and what reasoning stands among its parts."""
    if content is None or isinstance(content, str):
        return content or "", ""
    if not isinstance(content, list):
        raise CannotMap(f"message {number}: {content}", "a content that is neither a text nor a list of parts")
    texts: dict[str, list[str]] = {"text": [], "reasoning": []}
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        value = part.get(kind) if kind in texts else None
        if not isinstance(kind, str) or not isinstance(value, str):
            raise CannotMap(f"message {number}: {kind}", "a part of a message that is no text")
        texts[kind].append(value)
    return "\n".join(texts["text"]), "\n".join(texts["reasoning"])
