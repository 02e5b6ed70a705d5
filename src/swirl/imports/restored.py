"""What we wrote ourselves, read back: whole records, and our export, where the column `swirl` beside the messages says what a chat cannot
(`swirl export --to openai`).

Of an export the messages come first: what they say is what was said, also where somebody has changed it since. Token ids are not
among what is restored.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from swirl.exports.metadata import Metadata, Taken
from swirl.imports import CannotMap, Trace
from swirl.imports.calls import called
from swirl.protocol import PARAMETERS, parse, write
from swirl.types import Action, Answer, Malformed, Observation, Step, StopReason, ToolCall, Trajectory


def restored(trace: Trace) -> Trajectory:
    """The trajectory that was exported, on a question of the task `jsonl`; raises `CannotMap` where messages and column disagree.

    >>> column = '{"id": "q/1", "question": {"id": "q", "task": "t", "text": "?"}, "rules": {}, "steps": [{}], "sample": 1}'
    >>> messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "<answer>6</answer>"}]
    >>> restored(Trace("a.jsonl:1", messages, restored=column)).steps[0].action
    Answer(text='6')
    """
    try:
        told = msgspec.json.decode(trace.restored, type=Metadata)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise CannotMap(trace.restored, f"its column swirl is none that our export writes ({error})") from error
    places = [place for place, message in enumerate(trace.messages) if _role(message) == "assistant"]
    if len(places) != len(told.steps):
        raise CannotMap(
            f"{len(told.steps)} steps, {len(places)} messages of the assistant",
            "its column swirl and its messages disagree",
        )
    steps = [_step(trace.messages, place, taken) for place, taken in zip(places, told.steps, strict=True)]
    asked = msgspec.structs.replace(told.question, task="jsonl")
    return Trajectory(
        id=told.id,
        question=asked,
        rules=told.rules,
        sample=told.sample,
        seed=told.seed,
        policy=told.policy,
        steps=tuple(steps),
        stop=told.stop,
    )


def recorded(record: Mapping[str, Any]) -> Trajectory:
    """The trajectory that a trace holds whole, on a question of the task `jsonl`; raises `CannotMap` where it is none.

    >>> kept = {"schema": "swirl.trajectory/1", "id": "q/0", "question": {"id": "q", "task": "t", "text": "?"}, "rules": {}}
    >>> recorded(kept).stop.value
    'cut_off'
    """
    try:
        own = msgspec.convert(record, Trajectory)
    except msgspec.ValidationError as error:
        raise CannotMap(str(record), f"its metadata swirl is no trajectory of ours ({error})") from error
    asked = msgspec.structs.replace(own.question, task="jsonl")
    return msgspec.structs.replace(own, question=asked, stop=own.stop or StopReason.CUT_OFF)


def _role(message: Any) -> str:
    return str(message.get("role")) if isinstance(message, dict) else ""


def _step(messages: Sequence[Any], place: int, taken: Taken) -> Step:
    message, after = messages[place], messages[place + 1] if place + 1 < len(messages) else {}
    content = message.get("content")
    text, action = _action(message, content if isinstance(content, str) else "", taken)
    result = after.get("content") if _role(after) == "tool" else taken.result
    seen = isinstance(result, str) and isinstance(action, ToolCall)
    return Step(
        text=text,
        action=action,
        thinking=taken.thinking,
        restored=taken.restored,
        observation=Observation(str(result), taken.refused, taken.passages) if seen else None,
    )


def _action(message: Mapping[str, Any], said: str, taken: Taken) -> tuple[str, Action]:
    calls = message.get("tool_calls") or []
    if taken.malformed is not None:
        return said if taken.text is None else taken.text, Malformed(taken.malformed)
    if not calls:
        act = parse(said)
        if not isinstance(act, Answer):
            raise CannotMap(said, "its column swirl calls a message an answer that is none")
        return said, act
    call = called(calls[0])
    arguments = _argument(call.arguments, call.name) if taken.arguments is None else taken.arguments
    made = ToolCall(call.name, arguments, taken.call_id, call.arguments if taken.native else "")
    if taken.text is None and call.name not in PARAMETERS:
        raise CannotMap(call.name, "its column swirl does not say how a call of that tool was written")
    return write(made, said) if taken.text is None else taken.text, made


def _argument(raw: str, tool: str) -> str:
    try:
        return str(msgspec.json.decode(raw, type=dict[str, str])[PARAMETERS.get(tool, "")])
    except (msgspec.MsgspecError, KeyError) as error:
        raise CannotMap(raw, f"expected the one argument of {tool}") from error
