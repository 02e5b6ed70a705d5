"""A service elsewhere: Search-R1's protocol, patience with what passes, one sentence for what does not, and no secret in it."""

import json
import logging
import threading
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from corpora import names
from swirl.errors import ConfigError, ToolFailure
from swirl.records import read
from swirl.retrieval import SearchConfig, remote
from swirl.retrieval.remote import Remote
from swirl.services.ledger import Ledger, Request
from swirl.services.loop import wait_for
from swirl.tools import ToolInput
from swirl.tools.search import Search

DOCUMENT = {"id": "7", "contents": '"Port Lumen"\nA harbour town.'}


@dataclass
class Service:
    """A retriever on this machine that gives the answers it was told to, in turn, the last one again and again."""

    url: str = ""
    answers: list[tuple[int, Any, dict[str, str]]] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def says(self, content: Any, status: int = 200, **headers: str) -> None:
        self.answers.append((status, content, {name.replace("_", "-"): value for name, value in headers.items()}))


@pytest.fixture
def service() -> Iterator[Service]:
    told = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            told.headers.append(dict(self.headers))
            told.paths.append(self.path)
            status, content, headers = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) + {b"cut off": 9, b"dripping": 10**6}.get(body, 0)))
            self.end_headers()
            self.wfile.write(body)
            with suppress(OSError):
                while content == b"dripping" and not told.closing.wait(0.01):
                    self.wfile.write(b" ")

        def log_message(self, *given: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}/retrieve"
    yield told
    told.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_asks_and_reads_as_search_r1_does(service: Service) -> None:
    service.says({"result": [[{"document": DOCUMENT, "score": 0.5}], []]})
    first, blank, second = Remote(service.url).retrieve(["harbour", " ", "zebra"], 3, [(), (), ()])
    assert service.requests == [{"queries": ["harbour", "zebra"], "topk": 3, "return_scores": True}]
    assert first is not None
    [(passage, score)] = first
    assert (passage.id, passage.title, passage.text, score) == ("7", "Port Lumen", "A harbour town.", 0.5)
    assert blank is None
    assert second == []


def test_the_tool_shows_what_it_found(service: Service) -> None:
    service.says({"result": [[{"document": {"title": "Port Lumen", "text": "A town."}}, {"document": DOCUMENT}]]})
    [observation] = Search(Remote(service.url)).run([ToolInput("harbour")])
    assert observation.text == "Port Lumen: A town."
    assert len(observation.passages) == 1


def test_documents_without_scores_or_ids_are_passages_too(service: Service) -> None:
    """Search-R1's own reply where no scores are asked for."""
    bare = {"contents": DOCUMENT["contents"]}
    service.says({"result": [[DOCUMENT, bare, bare]]})
    [found] = Remote(service.url).retrieve(["harbour"], 3, [()])
    seven, same, again = names(found) or []
    assert seven == "7"
    assert same == again != seven


def test_no_more_is_shown_than_was_asked_for(service: Service) -> None:
    service.says({"result": [[{"document": DOCUMENT, "score": 1}] * 5]})
    [found] = Remote(service.url).retrieve(["harbour"], 2, [()])
    assert len(found or []) == 2


def noting(waits: list[float]) -> Callable[[float], Awaitable[None]]:
    """A wait that takes no time."""

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    return sleep


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_waited_for_longer_and_longer(service: Service, status: int) -> None:
    for _ in range(3):
        service.says({}, status)
    service.says({"result": [[]]})
    waits: list[float] = []
    assert Remote(service.url, sleep=noting(waits)).retrieve(["x"], 1, [()]) == [[]]
    assert [low <= wait <= 2 * low for wait, low in zip(waits, (0.5, 1.0, 2.0), strict=True)] == [True] * 3


def test_it_waits_as_long_as_the_service_says(service: Service) -> None:
    service.says({}, 429, Retry_After="7")
    service.says({}, 503, Retry_After="86400")
    service.says({"result": [[]]})
    waits: list[float] = []
    Remote(service.url, sleep=noting(waits)).retrieve(["x"], 1, [()])
    assert [low <= wait <= low + 1 for wait, low in zip(waits, (7.0, 600.0), strict=True)] == [True] * 2


def test_a_reply_that_breaks_off_is_asked_for_again(service: Service) -> None:
    service.says(b"cut off")
    service.says({"result": [[]]})
    assert Remote(service.url, sleep=noting([])).retrieve(["x"], 1, [()]) == [[]]
    assert len(service.requests) == 2


def test_it_follows_to_no_other_service(service: Service) -> None:
    service.says({}, 302, Location=service.url)
    with pytest.raises(ToolFailure, match="it answered 302: it sends to another address"):
        Remote(service.url).retrieve(["x"], 1, [()])
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("content", "status", "asked", "sentence"),
    [
        ({}, 404, 1, "it answered 404: it knows no such model or address"),
        ({}, 503, 3, r"it answered 503 \(Service Unavailable\), 3 times"),
        (b"<html>", 200, 1, "expected JSON, found b'<html>'"),
        ([], 200, 1, r"expected `result` with 1 lists of passages, found \[\]"),
        ({"result": []}, 200, 1, "expected `result` with 1 lists of passages, found 0 of them"),
        ({"result": ["x"]}, 200, 1, "expected a list of passages, found 'x'"),
        (
            {"result": [[{"document": {"body": "x"}}]]},
            200,
            1,
            "expected a document with `contents`, or `title` and `text`",
        ),
        ({"result": [[{"document": DOCUMENT, "score": "high"}]]}, 200, 1, "expected a document with"),
        ({"result": [[{"document": DOCUMENT, "score": 10**400}]]}, 200, 1, "expected a document with"),
        (b"\x1f\x8b" + b"\x00" * 9, 200, 1, "expected JSON, found b"),
        (b"[" * 100_000, 200, 1, "expected JSON, found"),
        (b"z" * 2000, 200, 1, "it answered with over 0 MiB"),
        ({"result": [[3]]}, 200, 1, "expected a document with .*, found 3"),
    ],
)
def test_what_does_not_pass_is_one_sentence(
    service: Service, content: Any, status: int, asked: int, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content == b"z" * 2000:
        monkeypatch.setattr(remote, "_LARGEST_REPLY", 1999)
    service.says(content, status)
    with pytest.raises(ToolFailure, match=f"the search service at {service.url} cannot be used: {sentence}"):
        Remote(service.url, retries=2, sleep=noting([])).retrieve(["x"], 1, [()])
    assert len(service.requests) == asked


def test_a_reply_that_drips_in_is_given_up_after_all_its_time(service: Service) -> None:
    service.says(b"dripping")
    with pytest.raises(ToolFailure, match=r"its reply was not there after 0\.5 s, 2 times"):
        Remote(service.url, timeout=0.5, retries=1, sleep=noting([])).retrieve(["x"], 1, [()])


def test_several_threads_ask_at_once_and_each_request_is_on_record(service: Service, tmp_path: Path) -> None:
    service.says({"result": [[{"document": DOCUMENT}]]})
    asked = Remote(service.url, ledger=Ledger(tmp_path / "calls.jsonl", "generate"))
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda query: asked.retrieve([query], 1, [()]), [str(i) for i in range(40)]))
    assert all(names(hits) == ["7"] for [hits] in found)
    assert sorted(int(request["queries"][0]) for request in service.requests) == list(range(40))
    noted = list(read(tmp_path / "calls.jsonl", Request))
    assert len(noted) == 40
    assert {(one.stage, one.service, one.status, one.attempts, one.usd) for one in noted} == {
        ("generate", "search", "ok", 1, None)
    }


def test_what_failed_is_on_record_without_the_secrets_that_came_back(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEARCH_PASSWORD", "s3cret/word")
    service.says([b64encode(b"me:s3cret/word").decode(), "x" * 30 + "s3cret/word"])
    url = service.url.replace("http://", "http://me:$SEARCH_PASSWORD@")
    with pytest.raises(ToolFailure, match=r"found .*secret") as failure:
        Remote(url, ledger=Ledger(tmp_path / "calls.jsonl", "generate")).retrieve(["x"], 1, [()])
    told = str(failure.value) + (tmp_path / "calls.jsonl").read_text()
    assert "s3cret" not in told
    assert b64encode(b"me:s3cret/word").decode() not in told
    [noted] = read(tmp_path / "calls.jsonl", Request)
    assert noted.status == "down"


def test_the_event_loop_cannot_wait_for_itself(service: Service) -> None:
    async def ask() -> None:
        Remote(service.url).retrieve(["x"], 1, [()])

    with pytest.raises(RuntimeError, match="was called on it"):
        wait_for(ask())
    assert not service.requests


def test_nothing_listens(service: Service) -> None:
    waits: list[float] = []
    with pytest.raises(ToolFailure, match=r"nothing listens there, 3 times; see whether it runs, and search\.url"):
        Remote("http://127.0.0.1:1/retrieve", retries=2, sleep=noting(waits)).retrieve(["x"], 1, [()])
    assert len(waits) == 2


def test_what_is_asked_once_is_not_counted() -> None:
    with pytest.raises(ToolFailure, match="nothing listens there; see"):
        Remote("http://127.0.0.1:1/retrieve", retries=0).retrieve(["x"], 1, [()])


def test_secrets_are_sent_and_never_told(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCH_PASSWORD", "s3cret")
    monkeypatch.setenv("SEARCH_KEY", "k3y")
    url = service.url.replace("http://", "http://me:$SEARCH_PASSWORD@") + "?key=$SEARCH_KEY"
    service.says({}, 403)
    with pytest.raises(ToolFailure) as failure:
        Remote(SearchConfig(url=url).url).retrieve(["x"], 1, [()])
    assert service.headers[0]["Authorization"] == "Basic bWU6czNjcmV0"
    assert service.url in str(failure.value)
    assert not [secret for secret in ("s3cret", "k3y", "me:") if secret in str(failure.value)]
    monkeypatch.delenv("SEARCH_KEY")
    with pytest.raises(ConfigError, match="names an environment variable that is not set"):
        Remote(url)


@pytest.mark.parametrize("secret", ["planted", "planted a+b", "planted/ü?&"])
def test_a_secret_in_the_address_is_in_no_log_line(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, secret: str
) -> None:
    monkeypatch.setenv("SEARCH_TOKEN", secret)
    service.says({}, status=500)
    with caplog.at_level(logging.DEBUG), pytest.raises(ToolFailure):
        Remote(f"{service.url}/$SEARCH_TOKEN/x?key=$SEARCH_TOKEN", retries=0).retrieve(["who"], 1, [()])
    assert "planted" in service.paths[0]
    assert "HTTP Request: POST" in caplog.text
    assert "planted" not in caplog.text


def test_a_proxy_that_cannot_be_used_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "NO_PROXY", "http_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", "ftp://me:planted-secret@127.0.0.1:1")
    with pytest.raises(ToolFailure, match="no client can be made with the proxy") as failure:
        Remote("http://127.0.0.1:9/", retries=0).retrieve(["who"], 1, [()])
    assert "planted" not in str(failure.value)


@pytest.mark.parametrize("secret", ["a/b@c", "p$x", "ü#?&", "100%"])
def test_a_secret_may_hold_any_sign(service: Service, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("SEARCH_PASSWORD", secret)
    monkeypatch.setenv("SEARCH_PATH", "k3y")
    service.says({}, 403)
    url = service.url.replace("http://", "http://me:$SEARCH_PASSWORD@").replace("retrieve", "$SEARCH_PATH/retrieve")
    with pytest.raises(ToolFailure, match="it answered 403") as failure:
        Remote(SearchConfig(url=url).url).retrieve(["x"], 1, [()])
    assert b64decode(service.headers[0]["Authorization"].removeprefix("Basic ")).decode() == f"me:{secret}"
    assert service.paths == ["/k3y/retrieve"]
    assert not [hidden for hidden in (secret, "k3y", "me:") if hidden in str(failure.value)]


def test_an_address_may_hold_any_letter(service: Service) -> None:
    service.says({"result": [[]]})
    assert Remote(service.url + "/ä b").retrieve(["x"], 1, [()]) == [[]]
    assert service.paths == ["/retrieve/%C3%A4%20b"]


def test_an_address_that_is_none_is_not_asked_again() -> None:
    waits: list[float] = []
    with pytest.raises(ToolFailure, match=r"it cannot be asked at this address \(Invalid port: 'abc'\); see"):
        Remote("http://127.0.0.1:abc/", sleep=noting(waits)).retrieve(["x"], 1, [()])
    assert waits == []


def test_half_a_character_in_a_reply_is_shown_as_a_question_mark(service: Service) -> None:
    service.says({"result": [[{"document": {"title": "Port \ud800", "text": "A town\udc00."}}]]})
    [observation] = Search(Remote(service.url)).run([ToolInput("harbour")])
    assert observation.text == "Port ?: A town?."


def test_a_scope_cannot_be_told_to_a_service(service: Service) -> None:
    with pytest.raises(ConfigError, match=r'searches all of its corpus.*set search\.scope = "corpus"'):
        Remote(service.url).retrieve(["x"], 1, [("p1",)])
    assert not service.requests


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"url": "localhost:8000"}, "must begin with http:// or https://"),
        ({"url": "http://[::1/retrieve"}, "search.url is no address"),
        ({"url": "http://me:s3cret@host/"}, "holds a password or a token, which would be written"),
        ({"url": "http://s3cret@host/"}, "holds a password or a token, which would be written into the run folder"),
        (
            {"url": "http://host/?api_key=s3cret"},
            r"holds a value for 'api_key'.*environment variable.*\?api_key=\$NAME",
        ),
        (
            {"url": "http://host/", "index": "x"},
            "the service decides how it searches, and in what; leave search.index out",
        ),
        ({"url": "http://host/", "engine": "dense"}, "leave search.engine out"),
        ({"url": "http://host/", "scope": "question"}, "needs a corpus at hand"),
        ({"engine": "dense"}, 'search.engine = "dense" needs search.encoder'),
        ({"encoder": "x"}, "search.encoder is for"),
        ({"top_k": 0}, "search.top_k must be at least 1, found 0"),
        ({"max_tokens": 0}, "search.max_tokens must be at least 1, found 0"),
        ({"timeout": 0.0}, "search.timeout must be above 0"),
        ({"retries": -1}, "search.retries 0 or above"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as refusal:
        SearchConfig(**settings)
    assert "s3cret" not in str(refusal.value)
