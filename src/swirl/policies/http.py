"""A model behind a server that speaks OpenAI's protocol, as a policy: vLLM, SGLang, llama.cpp, Ollama, `transformers serve`, OpenAI.

Chat completions, where the server applies its own chat template, or raw completions, where the prompt goes out as the token ids that
training will see. What a server refuses to be asked for (a seed, log-probabilities, stop strings that stay in the text) is left out from
then on; what it does not tell is said once. A prompt that leaves no room for an action ends the trajectory (`Finish.CONTEXT`): exactly so
for raw completions; for chat where the server refuses it, or the tokens that it counts show it.

Differs from a policy on this machine: equal calls give equal completions only where the server keeps to its seed.
"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import httpx2
import msgspec
from msgspec import Struct

from swirl.errors import ConfigError
from swirl.policies import TEXT, Completion, Finish, Sampling, Wants
from swirl.policies.reply import Chat, Reply, read_reply, usage_of
from swirl.policies.request import OPTIONAL, Asked, body_of, key_fields
from swirl.protocol import Prompt
from swirl.services import ServerConfig
from swirl.services.asking import Service
from swirl.services.faults import Fault, Trouble
from swirl.services.ledger import Usage
from swirl.services.loop import as_done
from swirl.services.replies import Replies, request_key
from swirl.services.server import Api, Rejected, Server
from swirl.terminal import say

_TOO_LONG = re.compile(
    r"context.?(length|size|window)|maximum model length|max_model_len|prompt is too long|too many (input )?tokens|"
    r"longer than the (maximum|model)",
    re.IGNORECASE,
)
_UNABLE = re.compile(r"tool choice requires|not support tools|prompt must be a string|unmarshal array", re.IGNORECASE)
"""No native calls (vLLM without its parser, Ollama), no prompts as token ids (`transformers serve`, Ollama)."""
_SETTINGS = ("unsupported_parameter", "unsupported_value", "unknown_parameter", "model_not_found")


class _Stored(Struct, frozen=True):
    completion: Completion
    usage: Usage


class HttpPolicy:
    """The policy. Public functions are synchronous, `ask` runs on the event loop (`swirl.services.loop`)."""

    def __init__(
        self,
        config: ServerConfig,
        model: str,
        service: Service,
        *,
        api: Api = "chat",
        tools: Literal["tags", "native"] = "tags",
        replies: Replies | None = None,
        chat: Chat | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """`model`: how the run calls it; `chat` makes token ids of prompts, which raw completions need; `transport` takes the place of the
        network in tests."""
        if api == "completions" and chat is None:
            raise ConfigError(
                f'{config.SECTION}.api = "completions" needs the tokenizer of {model} on this machine; give its folder in policy.model'
            )
        self.name = f"{config.model or model}@{urlsplit(config.url).hostname}"
        self.in_flight = config.concurrency
        self._url = config.url
        self._model = config.model or model
        self._service = service
        self._api = api
        self._native = tools == "native"
        self._replies = replies
        self._chat = chat if api == "completions" else None
        self._records = service.role == "policy" and (api == "completions" or self._model == model)
        """Token ids of a model that is called otherwise than the run's own may be of another tokenizer."""
        self._server = Server(config, transport)
        self._refused: set[str] = set()
        """What the server is known not to take."""
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Of requests under way: an equal one waits, and finds the reply stored."""
        self._said: set[str] = set()
        """What was said of it already."""

    def complete(
        self, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[Sequence[int]]
    ) -> list[list[Completion]]:
        """Raises `ServiceFailure` where a request fails for good, once those under way have ended."""
        places = [(i, j) for i, own in enumerate(seeds) for j in range(len(own))]

        async def ask(place: tuple[int, int]) -> Completion:
            i, j = place
            return await self.ask(prompts[i], sampling, seeds[i][j])

        found = {places[number]: completion for number, completion in as_done(places, ask, self.in_flight)}
        return [[found[i, j] for j in range(len(own))] for i, own in enumerate(seeds)]

    async def ask(self, prompt: Prompt, sampling: Sampling, seed: int, wants: Wants = TEXT) -> Completion:
        """One completion: the stored one where the same was asked before, else the server's. Raises `ServiceFailure`."""
        ids = tuple(self._chat.context_ids(prompt)) if self._chat else ()
        if ids and len(ids) + sampling.max_tokens > sampling.max_context:
            return Completion(text="", finish=Finish.CONTEXT)
        asked = Asked(
            model=self._model,
            api=self._api,
            prompt=prompt,
            ids=ids,
            sampling=sampling,
            seed=seed,
            wants=wants,
            native=self._native,
            records=self._records,
        )
        if self._replies is None:
            return (await self._asked(asked)).completion
        key = request_key(key_fields(asked, self._url))
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn:
            return await self._once(asked, key, self._replies)

    async def _once(self, asked: Asked, key: str, replies: Replies) -> Completion:
        if (stored := _decoded(replies.get(key))) is not None:
            self._service.ledger.note_stored()
            return stored
        reply = await self._asked(asked)
        if reply.usage != Usage() or reply.completion.finish is not Finish.CONTEXT:
            replies.put(key, msgspec.json.encode(_Stored(reply.completion, reply.usage)))
        return reply.completion

    async def _asked(self, asked: Asked) -> Reply:
        async def send() -> tuple[Reply, Usage]:
            reply = await self._send(asked)
            return reply, reply.usage

        return await self._service.ask(send, asked.most)

    async def _send(self, asked: Asked) -> Reply:
        """One attempt. Where a stop string may have taken a closing tag off, or ended the reasoning, the same is asked without them."""
        reply = await self._post(asked)
        if reply.stripped:
            self._refuse({"stop"})
            with _billed(reply.usage):
                again = await self._post(asked)
            reply = msgspec.structs.replace(again, usage=reply.usage + again.usage)
        self._say(reply.untold)
        return reply

    async def _post(self, asked: Asked) -> Reply:
        """What the server refuses is left out, and the rest asked at once; it is left out from then on where that was the reason."""
        dropped: set[str] = set()
        while True:
            body = body_of(asked, self._refused | dropped)
            try:
                told = await self._server.post(self._api, body)
            except Rejected as rejected:
                if _TOO_LONG.search(f"{rejected.said} {rejected.code}"):
                    return Reply(completion=Completion(text="", finish=Finish.CONTEXT))
                more = _to_drop(rejected, body)
                if not more:
                    raise _for_good(rejected, asked) from None
                dropped |= more
            else:
                self._refuse(dropped)
                with _billed(usage_of(told)):
                    return read_reply(told, asked, stopped="stop" in body, chat=self._chat)

    def _refuse(self, dropped: set[str]) -> None:
        new = dropped - self._refused
        self._refused |= new
        if changing := sorted(new & {"seed", "response_format"}):
            say(f"{self._service.name} does not take {' and '.join(changing)}: replies are had without")

    def _say(self, untold: Sequence[str]) -> None:
        """Say once which of the things that were asked for the server does not tell."""
        new = [name for name in untold if name not in self._said]
        self._said.update(new)
        if new:
            say(f"{self._service.name} tells no {' and no '.join(new)}: none are recorded")


def _decoded(stored: bytes | None) -> Completion | None:
    """A stored reply; None where there is none, or it cannot be read."""
    try:
        return msgspec.json.decode(stored, type=_Stored).completion if stored else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _to_drop(rejected: Rejected, body: dict[str, object]) -> set[str]:
    """What to ask without, after a refusal: the optional parts that it names, else all of them; empty where it is about something else."""
    if "content" in rejected.code and "filter" in rejected.code:
        return set()
    said = f"{rejected.said} {rejected.parameter}"
    if "max_tokens" in body and "max_completion_tokens" in said:
        return {"max_tokens"}
    optional = set(body) & OPTIONAL
    named = {name for name in optional if re.search(rf"\b{name}\b", said)}
    return named or optional


def _for_good(rejected: Rejected, asked: Asked) -> Trouble:
    """A refusal that is about a setting (the model's name, a sampling parameter, native calls, prompts as token ids) would come for every
    request."""
    named = re.search(rf"['\"`]{re.escape(asked.model)}['\"`]", rejected.said)
    if rejected.code in _SETTINGS or named or _UNABLE.search(rejected.said):
        return Trouble(Fault.UNUSABLE, rejected.problem)
    return rejected


@contextmanager
def _billed(usage: Usage) -> Iterator[None]:
    """What goes wrong in here cost these tokens all the same."""
    try:
        yield
    except Trouble as trouble:
        trouble.usage += usage
        raise
