"""What a well-behaved server answers, as pure functions of the request, in the dialects of servers that speak OpenAI's protocol."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Body = Mapping[str, Any]

STANDARD = frozenset(
    re.findall(
        r"\w+",
        """
        audio best_of echo frequency_penalty function_call functions logit_bias logprobs max_completion_tokens
        max_tokens messages metadata modalities model n parallel_tool_calls prediction presence_penalty prompt
        prompt_cache_key reasoning_effort response_format safety_identifier seed service_tier stop store stream
        stream_options suffix temperature tool_choice tools top_logprobs top_p user verbosity
        """,
    )
)
"""The parameters that OpenAI knows."""
_DECIDES = ("model", "messages", "prompt", "seed", "temperature", "tools", "response_format")
_PIECE = re.compile(r"\w+|\W")
_END = 2
"""The id of the token that ends a turn."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What a server understands beyond the common part, and what it tells."""

    refuses: str = ""
    """How a parameter that OpenAI does not know is refused: as "openai" does, with "detail", or (empty) not at all."""
    keep_stop: str = ""
    """The parameter that leaves the stop string in the text."""
    keeps_stop: bool = False
    """Whether the stop string stays in the text in any case."""
    tells_stop: str = ""
    """The field of a choice that tells which stop string was met."""
    token_ids: bool = False
    """Whether `return_token_ids` is honoured."""
    prompt_ids: bool = True
    """Whether a prompt may be a list of token ids."""
    logprobs: bool = True
    one_logprobs: bool = False
    """Whether /v1/completions tells log-probabilities in the form of /v1/chat/completions."""
    reasoning: str = "reasoning_content"
    """The field of a message that thoughts go to; empty: they stay in the content, in <think>."""
    usage: bool = True
    cached: bool = False
    """Whether the usage tells how many tokens of the prompt were cached."""


OPENAI = Dialect(refuses="openai", cached=True, prompt_ids=True)
VLLM = Dialect(
    keep_stop="include_stop_str_in_output", tells_stop="stop_reason", token_ids=True, reasoning="reasoning", cached=True
)
SGLANG = Dialect(keep_stop="no_stop_trim", tells_stop="matched_stop", token_ids=True, cached=True)
LLAMA_CPP = Dialect(one_logprobs=True, cached=True)
OLLAMA = Dialect(reasoning="reasoning", prompt_ids=False, one_logprobs=True)
TRANSFORMERS = Dialect(refuses="detail", keeps_stop=True, logprobs=False, prompt_ids=False)


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the model behind the server says, before any stop string or limit cuts it short."""

    text: str = ""
    tool_calls: tuple[tuple[str, str], ...] = ()
    """(name, arguments as JSON)."""
    finish: str = ""
    """The finish reason; empty: stop, tool_calls or length, as it turns out."""
    refusal: str = ""
    reasoning: str = ""
    token_ids: tuple[int, ...] = ()
    """Empty: made up, one a word or sign."""


Reply = Callable[[Body], Said]


def digest(body: Body) -> str:
    """The name of a request: equal for equal JSON, whatever its order."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def fraction(*item: str | int) -> float:
    """A number in [0, 1) that depends on nothing but the item."""
    drawn = hashlib.blake2b("\x1f".join(map(str, item)).encode(), digest_size=7).digest()
    return int.from_bytes(drawn) / 2**56


def asked(body: Body) -> str:
    """The digest of what decides the answer: the question and how it is sampled, not how it is to be told."""
    return digest({name: body[name] for name in _DECIDES if body.get(name) is not None})


def is_good(body: Body) -> bool:
    """What the scripted judge thinks of it: GOOD or BAD, each to one half of all requests."""
    return fraction("verdict", asked(body)) < 0.5


def scripted(body: Body) -> Said:
    """A judge where the request speaks of GOOD and BAD, else a policy that calls a tool once and answers with the last number it saw."""
    text = prompt_text(body)
    if "GOOD" in text and "BAD" in text:
        return _verdict(body)
    number = 2 + int(7 * fraction("number", asked(body)))
    turns = body.get("messages") or ()
    if any(turn.get("role") == "assistant" for turn in turns) or "</math_exp>" in text:
        return Said(text=f"So it is <answer>{[*re.findall(r'[0-9]+', text), number][-2:][0]}</answer>")
    if body.get("tools"):
        function = body["tools"][0]["function"]
        name = next(iter(function.get("parameters", {}).get("properties", {"expression": {}})))
        return Said(tool_calls=((function["name"], json.dumps({name: f"{number} * 3"})),))
    return Said(text=f"Three times {number}. <math_exp>{number} * 3</math_exp>")


def _verdict(body: Body) -> Said:
    word = "GOOD" if is_good(body) else "BAD"
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
    if schema is None:
        return Said(text=f"It was looked at. {word}")
    fields = {
        name: word if "enum" in field else "It was looked at." for name, field in schema.get("properties", {}).items()
    }
    return Said(text=json.dumps(fields))


def prompt_text(body: Body) -> str:
    """All that a request says, in one text; of token ids, their numbers."""
    prompt = body.get("prompt", "")
    if not isinstance(prompt, str):
        return " ".join(map(str, prompt))
    return prompt + "\n".join(str(turn.get("content") or "") for turn in body.get("messages") or ())


def refusal_of(body: Body, dialect: Dialect) -> tuple[int, dict[str, Any]] | None:
    """Status and body for a request that such a server does not take; None: it takes it."""
    unknown = sorted(set(body) - STANDARD)
    if unknown and dialect.refuses == "openai":
        message = f"Unknown parameter: '{unknown[0]}'."
        fields = {"type": "invalid_request_error", "param": unknown[0], "code": "unknown_parameter"}
        return 400, {"error": {"message": message, **fields}}
    if unknown and dialect.refuses == "detail":
        return 422, {"detail": f"Unexpected fields in the request: {set(unknown)}"}
    if not dialect.prompt_ids and not isinstance(body.get("prompt", ""), str):
        return 400, {"detail": "prompt must be a string."}
    return None


def completion(body: Body, reply: Reply, dialect: Dialect, *, chat: bool) -> dict[str, Any]:
    """The whole answer of /v1/chat/completions, or of /v1/completions. The second of `n` choices is what the next seed would say."""
    choices, written = [], 0
    prompt_ids = _prompt_ids(body)
    for place in range(body.get("n") or 1):
        own = {**body, "seed": (body.get("seed") or 0) + place} if place else body
        choice, tokens = _choice(own, reply(own), dialect, chat=chat)
        if not chat and "token_ids" in choice:
            choice["prompt_token_ids"] = prompt_ids
        choices.append({"index": place, **choice})
        written += tokens
    answer: dict[str, Any] = {
        "id": f"{'chatcmpl' if chat else 'cmpl'}-{digest(body)}",
        "object": "chat.completion" if chat else "text_completion",
        "created": 1,
        "model": body.get("model", "model"),
        "choices": choices,
    }
    if chat and "token_ids" in choices[0]:
        answer["prompt_token_ids"] = prompt_ids
    if dialect.usage:
        read = len(prompt_ids)
        answer["usage"] = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        if dialect.cached:
            answer["usage"]["prompt_tokens_details"] = {"cached_tokens": read // 2}
    return answer


def _choice(body: Body, said: Said, dialect: Dialect, *, chat: bool) -> tuple[dict[str, Any], int]:
    """A choice, and how many tokens were written for it."""
    whole = _PIECE.findall(said.text)
    pieces = whole[: body.get("max_completion_tokens") or body.get("max_tokens") or len(whole)]
    text, stop = _stopped("".join(pieces), body, dialect)
    pieces = _covering(pieces, len(text) + (0 if not stop or text.endswith(stop) else len(stop)))
    ended = bool(stop) or len(pieces) == len(whole)
    finish = said.finish or ("tool_calls" if said.tool_calls else "stop" if ended else "length")
    ids = [*(said.token_ids or map(_token_id, pieces)), *([] if stop or not ended else [_END])]
    choice: dict[str, Any] = {"finish_reason": finish, "logprobs": None}
    choice |= {"message": _message(said, text, dialect)} if chat else {"text": text}
    if body.get("logprobs") and dialect.logprobs:
        choice["logprobs"] = (_chat_logprobs if chat or dialect.one_logprobs else _text_logprobs)(body, pieces)
    if dialect.tells_stop:
        choice[dialect.tells_stop] = stop or (_END if dialect.tells_stop == "matched_stop" and ended else None)
    if dialect.token_ids and body.get("return_token_ids"):
        choice["token_ids"] = ids
    return choice, len(ids)


def _stopped(text: str, body: Body, dialect: Dialect) -> tuple[str, str]:
    """The text up to the first stop string, and that string, empty where none was met."""
    given = body.get("stop") or []
    stops = [given] if isinstance(given, str) else given
    found = min(((text.index(stop), stop) for stop in stops if stop in text), default=None)
    if found is None:
        return text, ""
    place, stop = found
    kept = dialect.keeps_stop or (bool(dialect.keep_stop) and body.get(dialect.keep_stop) is True)
    return text[: place + len(stop) * kept], stop


def _covering(pieces: Sequence[str], length: int) -> list[str]:
    taken, seen = [], 0
    for piece in pieces:
        if seen >= length:
            break
        taken.append(piece)
        seen += len(piece)
    return taken


def _message(said: Said, text: str, dialect: Dialect) -> dict[str, Any]:
    thought = f"<think>{said.reasoning}</think>" if said.reasoning and not dialect.reasoning else ""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": (thought + text) or None,
        "refusal": said.refusal or None,
    }
    if said.reasoning and dialect.reasoning:
        message[dialect.reasoning] = said.reasoning
    if said.tool_calls:
        message["tool_calls"] = [
            {"id": f"call_{place}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for place, (name, arguments) in enumerate(said.tool_calls)
        ]
    return message


def _prompt_ids(body: Body) -> list[int]:
    prompt = body.get("prompt", "")
    return list(map(_token_id, _PIECE.findall(prompt_text(body)))) if isinstance(prompt, str) else list(prompt)


def _token_id(piece: str) -> int:
    return 3 + int(30_000 * fraction("token", piece))


def _alternatives(body: Body, place: int, piece: str, count: int) -> dict[str, float]:
    """The piece and others with their log-probabilities, most probable first; GOOD stands against BAD."""
    share = 0.5 + 0.45 * fraction("logprob", asked(body), place)
    other = {"GOOD": "BAD", "BAD": "GOOD"}.get(piece, "other")
    logs = {piece: math.log(share), other: math.log(1 - share) - 0.1} | {
        f"rest {rank}": -9.0 - rank for rank in range(count)
    }
    return dict(list(logs.items())[: max(count, 1)])


def _chat_logprobs(body: Body, pieces: Sequence[str]) -> dict[str, Any]:
    count = (body.get("top_logprobs") or 0) if "messages" in body else int(body["logprobs"])
    content = []
    for place, piece in enumerate(pieces):
        logs = _alternatives(body, place, piece, count)
        told = [{"token": token, "logprob": value, "bytes": list(token.encode())} for token, value in logs.items()]
        content.append({**told[0], "top_logprobs": told if count else []})
    return {"content": content, "refusal": None}


def _text_logprobs(body: Body, pieces: Sequence[str]) -> dict[str, Any]:
    logs = [_alternatives(body, place, piece, int(body["logprobs"])) for place, piece in enumerate(pieces)]
    return {
        "tokens": list(pieces),
        "token_logprobs": [own[piece] for own, piece in zip(logs, pieces, strict=True)],
        "top_logprobs": logs,
        "text_offset": [sum(map(len, pieces[:place])) for place in range(len(pieces))],
    }


def found(body: Body) -> dict[str, Any]:
    """What the retriever finds, in Search-R1's form."""
    return {
        "result": [
            [
                {
                    "document": {"id": f"{query}/{rank}", "contents": f'"On {query}"\nPassage {rank} on {query}.'},
                    "score": 1 / (1 + rank),
                }
                for rank in range(body.get("topk", 3))
            ]
            for query in body["queries"]
        ]
    }
