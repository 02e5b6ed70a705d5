"""A request and the way back, and all that can happen on it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from server_plan import ERRORS, Plan, Request


@dataclass
class Exchange:
    """A request and the way back."""

    plan: Plan
    record: Request
    content: Any
    headers: Mapping[str, str]
    receive: Callable[[], Awaitable[Any]]
    send: Callable[[Any], Awaitable[None]]
    transport: Any
    _gone: asyncio.Task[Any] | None = None

    async def wait(self, seconds: float) -> bool:
        """Whether the client is still there after that."""
        if self._gone is None:
            self._gone = asyncio.create_task(self.receive())  # type: ignore[arg-type]
        done, _ = await asyncio.wait({self._gone}, timeout=seconds)
        return not done

    async def end(self) -> None:
        """Ask no more whether the client is there."""
        if self._gone is not None:
            self._gone.cancel()
            await asyncio.wait({self._gone})

    async def start(self, status: int, length: int | None, kind: str = "application/json", **headers: str) -> None:
        """Send the status and headers; a length of None sends chunks."""
        told = {"content-type": kind, **({} if length is None else {"content-length": str(length)}), **headers}
        pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in told.items()]
        self.record.status = status
        await self.send({"type": "http.response.start", "status": status, "headers": pairs})

    async def part(self, content: bytes, *, more: bool = False) -> None:
        """Send some of the body."""
        await self.send({"type": "http.response.body", "body": content, "more_body": more})
        self.record.answered = self.record.answered or not more

    async def whole(self, status: int, content: Any, kind: str = "application/json", **headers: str) -> None:
        """Send an answer."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        await self.start(status, len(body), kind, **headers)
        await self.part(body)

    async def hang_up(self, *, at_once: bool) -> None:
        """Close the connection: without what is still to be sent, or after it."""
        self.transport.abort() if at_once else self.transport.close()
        while await self.wait(60):
            pass


async def send_error(exchange: Exchange, kind: str) -> None:
    """Answer with one of `ERRORS`."""
    status, after = ERRORS[kind], exchange.plan.retry_after
    waits = {"429": f"{after:g}", "429_date": formatdate(time.time() + after, usegmt=True)}
    headers = {"retry_after": waits[kind]} if kind in waits else {}
    said = f" to {exchange.headers.get('authorization', 'nobody')}" if kind == "echo" else ""
    await exchange.whole(status, {"error": {"message": f"planned {status}{said}", "type": "planned"}}, **headers)


async def _drip(exchange: Exchange, body: bytes, kind: str) -> None:
    await exchange.start(200, len(body) if kind == "drip" else None)
    while kind == "drip_on" and await exchange.wait(max(exchange.plan.pause, 0.005)):
        await exchange.part(b" ", more=True)
    for place in range(len(body)):
        if not await exchange.wait(exchange.plan.pause):
            return
        await exchange.part(body[place : place + 1], more=place + 1 < len(body))


async def send_badly(exchange: Exchange, kind: str, body: bytes) -> None:
    """Answer well, and let one of `WIRE` happen to it."""
    if kind == "slow" and await exchange.wait(exchange.plan.slow):
        await exchange.whole(200, body)
    elif kind in ("drip", "drip_on"):
        await _drip(exchange, body, kind)
    elif kind == "cut":
        await exchange.whole(200, body[: len(body) // 2])
    elif kind == "html":
        await exchange.whole(200, b"<html><body><h1>Bad gateway</h1></body></html>", "text/html")
    elif kind == "closed":
        await exchange.start(200, len(body))
        await exchange.part(body[: len(body) // 2], more=True)
        await exchange.hang_up(at_once=False)
    elif kind == "dropped":
        await exchange.hang_up(at_once=True)


def tampered(kind: str, answer: dict[str, Any]) -> dict[str, Any]:
    """A well-formed answer of which nothing can be made; what a retriever says becomes an empty list."""
    if "choices" not in answer:
        return {"result": []}
    if kind == "no_choices":
        return {**answer, "choices": []}
    changes: dict[str, Any] = {
        "nonsense": {"content": "Colourless green ideas sleep furiously."},
        "null_content": {"content": None, "tool_calls": None},
        "content_filter": {"content": None, "tool_calls": None},
        "refusal": {"content": None, "tool_calls": None, "refusal": "I cannot help with that."},
    }
    filtered = {"finish_reason": "content_filter"} if kind == "content_filter" else {}
    return {**answer, "choices": [_changed(choice, changes[kind]) | filtered for choice in answer["choices"]]}


def _changed(choice: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    if "message" in choice:
        return {**choice, "logprobs": None, "message": {**choice["message"], **fields}}
    return {**choice, "logprobs": None, "text": fields["content"]}
