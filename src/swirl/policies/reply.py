"""A server's reply as a completion. It is hostile: every part of it is looked at before it is used.

Reasoning stands apart, in `reasoning_content`, in `reasoning`, or in `<think>...</think>` before the text, and is never read for tags. A
text that goes on after its first closing tag is cut there, as the engine would have ended it. A closing tag that the server cut off is put
back only where the server tells that this very tag ended the text (`stop_reason`, `matched_stop`).
"""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct, structs

from swirl.engine import Finish
from swirl.policies import Completion
from swirl.policies.native import read_calls
from swirl.policies.request import Asked
from swirl.protocol import Prompt
from swirl.services.faults import Fault, Trouble
from swirl.services.ledger import Usage

_THINK, _END_THINK = "<think>", "</think>"
_TELLING = ("stop_reason", "matched_stop")
"""Where vLLM and SGLang say which stop string ended the text; null where none did."""
_LARGEST_COUNT = 2**31


@runtime_checkable
class Chat(Protocol):
    """What raw completions need of `swirl.engine.chat.ChatFormat`."""

    @property
    def opens_thinking(self) -> bool:
        """Whether the template itself begins the reasoning of an action."""
        ...

    def context_ids(self, prompt: Prompt) -> list[int]:
        """The ids a model continues to answer the prompt."""
        ...

    def thinking_tokens(self, action: Sequence[int]) -> int:
        """How many of the leading ids are thinking."""
        ...


class Reply(Struct, frozen=True, kw_only=True):
    """A reply, read."""

    completion: Completion
    usage: Usage = Usage()
    stripped: bool = False
    """Whether a stop string may have cut a closing tag off, and nothing tells, or may have ended the reasoning."""
    untold: tuple[str, ...] = ()
    """What was asked for and is not there."""


def read_reply(body: Any, asked: Asked, *, stopped: bool, chat: Chat | None = None) -> Reply:
    """A reply to a request; `stopped`: whether stop strings were sent; `chat`: how the prompt of a raw completion was made.

    Raises `Trouble` where there is no completion in it.

    >>> from swirl.policies import TEXT, Sampling
    >>> from swirl.protocol import Message, Prompt
    >>> asked = Asked(model="m", api="chat", prompt=Prompt((Message("user", "?"),)), sampling=Sampling(), seed=1, wants=TEXT)
    >>> body = {"choices": [{"message": {"content": "<answer>6</answer> or so"}, "finish_reason": "stop"}]}
    >>> read_reply(body, asked, stopped=False).completion.text
    '<answer>6</answer>'
    """
    choice, usage = _choice(body), usage_of(body)
    if asked.sampling.max_context < usage.tokens_in + asked.sampling.max_tokens:
        return Reply(completion=Completion(text="", finish=Finish.CONTEXT), usage=usage)
    message = _message(choice) if asked.api == "chat" else {"content": choice.get("text")}
    finish = _finish(choice, message)
    calls = message.get("tool_calls") if asked.native else None
    opened = chat is not None and chat.opens_thinking
    thinking, text = _thinking(message, empty=bool(calls) or usage.tokens_out == 1, opened=opened)
    if calls:
        return Reply(completion=_calling(text, calls, thinking, finish), usage=usage)
    completion = Completion(text=text, finish=finish, thinking=thinking, alternatives=_alternatives(choice, asked))
    completion = _with_ids(completion, choice, asked, chat)
    ended = _ended(completion, choice, asked.stop)
    open_tag = _opened(text, asked.stop) and not any(name in choice for name in _TELLING)
    stripped = stopped and finish is Finish.STOP and (open_tag or bool(thinking and not text.strip()))
    return Reply(completion=ended, usage=usage, stripped=stripped, untold=_untold(choice, asked))


def usage_of(body: Any) -> Usage:
    """The tokens that a server says it took; 0 where it does not, or not in numbers.

    >>> usage_of({"usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 8}}})
    Usage(tokens_in=9, tokens_cached=8, tokens_out=2)
    """
    usage = _mapping(body, "usage")
    read = _count(usage.get("prompt_tokens"))
    cached = _count(
        _mapping(usage, "prompt_tokens_details").get("cached_tokens") or usage.get("prompt_cache_hit_tokens")
    )
    return Usage(tokens_in=read, tokens_cached=min(cached, read), tokens_out=_count(usage.get("completion_tokens")))


def _choice(body: Any) -> dict[str, Any]:
    if error := _mapping(body, "error"):
        said = error.get("message")
        raise Trouble(
            Fault.DOWN, f"it answered with an error{f' ({said:.200})' if isinstance(said, str) else ''}", again=True
        )
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Trouble(Fault.DOWN, "its reply holds no completion", again=True)
    choice: dict[str, Any] = choices[0]
    return choice


def _message(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    message = _mapping(choice, "message")
    if not message:
        raise Trouble(Fault.DOWN, "its reply holds no message", again=True)
    if message.get("refusal"):
        raise Trouble(Fault.REFUSED, "the model refuses to answer this")
    if not isinstance(message.get("tool_calls") or [], list):
        raise Trouble(Fault.DOWN, "expected a list of calls in its reply, found something else", again=True)
    return message


def _finish(choice: Mapping[str, Any], message: Mapping[str, Any]) -> Finish:
    reason = choice.get("finish_reason")
    if reason == "content_filter":
        raise Trouble(Fault.REFUSED, "its content filter ended the reply")
    if reason in ("abort", "error"):
        raise Trouble(Fault.DOWN, "it gave the reply up before its end", again=True)
    return Finish.LENGTH if reason == "length" else Finish.STOP


def _thinking(message: Mapping[str, Any], *, empty: bool, opened: bool) -> tuple[str, str]:
    """Reasoning and text; `empty`: whether there need be neither. Reasoning from a field of its own is put between marks, as a model
    writes it."""
    text = _text(message.get("content"))
    told = next((message[name] for name in ("reasoning_content", "reasoning") if message.get(name)), None)
    if isinstance(told, str):
        return f"{_THINK}{told}{_END_THINK}", text or ""
    if text is None and not empty:
        raise Trouble(Fault.DOWN, "its reply holds no text", again=True)
    return split_thinking(text or "", opened=opened)


def split_thinking(text: str, *, opened: bool = False) -> tuple[str, str]:
    """What a text begins with up to `</think>`, and the rest; all of it where `<think>` was opened, in the text or by the template, and
    never closed.

    >>> split_thinking("<think>Twice three.</think><answer>6</answer>"), split_thinking("<think>Twice")
    (('<think>Twice three.</think>', '<answer>6</answer>'), ('<think>Twice', ''))
    """
    thought, closed, rest = text.partition(_END_THINK)
    if closed:
        return thought + closed, rest
    return (text, "") if opened or text.lstrip().startswith(_THINK) else ("", text)


def _text(content: Any) -> str | None:
    """A content: a text, or a list of parts; None where there is none."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type", "text") == "text"]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else None


def _calling(text: str, calls: Sequence[Any], thinking: str, finish: Finish) -> Completion:
    """Without token ids: what was sampled is the server's form of the call, not the text."""
    shown, action = read_calls(text, calls)
    return Completion(text=shown, action=action, thinking=thinking, finish=finish)


def _ended(completion: Completion, choice: Mapping[str, Any], stop: Sequence[str]) -> Completion:
    """Ended with its first closing tag: cut after it, or put back where the server proves that it was there."""
    text = completion.text
    ends = [text.index(tag) + len(tag) for tag in stop if tag in text]
    if ends:
        closed = structs.replace(completion, finish=Finish.STOP)
        kept = structs.replace(closed, text=text[: min(ends)], token_ids=(), thinking_tokens=0, logprobs=())
        return kept if text[min(ends) :].strip() else closed
    proof = next((choice[name] for name in _TELLING if isinstance(choice.get(name), str)), "")
    if proof in stop and choice.get("finish_reason") == "stop":
        return structs.replace(completion, text=text + proof, restored=True)
    return completion


def _opened(text: str, stop: Sequence[str]) -> bool:
    """Whether one of the tags was opened and not closed.

    >>> _opened("So it is <answer>6", ["</answer>"]), _opened("So it is 6", ["</answer>"])
    (True, False)
    """
    return any(tag.replace("</", "<") in text and tag not in text for tag in stop)


def _with_ids(completion: Completion, choice: Mapping[str, Any], asked: Asked, chat: Chat | None) -> Completion:
    """With the token ids and log-probabilities, where they are of use and the server tells them. Without, where there is thinking and
    nobody can say which ids it is."""
    ids = _ids(choice)
    if not asked.records or not ids or (completion.thinking and chat is None):
        return completion
    logprobs = _logprobs(choice) if asked.logprobs else ()
    return structs.replace(
        completion,
        token_ids=ids,
        thinking_tokens=chat.thinking_tokens(ids) if chat else 0,
        logprobs=logprobs if len(logprobs) == len(ids) else (),
    )


def _untold(choice: Mapping[str, Any], asked: Asked) -> tuple[str, ...]:
    told = {
        "token ids": not asked.records or _ids(choice),
        "log-probabilities": not asked.logprobs or _logprobs(choice),
    }
    return tuple(name for name, there in told.items() if not there)


def _ids(choice: Mapping[str, Any]) -> tuple[int, ...]:
    ids = choice.get("token_ids")
    fit = isinstance(ids, list) and all(type(one) is int and 0 <= one < _LARGEST_COUNT for one in ids)
    return tuple(ids) if isinstance(ids, list) and fit else ()


def _logprobs(choice: Mapping[str, Any]) -> tuple[float, ...]:
    """In the form of raw completions, or of chat, which llama.cpp and Ollama use for both."""
    told = _mapping(choice, "logprobs")
    listed = told.get("token_logprobs")
    if listed is None:
        listed = [entry.get("logprob") for entry in _entries(told)]
    if not isinstance(listed, list) or not all(map(_is_logprob, listed)):
        return ()
    return tuple(min(float(value), 0.0) for value in listed)


def _alternatives(choice: Mapping[str, Any], asked: Asked) -> tuple[dict[str, float], ...]:
    if not asked.wants.alternatives:
        return ()
    told = _mapping(choice, "logprobs")
    listed = told.get("top_logprobs")
    if isinstance(listed, list):
        return tuple(_likeliest(place.items()) for place in listed if isinstance(place, dict))
    return tuple(
        _likeliest((one.get("token"), one.get("logprob")) for one in _places(entry)) for entry in _entries(told)
    )


def _entries(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = told.get("content")
    return [entry for entry in content if isinstance(entry, dict)] if isinstance(content, list) else []


def _places(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What stands at a place, and what might have."""
    others = entry.get("top_logprobs")
    return [*(one for one in others if isinstance(one, dict)), entry] if isinstance(others, list) else [entry]


def _likeliest(pairs: Iterable[tuple[Any, Any]]) -> dict[str, float]:
    return {token: min(float(value), 0.0) for token, value in pairs if isinstance(token, str) and _is_logprob(value)}


def _is_logprob(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9 and isfinite(value)


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < _LARGEST_COUNT else 0
