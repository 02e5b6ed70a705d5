"""A server that speaks OpenAI's protocol, asked through the official `openai` client: one attempt, and what went wrong as a `Trouble`.

The client's own retries are off, redirects are not followed (the key is for the host that was named), and a body larger than 64 MiB, or a
compressed one, which could become any size, is not read.
"""

import asyncio
import json
import weakref
from collections.abc import AsyncIterator, Mapping
from importlib.util import find_spec
from typing import Any, Literal

import httpx2

from swirl.errors import ConfigError, MissingExtra
from swirl.services import ServerConfig
from swirl.services.faults import Fault, Trouble, opening, trouble_of_status
from swirl.services.secrets import redact_log, redacted, secret

LARGEST_REPLY = 64 * 2**20
"""Bytes of a reply at most."""

Api = Literal["chat", "completions"]

_NO_KEY = "none"


class Rejected(Trouble):
    """A request that the server finds fault with (400, 413, 422): why, the parameter that it names, and its own kind of error."""

    def __init__(self, status: int, said: str, parameter: str = "", code: str = "") -> None:
        trouble = trouble_of_status(status, said)
        super().__init__(trouble.fault, trouble.problem)
        self.said = said
        self.parameter = parameter
        self.code = code


class Server:
    """The connection. Used on the event loop alone; what it holds is given back once nobody uses it any more."""

    def __init__(self, config: ServerConfig, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        """`transport` takes the place of the network in tests. Raises `MissingExtra` where the client is not installed."""
        if find_spec("openai") is None:
            raise MissingExtra(
                "a model server needs the extra `services` (openai missing): pip install 'swirl-rl[services]'"
            )
        self.config = config
        redact_log("httpx2")
        self._key = secret(config.key)
        if not (self._key.isascii() and self._key.isprintable()):
            raise ConfigError(f"the key in ${config.key} holds signs that no key has; see what is set there")
        self._transport = transport
        self._client: Any = None

    async def post(self, api: Api, body: Mapping[str, Any]) -> Any:
        """The JSON of a reply, whatever its shape. Raises `Trouble` where the attempt fails, `Rejected` where the server finds fault with
        the request."""
        import openai

        if self._client is None:
            with opening():
                self._client = self._open()
        path = self._client.chat.completions if api == "chat" else self._client.completions
        needed = {"model": body["model"], "messages" if api == "chat" else "prompt": None}
        try:
            reply = await path.with_raw_response.create(**needed, extra_body=dict(body), extra_headers=self._headers())
        except openai.APIStatusError as error:
            raise _trouble_of_reply(error.response, "" if self._key else self.config.key) from None
        except openai.APITimeoutError as error:
            raise self._too_slow(error.__cause__) from None
        except openai.APIConnectionError as error:
            raise Trouble(Fault.DOWN, _reason(error.__cause__), again=True) from None
        except openai.OpenAIError as error:
            raise Trouble(Fault.DOWN, type(error).__name__, again=True) from None
        return _parsed(reply.http_response)

    def _open(self) -> Any:
        import openai

        limits, config = httpx2.Limits(max_keepalive_connections=self.config.concurrency), self.config
        timeout = httpx2.Timeout(config.read_timeout, connect=config.connect_timeout, pool=None)
        connection = httpx2.AsyncClient(
            timeout=timeout,
            limits=limits,
            follow_redirects=False,
            transport=self._transport,
            event_hooks={"response": [_bound]},
        )
        client = openai.AsyncOpenAI(
            base_url=config.url,
            api_key=self._key or _NO_KEY,
            max_retries=0,
            timeout=timeout,
            http_client=connection,
        )
        weakref.finalize(self, _close, connection, asyncio.get_running_loop()).atexit = False
        return client

    def _headers(self) -> dict[str, Any]:
        from openai import Omit

        return {"Accept-Encoding": "identity", **({} if self._key else {"Authorization": Omit()})}

    def _too_slow(self, cause: BaseException | None) -> Trouble:
        if isinstance(cause, httpx2.ConnectTimeout):
            problem = f"there was no connection within {self.config.connect_timeout:g} s"
            return Trouble(Fault.DOWN, problem, again=True)
        problem = f"it was silent for {self.config.read_timeout:g} s"
        return Trouble(Fault.TIMED_OUT, problem, again=True)


def _close(connection: httpx2.AsyncClient, loop: asyncio.AbstractEventLoop) -> None:
    if loop.is_running():
        asyncio.run_coroutine_threadsafe(connection.aclose(), loop)


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = 0
        async for part in self._stream:
            total += len(part)
            if total > LARGEST_REPLY:
                raise Trouble(Fault.DOWN, f"it answered with over {LARGEST_REPLY // 2**20} MiB", again=True)
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _bound(response: httpx2.Response) -> None:
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("identity", ""):
        raise Trouble(Fault.DOWN, "it answered compressed, which was not asked for", again=True)
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Bounded(response.stream)


def _trouble_of_reply(response: httpx2.Response, unset: str) -> Trouble:
    """`unset` is the environment variable that holds no key, where that is why none was sent."""
    status = response.status_code
    if status == 401 and unset:
        return Trouble(Fault.UNUSABLE, f"it answered 401: no key was sent, for ${unset} is not set")
    if 300 <= status < 400:
        return Trouble(Fault.UNUSABLE, f"it answered {status}: it sends requests elsewhere, which is not followed")
    said, parameter, code = _explanation(response)
    if code == "insufficient_quota":
        return Trouble(Fault.UNUSABLE, f"it answered {status}: the account's quota is used up")
    if status in (400, 413, 422):
        return Rejected(status, said, parameter, code)
    return trouble_of_status(status, said, response.headers.get("Retry-After", ""))


def _explanation(response: httpx2.Response) -> tuple[str, str, str]:
    """What the server says went wrong, the parameter that it names, and its code; empty where it does not tell."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        kind = response.headers.get("Content-Type", "")
        return ("", "", "") if "html" in kind else (redacted(response.content[:500].decode(errors="replace")), "", "")
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return redacted(_text(error)), "", ""
    said = error.get("message") or error.get("detail") or ""
    return redacted(_text(said)), _text(error.get("param") or ""), _text(error.get("code") or error.get("type") or "")


def _text(value: object) -> str:
    return (value if isinstance(value, str) else repr(value))[:2000].encode(errors="replace").decode()


def _parsed(response: httpx2.Response) -> Any:
    kind = response.headers.get("Content-Type", "application/json").partition(";")[0].strip().lower()
    if not kind.endswith("json"):
        raise Trouble(Fault.DOWN, f"expected JSON, found {redacted(_text(kind))[:60]!r}", again=True)
    try:
        return _clean(json.loads(response.content))
    except (ValueError, RecursionError):
        raise Trouble(Fault.DOWN, "its reply is no valid JSON", again=True) from None


def _clean(value: Any) -> Any:
    """Without secrets, and of texts that UTF-8 can hold alone: JSON can escape half of a character."""
    return json.loads(redacted(json.dumps(value, ensure_ascii=False)).encode(errors="replace"))


def _reason(error: BaseException | None) -> str:
    """What went wrong on the way, in a few words that quote nothing of the request."""
    if isinstance(error, httpx2.ConnectError):
        return "there is no connection"
    if isinstance(error, httpx2.RemoteProtocolError | httpx2.ReadError | httpx2.WriteError):
        return "the connection was lost before its reply was there"
    return type(error).__name__ if error else "there is no connection"
