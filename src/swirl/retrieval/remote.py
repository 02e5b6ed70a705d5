"""A retriever that runs elsewhere, asked over HTTP in Search-R1's protocol.

    POST {"queries": ["..."], "topk": 3, "return_scores": true}
    ->   {"result": [[{"document": {"id": "7", "contents": "\\"Title\\"\\ntext"}, "score": 0.9}, ...], ...]}

A list of passages a query, best first. A document may also have `title` and `text` in place of `contents`, and stand there without a
score. What fails for a while (no connection, no answer in time, status 429 or 5xx) is asked again after longer and longer waits, or after
as long as the service says (Retry-After); what fails for good is a `ToolFailure` that names the service without the secrets in its address.
"""

import hashlib
import json
import os
import random
import re
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, IncompleteRead, InvalidURL
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, quote, unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from swirl.errors import ConfigError, ToolFailure
from swirl.retrieval import Hit
from swirl.retrieval.sources import titled
from swirl.types import Passage

_LONGEST_WAIT = 60.0
_LARGEST_REPLY = 64 * 2**20
_BUSY = (408, 425, 429)
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_WRITTEN = "%!#$&'()*+,/:;=?@[]~"
"""What an address may hold as it is, beside letters and digits."""


class _Staying(HTTPRedirectHandler):
    """Goes nowhere else: what is secret is for the service that was named."""

    def redirect_request(self, *given: Any) -> None:
        return None


_OPENER = build_opener(_Staying)


class Remote:
    """The retriever."""

    def __init__(
        self, url: str, *, timeout: float = 30.0, retries: int = 4, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        self.name = f"{parts.scheme}://{_filled_in(host)}{parts.path}"
        """The address without its secrets: its login and query left out, variables in its path not filled in."""
        self._url = quote(_filled_in(parts._replace(netloc=host).geturl()), safe=_WRITTEN)
        self._headers = {"Content-Type": "application/json", "Accept": "application/json", **_login(parts)}
        self._timeout = timeout
        self._retries = retries
        self._sleep = sleep

    def retrieve(self, queries: Sequence[str], k: int, scopes: Sequence[tuple[str, ...]]) -> list[list[Hit] | None]:
        """A scope cannot be told to a service: `ConfigError` where there is one."""
        if any(scopes):
            raise ConfigError(
                f"{self.name} searches all of its corpus, and these questions are to be searched in their own passages;"
                ' set search.scope = "corpus"'
            )
        asked = [query for query in queries if query.strip()]
        results = iter(self._ask(asked, k) if asked else [])
        return [self._hits(next(results), k) if query.strip() else None for query in queries]

    def _ask(self, queries: Sequence[str], k: int) -> list[Any]:
        body = json.dumps({"queries": queries, "topk": k, "return_scores": True}).encode()
        reply = self._parsed(self._post(body))
        results = reply.get("result") if isinstance(reply, dict) else None
        if not isinstance(results, list) or len(results) != len(queries):
            found = f"{len(results)} of them" if isinstance(results, list) else _shown(reply)
            raise self._failure(f"expected `result` with {len(queries)} lists of passages, found {found}")
        return results

    def _post(self, body: bytes) -> bytes:
        for attempt in range(self._retries + 1):
            try:
                return self._send(Request(self._url, body, self._headers))
            except HTTPError as error:
                with error:
                    problem = f"it answered {error.code} {error.reason}"
                    asked_for = _retry_after(error.headers.get("Retry-After", "").strip())
                if error.code < 500 and error.code not in _BUSY:
                    raise self._failure(problem) from None
            except InvalidURL as error:
                raise self._failure(str(error)) from None
            except (URLError, OSError, HTTPException) as error:
                problem, asked_for = _reason(error), None
            if attempt < self._retries:
                self._sleep(wait(attempt) if asked_for is None else min(asked_for, _LONGEST_WAIT))
        raise self._failure(f"{problem}, {self._retries + 1} times" if self._retries else problem)

    def _send(self, request: Request) -> bytes:
        with _OPENER.open(request, timeout=self._timeout) as reply:
            content: bytes = reply.read(_LARGEST_REPLY + 1)
            if len(content) > _LARGEST_REPLY:
                raise self._failure(f"it answered with over {_LARGEST_REPLY // 2**20} MiB")
            if reply.length:
                raise IncompleteRead(content, reply.length)
            return content

    def _parsed(self, content: bytes) -> Any:
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise self._failure(f"expected JSON, found {content[:40]!r}") from None

    def _hits(self, result: Any, k: int) -> list[Hit]:
        if not isinstance(result, list):
            raise self._failure(f"expected a list of passages, found {_shown(result)}")
        return [self._hit(entry) for entry in result[:k]]

    def _hit(self, entry: Any) -> Hit:
        document = entry.get("document", entry) if isinstance(entry, dict) else None
        score = entry.get("score", 0.0) if isinstance(entry, dict) else 0.0
        found = _passage(document) if isinstance(document, dict) else None
        if found is None or isinstance(score, bool) or not isinstance(score, int | float):
            raise self._failure(f"expected a document with `contents`, or `title` and `text`, found {_shown(entry)}")
        return Hit(found, float(score))

    def _failure(self, problem: str) -> ToolFailure:
        return ToolFailure(
            f"the search service at {self.name} cannot be used: {problem}; see whether it runs, and search.url"
        )


def wait(attempt: int) -> float:
    """Seconds before the service is asked again: a half to a whole of 1, 2, 4, ..., at most a minute, so that those who wait do not all
    come back at once.

    >>> 0.5 <= wait(0) <= 1, 4 <= wait(3) <= 8, 30 <= wait(99) <= 60
    (True, True, True)
    """
    return min(2.0 ** min(attempt, 10), _LONGEST_WAIT) * random.uniform(0.5, 1.0)


def _retry_after(said: str) -> float | None:
    """Seconds the service asks us to wait: a number, or until a date.

    >>> _retry_after("3"), _retry_after("soon"), _retry_after("Wed, 21 Oct 2015 07:28:00 GMT")
    (3.0, None, 0.0)
    """
    if said.isdecimal():
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _filled_in(text: str) -> str:
    """With the values of the environment variables it names, whatever signs they hold."""
    unset = [name for name in _VARIABLE.findall(text) if name not in os.environ]
    if unset:
        raise ConfigError(
            f"search.url names an environment variable that is not set, {unset[0]}; set it, or leave it out"
        )
    return _VARIABLE.sub(lambda match: os.environ[match[1]], text)


def _login(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{_filled_in(unquote(parts.username))}:{_filled_in(unquote(parts.password or ''))}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


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


def _reason(error: Exception) -> str:
    """What went wrong on the way, in a few words that quote nothing of the request."""
    inner = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
    if isinstance(inner, TimeoutError):
        return "it did not answer in time"
    if isinstance(inner, ConnectionRefusedError):
        return "nothing listens there"
    return getattr(inner, "strerror", None) or type(inner).__name__


def _shown(value: object) -> str:
    return f"{value!r:.60}"
