"""A server that fails as real ones do, on real sockets: at given rates, by a hash of the request, counting what it was asked.

In this process, in a thread:                    with serving(Plan(rates={"500": 0.3})) as server: ... server.url, server.log
In a process of its own, outliving its client:   with serving_apart(folder, "--rates", '{"500": 0.3}') as url: ... GET /log
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

import server_replies
from server_faults import Exchange, send_badly, send_error, tampered
from server_plan import ERRORS, TAMPERED, WIRE, Latency, Log, Plan, Request
from server_replies import Body, completion, digest, found, refusal_of


class App:
    """The server as an ASGI application."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.log = Log()
        self.connections: dict[Any, Any] = {}
        self._attempts: Counter[str] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        raw, more = b"", True
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            raw, more = raw + event.get("body", b""), event.get("more_body", False)
        content = json.loads(raw or b"{}")
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        record = self._record(scope["path"], content, headers)
        transport = self.connections.get(tuple(scope["client"]))
        exchange = Exchange(self.plan, record, content, headers, receive, send, transport)
        if record.path in ("/log", "/reset"):
            return await self._about_itself(exchange)
        try:
            self._count(record)
            await self._answer(exchange)
        finally:
            self.log.in_flight -= 1
            await exchange.end()

    def _record(self, path: str, content: Body, headers: Mapping[str, str]) -> Request:
        name = digest({"path": path, "body": content})
        return Request(
            path, name, 0, "", not self.plan.key or headers.get("authorization") == f"Bearer {self.plan.key}", 0
        )

    def _count(self, record: Request) -> None:
        self._attempts[record.body] += 1
        self.log.in_flight += 1
        self.log.most_in_flight = max(self.log.most_in_flight, self.log.in_flight)
        record.attempt, record.in_flight = self._attempts[record.body], self.log.in_flight
        record.fault = self.plan.fault(record.body, record.attempt)
        self.log.requests.append(record)

    async def _answer(self, exchange: Exchange) -> None:
        record, plan = exchange.record, self.plan
        if len(self.log.requests) > plan.max_requests:
            record.fault = "over the limit"
            return await exchange.whole(500, {"error": {"message": f"more than {plan.max_requests} requests"}})
        late = plan.latency.seconds(plan.seed, record.body, record.attempt)
        if late and not await exchange.wait(late):
            return None
        if not record.authorised:
            return await exchange.whole(
                401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}
            )
        if record.fault in ERRORS:
            return await send_error(exchange, record.fault)
        status, answer = self._good(record.path, exchange.content)
        if status == 200 and record.fault in TAMPERED:
            answer = tampered(record.fault, answer)
        if status == 200 and record.fault in WIRE:
            return await send_badly(exchange, record.fault, json.dumps(answer).encode())
        return await exchange.whole(status, answer)

    def _good(self, path: str, content: Body) -> tuple[int, dict[str, Any]]:
        if path == "/v1/models":
            return 200, {"object": "list", "data": [{"id": "model", "object": "model", "owned_by": "nobody"}]}
        if path == "/retrieve":
            return 200, found(content)
        if path not in ("/v1/chat/completions", "/v1/completions"):
            return 404, {"detail": "Not Found"}
        refused = refusal_of(content, self.plan.dialect)
        chat = path == "/v1/chat/completions"
        return refused or (200, completion(content, self.plan.reply, self.plan.dialect, chat=chat))

    async def _about_itself(self, exchange: Exchange) -> None:
        """/log tells the log; /reset empties it, and takes new rates where it is given some."""
        told = asdict(self.log)
        if exchange.record.path == "/reset":
            self.log.requests.clear()
            self.log.most_in_flight = self.log.in_flight
            self._attempts.clear()
            self.plan = replace(self.plan, rates=exchange.content.get("rates", self.plan.rates))
        await exchange.whole(200, told)

    def hang_up(self) -> None:
        """Drop every connection."""
        for transport in self.connections.values():
            transport.abort()


def _server(app: App) -> uvicorn.Server:
    class Protocol(H11Protocol):
        """Lets the application reach the connection under a request."""

        def connection_made(self, transport: Any) -> None:  # type: ignore[override]
            self.peer = transport.get_extra_info("peername")
            app.connections[self.peer] = transport
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            app.connections.pop(self.peer, None)
            super().connection_lost(exc)

    return uvicorn.Server(
        uvicorn.Config(
            app, http=Protocol, loop="asyncio", lifespan="off", log_config=None, log_level="critical", access_log=False
        )
    )


def _listening() -> socket.socket:
    """Says that it is TCP, or asyncio would leave Nagle's algorithm on, and each answer would wait 40 ms for an acknowledgement."""
    here = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    here.bind(("127.0.0.1", 0))
    here.listen(2048)
    return here


@dataclass
class Serving:
    """A server at work; `url` has no path."""

    url: str
    log: Log
    app: App
    stop: Callable[[], None]
    """Drops every connection, and ends it."""


@contextmanager
def serving(plan: Plan | None = None, **options: Any) -> Iterator[Serving]:
    """A server in a thread of this process: `serving(Plan(...))`, or `serving(rates=...)`."""
    app = App(plan or Plan(**options))
    server = _server(app)
    here = _listening()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await server.serve(sockets=[here])

    def stop() -> None:
        server.should_exit = True
        if thread.is_alive():
            loops[0].call_soon_threadsafe(app.hang_up)
        thread.join()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="faulty server")
    thread.start()
    with closing(here):
        while not server.started and thread.is_alive():
            time.sleep(0.002)
        try:
            yield Serving(f"http://127.0.0.1:{here.getsockname()[1]}", app.log, app, stop)
        finally:
            stop()


@contextmanager
def serving_apart(folder: Path, *words: str) -> Iterator[str]:
    """A server in a process of its own, by its address; `words` as on the command line."""
    told = folder / "port"
    with subprocess.Popen([sys.executable, __file__, "--port-file", str(told), *words]) as process:
        try:
            while not told.exists():
                assert process.poll() is None, f"the faulty server ended with {process.returncode}"
                time.sleep(0.01)
            yield f"http://127.0.0.1:{told.read_text()}"
        finally:
            process.terminate()


def _plan(words: argparse.Namespace) -> Plan:
    return Plan(
        rates=json.loads(words.rates),
        seed=words.seed,
        permanent=words.permanent,
        dialect=getattr(server_replies, words.dialect.upper()),
        latency=Latency(**json.loads(words.latency)),
        key=os.environ.get(words.key_from, ""),
        retry_after=words.retry_after,
        max_requests=words.max_requests,
    )


def main() -> None:
    """Serve until terminated, or for so many seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port-file", type=Path, required=True, help="gets the port, once it can be asked")
    parser.add_argument("--rates", default="{}", help="JSON: fault to share")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--permanent", action="store_true", help="what failed once fails each time")
    parser.add_argument("--dialect", default="vllm", help="openai, vllm, sglang, llama_cpp, ollama or transformers")
    parser.add_argument("--latency", default="{}", help="JSON: base, jitter, tail_share, tail")
    parser.add_argument("--key-from", default="", help="the environment variable that holds the key asked for")
    parser.add_argument("--retry-after", type=float, default=0.0)
    parser.add_argument("--max-requests", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=900.0, help="ends by itself after that")
    words = parser.parse_args()
    app = App(_plan(words))
    server = _server(app)

    async def serve() -> None:
        asyncio.get_running_loop().call_later(words.seconds, server.handle_exit, 15, None)
        await server.serve(sockets=[here])

    with closing(_listening()) as here:
        partial = words.port_file.with_suffix(".partial")
        partial.write_text(str(here.getsockname()[1]))
        partial.replace(words.port_file)
        asyncio.run(serve())


if __name__ == "__main__":
    main()
