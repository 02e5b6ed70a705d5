"""What a server is asked, in OpenAI's words: the body of a request, without what the server is known not to take."""

from collections.abc import Collection
from typing import Any

from msgspec import Struct

from swirl.engine import Sampling
from swirl.policies import Wants
from swirl.policies.native import messages, offer
from swirl.protocol import ANSWER_TAG, Prompt
from swirl.services.ledger import Usage
from swirl.services.server import Api

KEEPING_TAGS = ("include_stop_str_in_output", "no_stop_trim")
"""Asks for the stop string in the text: vLLM's word, and SGLang's."""

PLAINLY = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""From the model's own distribution, whatever the server or the model's generation config prefers: as on this machine."""

OPTIONAL = frozenset(
    [
        *KEEPING_TAGS,
        *PLAINLY,
        "stop",
        "seed",
        "logprobs",
        "top_logprobs",
        "return_token_ids",
        "response_format",
        "parallel_tool_calls",
    ]
)
"""What a request can do without; some servers refuse a request for what they do not know."""

_SEEDS = 2**31


class Asked(Struct, frozen=True, kw_only=True):
    """One request. All that decides the reply."""

    model: str
    api: Api
    prompt: Prompt
    ids: tuple[int, ...] = ()
    """The prompt in token ids, for raw completions."""
    sampling: Sampling
    seed: int
    wants: Wants
    native: bool = False
    """Whether tools are called in the server's own way."""
    records: bool = False
    """Whether token ids and log-probabilities of what is sampled are of use."""

    @property
    def stop(self) -> tuple[str, ...]:
        """Where the text ends. A call in the server's own way ends by itself, and its arguments may hold anything."""
        answer = f"</{ANSWER_TAG}>"
        return tuple(tag for tag in self.sampling.stop if tag == answer or not self.native)

    @property
    def logprobs(self) -> bool:
        """Whether log-probabilities are of use: servers tell them as they were before the temperature, so at 1 alone."""
        return self.records and self.sampling.temperature == 1.0

    @property
    def content(self) -> list[Any]:
        """The prompt as it goes out."""
        if self.api == "completions":
            return list(self.ids)
        if self.native:
            return messages(self.prompt)
        return [{"role": message.role, "content": message.text} for message in self.prompt.messages]

    @property
    def most(self) -> Usage:
        """An estimate of the most tokens that it takes: a token for two bytes of the prompt, which text rarely reaches, and all that the
        reply may have. Not a bound: signs of rare scripts can take a token a byte."""
        texts = [f"{turn.text}{turn.call.raw if turn.call else ''}" for turn in self.prompt.messages]
        read = len(self.ids) or sum(len(text.encode()) // 2 + 8 for text in texts) + 128 * len(self.prompt.tools)
        return Usage(tokens_in=read, tokens_out=self.sampling.max_tokens)


def key_fields(asked: Asked, url: str) -> dict[str, Any]:
    """All that decides a reply, for the store of replies."""
    return {
        "url": url,
        "model": asked.model,
        "api": asked.api,
        "content": asked.content,
        "tools": list(asked.prompt.tools) if asked.native else [],
        "stop": asked.stop,
        "sampling": asked.sampling,
        "seed": asked.seed,
        "wants": asked.wants,
        "records": asked.records,
    }


def body_of(asked: Asked, refused: Collection[str] = ()) -> dict[str, Any]:
    """The body of a request, without what the server refuses.

    Stop strings go out only where the server may leave them in the text. One that does neither would cut the closing tag off.
    """
    sampling = asked.sampling
    body: dict[str, Any] = {
        "model": asked.model,
        "messages" if asked.api == "chat" else "prompt": asked.content,
        "temperature": sampling.temperature,
        "max_completion_tokens" if "max_tokens" in refused else "max_tokens": sampling.max_tokens,
        "seed": asked.seed % _SEEDS,
        **PLAINLY,
        **_stopping(asked, refused),
        **_likeliest(asked),
    }
    if asked.records:
        body["return_token_ids"] = True
    if asked.wants.schema:
        schema = {"name": "reply", "schema": asked.wants.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if asked.native and asked.prompt.tools:
        body |= {"tools": offer(asked.prompt.tools), "parallel_tool_calls": False}
    return {name: value for name, value in body.items() if name not in refused}


def _stopping(asked: Asked, refused: Collection[str]) -> dict[str, Any]:
    if not asked.stop or "stop" in refused or all(word in refused for word in KEEPING_TAGS):
        return {}
    return {"stop": list(asked.stop), **{word: True for word in KEEPING_TAGS}}


def _likeliest(asked: Asked) -> dict[str, Any]:
    number = asked.wants.alternatives
    if not number and not asked.logprobs:
        return {}
    if asked.api == "completions":
        return {"logprobs": number}
    return {"logprobs": True, **({"top_logprobs": number} if number else {})}
