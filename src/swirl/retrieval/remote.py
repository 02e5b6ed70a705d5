"""A retriever that runs elsewhere, asked over HTTP in Search-R1's protocol.

    POST {"queries": ["..."], "topk": 3, "return_scores": true}
    ->   {"result": [[{"document": {"id": "7", "contents": "\\"Title\\"\\ntext"}, "score": 0.9}, ...], ...]}

A list of passages a query, best first. A document may also have `title` and `text` in place of `contents`, and stand there without a
score. It is asked as every service is (`swirl.services.asking`); what fails for good is a `ToolFailure` that names it without the secrets
in its address.
"""

import asyncio
import hashlib
import json
import os
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from swirl.errors import ConfigError, ServiceFailure, ToolFailure
from swirl.retrieval import Hit
from swirl.retrieval.sources import titled
from swirl.services import Limits
from swirl.services.asking import Service
from swirl.services.faults import Fault, Trouble, opening, trouble_of_status
from swirl.services.ledger import Ledger, Usage
from swirl.services.loop import wait_for
from swirl.services.secrets import keep_secret, redact_log, redacted, secret
from swirl.types import Passage

if TYPE_CHECKING:
    import ssl

_LARGEST_REPLY = 64 * 2**20
_LARGEST_SCORE = 1e300
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_WRITTEN = "%!#$&'()*+,/:;=?@[]~"
"""What an address may hold as it is, beside letters and digits."""


class Remote:
    """The retriever. Several threads may use one at once, but not the event loop's own."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 30.0,
        retries: int = 4,
        ledger: Ledger | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        self.name = f"{parts.scheme}://{_filled_in(host)}{parts.path}"
        """The address without its secrets: its login and query left out, variables in its path not filled in."""
        redact_log("httpx2")
        address = parts._replace(netloc=host).geturl()
        _hide(address.removeprefix(f"{parts.scheme}://{host}"))
        self._url = quote(_filled_in(address), safe=_WRITTEN)
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            **_login(parts),
        }
        self._timeout = timeout
        self._service = Service(
            f"the search service at {self.name}",
            Limits(connect_timeout=timeout, read_timeout=timeout, timeout=timeout, retries=retries),
            ledger or Ledger(),
            role="search",
            advice="see whether it runs, and search.url",
            sleep=sleep,
        )

    def retrieve(self, queries: Sequence[str], k: int, scopes: Sequence[tuple[str, ...]]) -> list[list[Hit] | None]:
        """A scope cannot be told to a service: `ConfigError` where there is one."""
        if any(scopes):
            raise ConfigError(
                f"{self.name} searches all of its corpus, and these questions are to be searched in their own passages;"
                ' set search.scope = "corpus"'
            )
        asked = [query for query in queries if query.strip()]
        results = iter(self._ask(asked, k) if asked else [])
        return [next(results) if query.strip() else None for query in queries]

    def _ask(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        try:
            return wait_for(self._service.ask(partial(self._send, queries, k)))
        except ServiceFailure as failure:
            raise ToolFailure(str(failure)) from None

    async def _send(self, queries: Sequence[str], k: int) -> tuple[list[list[Hit]], Usage]:
        import httpx2

        body = json.dumps({"queries": queries, "topk": k, "return_scores": True}).encode()
        with opening():
            client = httpx2.AsyncClient(timeout=self._timeout, verify=_certificates())
        try:
            async with client, client.stream("POST", self._url, content=body, headers=self._headers) as reply:
                if reply.status_code != HTTPStatus.OK:
                    raise trouble_of_status(
                        reply.status_code, _phrase(reply.status_code), reply.headers.get("Retry-After", "")
                    )
                content = bytearray()
                async for part in reply.aiter_raw():
                    content += part
                    if len(content) > _LARGEST_REPLY:
                        raise Trouble(Fault.DOWN, f"it answered with over {_LARGEST_REPLY // 2**20} MiB")
        except httpx2.TimeoutException:
            raise Trouble(Fault.TIMED_OUT, "it did not answer in time", again=True) from None
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
            raise Trouble(Fault.UNUSABLE, f"it cannot be asked at this address ({error})") from None
        except httpx2.HTTPError as error:
            raise Trouble(Fault.DOWN, _reason(error), again=True) from None
        return [_hits(result, k) for result in _results(bytes(content), len(queries))], Usage()


@cache
def _certificates() -> "ssl.SSLContext":
    """Made once: it takes longer than a request to a service nearby."""
    import httpx2

    return httpx2.create_ssl_context()


def _phrase(status: int) -> str:
    """The standard's words for a status, not the service's own: these might hold anything."""
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""


def _reason(error: BaseException) -> str:
    """What went wrong on the way, in a few words that quote nothing of the request."""
    causes = [error]
    while (inner := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(inner)
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "nothing listens there"
    said = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
    return said[-1] if said else f"the connection broke off ({type(error).__name__})"


def _results(content: bytes, num_queries: int) -> list[Any]:
    """What was found for each query, as it was told."""
    try:
        reply = json.loads(content)
    except (ValueError, RecursionError):
        raise Trouble(Fault.DOWN, f"expected JSON, found {_shown(content[:1000])}") from None
    results = reply.get("result") if isinstance(reply, dict) else None
    if not isinstance(results, list) or len(results) != num_queries:
        found = f"{len(results)} of them" if isinstance(results, list) else _shown(reply)
        raise Trouble(Fault.DOWN, f"expected `result` with {num_queries} lists of passages, found {found}")
    return results


def _hits(result: Any, k: int) -> list[Hit]:
    if not isinstance(result, list):
        raise Trouble(Fault.DOWN, f"expected a list of passages, found {_shown(result)}")
    return [_hit(entry) for entry in result[:k]]


def _hit(entry: Any) -> Hit:
    document = entry.get("document", entry) if isinstance(entry, dict) else None
    score = entry.get("score", 0.0) if isinstance(entry, dict) else 0.0
    found = _passage(document) if isinstance(document, dict) else None
    known = isinstance(score, int | float) and not isinstance(score, bool) and -_LARGEST_SCORE < score < _LARGEST_SCORE
    if found is None or not known:
        problem = f"expected a document with `contents`, or `title` and `text`, found {_shown(entry)}"
        raise Trouble(Fault.DOWN, problem)
    return Hit(found, float(score))


def _filled_in(text: str) -> str:
    """With the values of the environment variables it names, whatever signs they hold."""
    unset = [name for name in _VARIABLE.findall(text) if name not in os.environ]
    if unset:
        raise ConfigError(
            f"search.url names an environment variable that is not set, {unset[0]}; set it, or leave it out"
        )
    return _VARIABLE.sub(lambda match: os.environ[match[1]], text)


def _hide(text: str) -> None:
    """Whatever the variables in it hold is told to nobody else."""
    for name in _VARIABLE.findall(text):
        keep_secret(quote(secret(name), safe=_WRITTEN))


def _login(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{_filled_in(unquote(parts.username))}:{_filled_in(unquote(parts.password or ''))}"
    _hide(f"{unquote(parts.username)} {unquote(parts.password or '')}")
    told = b64encode(pair.encode()).decode()
    keep_secret(told)
    return {"Authorization": f"Basic {told}"}


def _passage(document: Mapping[str, Any]) -> Passage | None:
    """A document as a passage; one without an id gets one made of what it says."""
    if isinstance(document.get("text"), str):
        title, text = document.get("title") or "", document["text"]
    elif isinstance(document.get("contents"), str):
        title, text = titled(document["contents"])
    else:
        return None
    title, text = _readable(str(title)).strip(), _readable(text).strip()
    name = document.get("id", document.get("_id"))
    if isinstance(name, bool) or not isinstance(name, str | int):
        name = hashlib.sha256(f"{title}\n{text}".encode()).hexdigest()[:16]
    return Passage(_readable(str(name)), title, text)


def _readable(text: str) -> str:
    """A text that UTF-8 can hold: JSON can escape half of a character."""
    return text.encode(errors="replace").decode()


def _shown(value: object) -> str:
    """The beginning of it; secrets are blacked out first, for half of one could not be found."""
    return f"{redacted(repr(value)):.60}"
