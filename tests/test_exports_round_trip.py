"""A trajectory goes to OpenAI's chat and back: what the messages do not say, the column `swirl` does."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings

from exported import items
from swirl.exports import Item
from swirl.exports.files import encoded
from swirl.exports.formats import EXPORTS
from swirl.exports.metadata import Metadata, Taken
from swirl.protocol import PARAMETERS, parse, write
from swirl.types import Malformed, Observation, Step, ToolCall, Trajectory


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(items())
def test_a_trajectory_comes_back_from_openais_chat(item: Item) -> None:
    for row in EXPORTS["openai"].rows([item]):
        assert again(json.loads(encoded(row)[1])) == item


def again(row: Mapping[str, Any]) -> Item:
    """The item that a row was made of."""
    told = msgspec.json.decode(row["swirl"], type=Metadata)
    acted = [place for place, message in enumerate(row["messages"]) if message["role"] == "assistant"]
    results = [*(row["messages"][place + 1] for place in acted[:-1]), None]
    steps = [
        step(row["messages"][place], result, taken)
        for place, result, taken in zip(acted, results, told.steps, strict=True)
    ]
    verdicts = tuple(taken.verdict for taken in told.steps)
    trajectory = Trajectory(
        id=told.id,
        question=told.question,
        rules=told.rules,
        sample=told.sample,
        seed=told.seed,
        policy=told.policy,
        steps=tuple(steps),
        stop=told.stop,
    )
    return Item(trajectory, verdicts if any(verdicts) else (), told.kept, told.correct)


def step(message: Mapping[str, Any], result: Mapping[str, Any] | None, taken: Taken) -> Step:
    text, action = message["content"], parse(message["content"])
    if "tool_calls" in message:
        action = call_of(message["tool_calls"][0]["function"], taken)
        text = write(action, text)
    shown = result["content"] if result and result["role"] == "tool" else taken.result
    return Step(
        text=text if taken.text is None else taken.text,
        action=action if taken.malformed is None else Malformed(taken.malformed),
        thinking=taken.thinking,
        restored=taken.restored,
        observation=None if shown is None else Observation(shown, taken.refused, taken.passages),
    )


def call_of(function: Mapping[str, str], taken: Taken) -> ToolCall:
    name, sent = function["name"], function["arguments"]
    arguments = json.loads(sent)[PARAMETERS[name]] if taken.arguments is None else taken.arguments
    return ToolCall(name, arguments, taken.call_id, sent if taken.native else "")
