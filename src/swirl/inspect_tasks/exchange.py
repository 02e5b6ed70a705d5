"""What Inspect is given for the model, and what comes back, by way of OpenAI's words: a state's prompt goes out as it would to a server of
our own, and the reply is read by the same rules as a server's (`swirl.policies.reply`)."""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageTool,
    ChatMessageUser,
    ContentReasoning,
    GenerateConfig,
    ModelOutput,
)
from inspect_ai.tool import ToolCall, ToolInfo

from swirl.engine import Finish, Sampling
from swirl.policies import TEXT, Completion
from swirl.policies.native import offer
from swirl.policies.reply import read_reply
from swirl.policies.request import Asked
from swirl.protocol import render
from swirl.types import Trajectory

_UNLIMITED = Sampling(max_context=2**62)
"""How long a context may be, the model's own limit says (`model_length`)."""

_KEEPING: Mapping[str, Mapping[str, bool]] = MappingProxyType(
    {"hf": {}, "mockllm": {}, "vllm": {"include_stop_str_in_output": True}, "sglang": {"no_stop_trim": True}}
)
"""Inspect's providers that leave a stop string in the text, and what they have to be asked for it. Others would cut closing tags off: they
are sent none, and what follows the first closing tag is left away."""

_FINISH: Mapping[str, str] = MappingProxyType({"max_tokens": "length", "content_filter": "content_filter"})
"""Inspect's words for how a reply ended, in OpenAI's."""


def asked_at(state: Trajectory) -> Asked:
    """The request for the next action at a state."""
    return Asked(
        model=state.policy,
        api="chat",
        prompt=render(state),
        sampling=_UNLIMITED,
        seed=0,
        wants=TEXT,
        native=state.rules.native_calls,
    )


def stopping(asked: Asked) -> GenerateConfig:
    """The stop strings of a request, where the provider, which the model's name begins with, leaves them in the text."""
    keeping = _KEEPING.get(asked.model.partition("/")[0])
    if keeping is None:
        return GenerateConfig()
    return GenerateConfig(stop_seqs=list(asked.stop), extra_body=dict(keeping) or None)


def messages(told: Sequence[Mapping[str, Any]]) -> list[ChatMessage]:
    """Turns in OpenAI's words as Inspect's messages."""
    return [_message(turn) for turn in told]


def _message(turn: Mapping[str, Any]) -> ChatMessage:
    content = turn["content"] or ""
    if turn["role"] == "tool":
        return ChatMessageTool(content=content, tool_call_id=turn["tool_call_id"])
    if turn["role"] == "user":
        return ChatMessageUser(content=content)
    calls = [_call(call["id"], **call["function"]) for call in turn.get("tool_calls", ())]
    return ChatMessageAssistant(content=content, tool_calls=calls or None)


def _call(call_id: str, name: str, arguments: str) -> ToolCall:
    return ToolCall(id=call_id, function=name, arguments=json.loads(arguments))


def tools(asked: Asked) -> list[ToolInfo]:
    """The tools on offer, where they are called in the model's own way."""
    return [ToolInfo.model_validate(told["function"]) for told in offer(asked.prompt.tools)]


def completion_of(output: ModelOutput, asked: Asked) -> Completion:
    """The model's reply as a completion.

    Raises `swirl.services.faults.Trouble` where a content filter ended it, and where it holds none.

    >>> from swirl.types import Question, Rules
    >>> asked = asked_at(Trajectory(id="q/0", question=Question(id="q", task="t", text="?"), rules=Rules(), policy="mockllm/model"))
    >>> completion_of(ModelOutput.from_content("mockllm", "<answer>6</answer> or so"), asked).text
    '<answer>6</answer>'
    """
    if output.choices and output.stop_reason == "model_length":
        return Completion(text="", finish=Finish.CONTEXT)
    choices = [_choice(output)] if output.choices else []
    return read_reply({"choices": choices}, asked, stopped=False).completion


def _choice(output: ModelOutput) -> dict[str, Any]:
    message = output.message
    told = {
        "content": message.text,
        "reasoning_content": _reasoning(message),
        "tool_calls": [_told(call) for call in message.tool_calls or ()],
    }
    return {"message": told, "finish_reason": _FINISH.get(output.stop_reason, "stop")}


def _reasoning(message: ChatMessageAssistant) -> str:
    """What a thinking model tells of its reasoning, where Inspect keeps it apart."""
    parts = message.content if isinstance(message.content, list) else []
    told = [part for part in parts if isinstance(part, ContentReasoning)]
    return "".join((part.summary or "") if part.redacted else part.reasoning for part in told)


def _told(call: ToolCall) -> dict[str, Any]:
    """A call in OpenAI's words; arguments that Inspect could not read are none that we can."""
    arguments = "" if call.parse_error else json.dumps(call.arguments, ensure_ascii=False)
    return {"id": call.id, "function": {"name": call.function, "arguments": arguments}}
