"""The faulty server: each fault is on the wire, at its rate, the same for the same request, and counted."""

import json
import math
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

import server_replies
from faulty_server import serving, serving_apart
from server_plan import FAULTS, HEAVY_TAILED, Latency, Plan
from server_replies import LLAMA_CPP, OPENAI, SGLANG, TRANSFORMERS, VLLM, Said, digest, is_good, scripted
from swirl.retrieval.remote import Remote

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "What is three times five?"}]}
JUDGED = {"model": "m", "messages": [{"role": "user", "content": "Is this step GOOD or BAD?"}]}


def numbered(number: int) -> dict[str, Any]:
    return {**ASKED, "seed": number}


@contextmanager
def client(url: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=url, timeout=30, trust_env=False) as asking:
        yield asking


@contextmanager
def faulty(kind: str, **options: Any) -> Iterator[tuple[httpx2.Client, Any]]:
    with serving(rates={kind: 1.0}, **options) as server, client(server.url) as asking:
        yield asking, server.log


@pytest.mark.parametrize(
    ("kind", "status", "retry_after"),
    [("429", 429, "7"), ("429_bare", 429, None), ("500", 500, None), ("503", 503, None), ("408", 408, None)],
)
def test_a_status_is_sent(kind: str, status: int, retry_after: str | None) -> None:
    with faulty(kind, retry_after=7) as (asking, log):
        reply = asking.post(CHAT, json=ASKED)
    assert (reply.status_code, reply.headers.get("Retry-After")) == (status, retry_after)
    assert [(request.fault, request.status, request.answered) for request in log.requests] == [(kind, status, True)]


def test_retry_after_may_be_a_date() -> None:
    with faulty("429_date", retry_after=100) as (asking, _):
        said = asking.post(CHAT, json=ASKED).headers["Retry-After"]
    assert timedelta(seconds=50) < parsedate_to_datetime(said) - datetime.now(UTC) <= timedelta(seconds=100)


def test_an_error_may_tell_the_key() -> None:
    with faulty("echo") as (asking, _):
        reply = asking.post(CHAT, json=ASKED, headers={"Authorization": "Bearer s3cret"})
    assert reply.status_code == 502
    assert "Bearer s3cret" in reply.text


def test_headers_come_late() -> None:
    with faulty("slow", slow=0.2) as (asking, _):
        start = time.monotonic()
        with asking.stream("POST", CHAT, json=ASKED) as reply:
            assert time.monotonic() - start >= 0.2
            assert json.loads(reply.read())["choices"]


def test_a_body_drips_in_byte_by_byte() -> None:
    with faulty("drip", pause=0.001) as (asking, log):
        with asking.stream("POST", CHAT, json=ASKED) as reply:
            parts = list(reply.iter_raw())
        assert json.loads(b"".join(parts))["choices"]
        assert len(parts) > 20
    assert log.requests[0].answered


def test_a_body_that_never_ends_keeps_every_read_short() -> None:
    with faulty("drip_on") as (asking, log), asking.stream("POST", CHAT, json=ASKED, timeout=5) as reply:
        parts = reply.iter_raw()
        assert {next(parts).strip() for _ in range(10)} == {b""}
    assert [(request.status, request.answered) for request in log.requests] == [(200, False)]


def test_json_breaks_off_at_its_honest_length() -> None:
    with faulty("cut") as (asking, _):
        reply = asking.post(CHAT, json=ASKED)
    assert int(reply.headers["Content-Length"]) == len(reply.content)
    with pytest.raises(json.JSONDecodeError):
        reply.json()


def test_the_connection_closes_before_the_length_is_reached() -> None:
    with faulty("closed") as (asking, log), pytest.raises(httpx2.RemoteProtocolError):
        asking.post(CHAT, json=ASKED)
    assert [(request.status, request.answered) for request in log.requests] == [(200, False)]


def test_the_connection_drops_before_any_byte() -> None:
    with faulty("dropped") as (asking, log), pytest.raises((httpx2.ReadError, httpx2.RemoteProtocolError)):
        asking.post(CHAT, json=ASKED)
    assert [(request.status, request.answered) for request in log.requests] == [(0, False)]


def test_a_page_comes_in_place_of_json() -> None:
    with faulty("html") as (asking, _):
        reply = asking.post(CHAT, json=ASKED)
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "text/html")


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("nonsense", ("Colourless green ideas sleep furiously.", "stop", None)),
        ("null_content", (None, "stop", None)),
        ("content_filter", (None, "content_filter", None)),
        ("refusal", (None, "stop", "I cannot help with that.")),
    ],
)
def test_an_answer_is_well_formed_and_of_no_use(kind: str, found: tuple[str | None, ...]) -> None:
    with faulty(kind) as (asking, _):
        [choice] = asking.post(CHAT, json=JUDGED).json()["choices"]
        [text] = asking.post(TEXT, json={"prompt": "Is it GOOD or BAD?"}).json()["choices"]
    message = choice["message"]
    assert (message["content"], choice["finish_reason"], message["refusal"]) == found
    assert (text["text"], text["finish_reason"]) == found[:2]


def test_an_answer_may_have_no_choices() -> None:
    with faulty("no_choices") as (asking, _):
        assert asking.post(CHAT, json=ASKED).json()["choices"] == []


def test_faults_come_at_their_rates_and_again_for_the_same_request() -> None:
    rates = {kind: 0.05 for kind in FAULTS}
    plan, count = Plan(rates=rates, seed=3), 4000
    drawn = [plan.fault(digest(numbered(number)), 1) for number in range(count)]
    for kind in (*FAULTS, ""):
        share = 1 - sum(rates.values()) if kind == "" else rates[kind]
        assert abs(drawn.count(kind) - count * share) < 5 * math.sqrt(count * share * (1 - share)), kind
    assert drawn == [plan.fault(digest(numbered(number)), 1) for number in range(count)]
    assert drawn != [plan.fault(digest(numbered(number)), 2) for number in range(count)]
    assert drawn != [Plan(rates=rates, seed=4).fault(digest(numbered(number)), 1) for number in range(count)]


@pytest.mark.parametrize("permanent", [False, True])
def test_a_request_fails_again_only_where_faults_are_permanent(permanent: bool) -> None:
    with serving(rates={"500": 0.5}, permanent=permanent) as server, client(server.url) as asking:
        said = [[asking.post(CHAT, json=numbered(number)).status_code for _ in range(8)] for number in range(8)]
    assert {500, 200} == {status for statuses in said for status in statuses}
    assert all(len(set(statuses)) == 1 for statuses in said) == permanent
    assert [request.attempt for request in server.log.requests] == [1, 2, 3, 4, 5, 6, 7, 8] * 8
    assert list(server.log.attempts().values()) == [8] * 8
    assert sum(server.log.well_answered().values()) == sum(statuses.count(200) for statuses in said)


def test_rates_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="rates are shares of"):
        Plan(rates={"499": 0.1})
    with pytest.raises(ValueError, match="of 1 in all"):
        Plan(rates={"500": 0.6, "503": 0.6})


def test_an_answer_is_a_function_of_the_request() -> None:
    with serving() as server, client(server.url) as asking, serving() as other, client(other.url) as elsewhere:
        answers = [asking.post(CHAT, json=numbered(number)).content for number in range(20)]
        assert answers == [elsewhere.post(CHAT, json=numbered(number)).content for number in range(20)]
    assert len(set(answers)) == 20


def test_the_policy_calls_a_tool_then_answers_and_the_judge_judges() -> None:
    tools = [{"type": "function", "function": {"name": "calculator", "parameters": {"properties": {"exp": {}}}}}]
    call = scripted({**ASKED, "tools": tools})
    assert (call.tool_calls[0][0], list(json.loads(call.tool_calls[0][1]))) == ("calculator", ["exp"])
    step = scripted(ASKED).text
    assert step.endswith(" * 3</math_exp>")
    turns = [*ASKED["messages"], {"role": "assistant", "content": step}, {"role": "user", "content": "-> 15"}]
    assert scripted({"messages": turns}).text == "So it is <answer>15</answer>"
    verdicts = [scripted({**JUDGED, "seed": seed}).text.rpartition(" ")[2] for seed in range(400)]
    assert 150 < verdicts.count("GOOD") < 250
    assert verdicts == ["GOOD" if is_good({**JUDGED, "seed": seed}) else "BAD" for seed in range(400)]
    schema = {
        "json_schema": {"schema": {"properties": {"why": {"type": "string"}, "verdict": {"enum": ["GOOD", "BAD"]}}}}
    }
    assert json.loads(scripted({**JUDGED, "response_format": schema}).text)["verdict"] in ("GOOD", "BAD")


@pytest.mark.parametrize(
    ("dialect", "extra", "text", "told"),
    [
        (VLLM, {"include_stop_str_in_output": True}, "It is <a>5</a>", {"stop_reason": "</a>"}),
        (VLLM, {}, "It is <a>5", {"stop_reason": "</a>"}),
        (VLLM, {"stop": ["</b>"]}, "It is <a>5</a> or so", {"stop_reason": None}),
        (SGLANG, {"no_stop_trim": True}, "It is <a>5</a>", {"matched_stop": "</a>"}),
        (SGLANG, {"include_stop_str_in_output": True}, "It is <a>5", {"matched_stop": "</a>"}),
        (SGLANG, {"stop": "</b>"}, "It is <a>5</a> or so", {"matched_stop": 2}),
        (OPENAI, {}, "It is <a>5", {}),
        (TRANSFORMERS, {}, "It is <a>5</a>", {}),
    ],
)
def test_stop_strings_in_each_dialect(
    dialect: server_replies.Dialect, extra: dict[str, Any], text: str, told: dict[str, Any]
) -> None:
    body = {**ASKED, "stop": ["</a>", "</b>"], **extra}
    with (
        serving(reply=lambda body: Said(text="It is <a>5</a> or so"), dialect=dialect) as server,
        client(server.url) as asking,
    ):
        [choice] = asking.post(CHAT, json=body).json()["choices"]
    assert choice["message"]["content"] == text
    assert choice["finish_reason"] == "stop"
    assert {name: choice[name] for name in ("stop_reason", "matched_stop") if name in choice} == told


def test_a_limit_of_tokens_cuts_the_answer_short() -> None:
    with serving() as server, client(server.url) as asking:
        [choice] = asking.post(CHAT, json={**ASKED, "max_tokens": 3}).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Three times", "length")


def test_unknown_parameters_are_refused_as_openai_does() -> None:
    with serving(dialect=OPENAI) as server, client(server.url) as asking:
        reply = asking.post(CHAT, json={**ASKED, "include_stop_str_in_output": True})
        assert asking.post(CHAT, json=ASKED).status_code == 200
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "include_stop_str_in_output"


def test_token_ids_and_logprobs_cover_all_that_was_written() -> None:
    body = {**ASKED, "return_token_ids": True, "logprobs": True, "top_logprobs": 3, "stop": ["</math_exp>"]}
    with serving(dialect=VLLM) as server, client(server.url) as asking:
        answer = asking.post(CHAT, json=body).json()
        ids = asking.post(TEXT, json={"prompt": [5, 6, 7], "return_token_ids": True, "logprobs": 2}).json()
        plain = asking.post(CHAT, json=ASKED).json()
    [choice], [text] = answer["choices"], ids["choices"]
    tokens = choice["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == choice["message"]["content"] + "</math_exp>"
    assert len(choice["token_ids"]) == len(tokens) == answer["usage"]["completion_tokens"]
    assert len(answer["prompt_token_ids"]) == answer["usage"]["prompt_tokens"]
    for token in tokens:
        assert token["top_logprobs"][0]["token"] == token["token"]
        assert sum(math.exp(other["logprob"]) for other in token["top_logprobs"]) < 1
    assert text["prompt_token_ids"] == [5, 6, 7]
    assert "".join(text["logprobs"]["tokens"]) == text["text"]
    assert len(text["logprobs"]["token_logprobs"]) == len(text["token_ids"]) - 1
    assert "token_ids" not in plain["choices"][0]
    assert "prompt_token_ids" not in plain


def test_llama_cpp_tells_the_logprobs_of_a_text_as_those_of_a_chat() -> None:
    with serving(dialect=LLAMA_CPP) as server, client(server.url) as asking:
        [choice] = asking.post(TEXT, json={"prompt": "x", "logprobs": 2}).json()["choices"]
    assert "".join(token["token"] for token in choice["logprobs"]["content"]) == choice["text"]
    assert {len(token["top_logprobs"]) for token in choice["logprobs"]["content"]} == {2}


def test_thoughts_stand_where_the_server_puts_them() -> None:
    def reply(body: Any) -> Said:
        return Said(text="5", reasoning="Hm.")

    found = []
    for field in ("reasoning_content", "reasoning", ""):
        with (
            serving(reply=reply, dialect=server_replies.Dialect(reasoning=field)) as server,
            client(server.url) as asking,
        ):
            message = asking.post(CHAT, json=ASKED).json()["choices"][0]["message"]
            found.append((message["content"], message.get(field)))
    assert found == [("5", "Hm."), ("5", "Hm."), ("<think>Hm.</think>5", None)]


def test_usage_may_tell_of_cached_tokens_or_be_missing() -> None:
    dialects = [OPENAI, server_replies.Dialect(), server_replies.Dialect(usage=False)]
    found = []
    for dialect in dialects:
        with serving(dialect=dialect) as server, client(server.url) as asking:
            usage = asking.post(CHAT, json=ASKED).json().get("usage")
            found.append(usage if usage is None else usage.get("prompt_tokens_details"))
    assert found == [{"cached_tokens": 5}, None, None]


def test_a_key_is_asked_for_and_counted() -> None:
    with serving(key="s3cret") as server, client(server.url) as asking:
        refused = asking.post(CHAT, json=ASKED)
        taken = asking.post(CHAT, json=ASKED, headers={"Authorization": "Bearer s3cret"})
    assert (refused.status_code, taken.status_code) == (401, 200)
    assert [request.authorised for request in server.log.requests] == [False, True]
    assert "s3cret" not in repr(server.log)


def test_it_retrieves_as_search_r1_does_and_lists_models() -> None:
    with serving() as server, client(server.url) as asking:
        [hits] = Remote(f"{server.url}/retrieve").retrieve(["harbour"], 2, [()])
        assert asking.get("/v1/models").json()["data"][0]["id"] == "model"
        assert asking.post("/elsewhere", json={}).status_code == 404
    assert hits is not None
    assert [(hit.passage.title, hit.score) for hit in hits] == [("On harbour", 1.0), ("On harbour", 0.5)]


def test_requests_in_flight_are_counted() -> None:
    together = threading.Barrier(8)

    def ask(url: str, number: int) -> int:
        with client(url) as asking:
            together.wait()
            return asking.post(CHAT, json=numbered(number)).status_code

    with serving(latency=Latency(base=0.5)) as server, ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda number: ask(server.url, number), range(8))) == {200}
    assert server.log.in_flight == 0
    assert sorted(request.in_flight for request in server.log.requests)[-1] == server.log.most_in_flight > 1


def test_beyond_the_limit_nothing_is_answered() -> None:
    with serving(max_requests=2) as server, client(server.url) as asking:
        assert [asking.post(CHAT, json=ASKED).status_code for _ in range(4)] == [200, 200, 500, 500]


def test_the_log_is_told_emptied_and_the_server_healed() -> None:
    with serving(rates={"500": 1.0}) as server, client(server.url) as asking:
        assert asking.post(CHAT, json=ASKED).status_code == 500
        [told] = asking.get("/log").json()["requests"]
        assert (told["path"], told["attempt"], told["fault"], told["status"]) == (CHAT, 1, "500", 500)
        asking.post("/reset", json={"rates": {}})
        assert asking.get("/log").json() == {"requests": [], "in_flight": 0, "most_in_flight": 0}
        assert asking.post(CHAT, json=ASKED).status_code == 200
        assert asking.get("/log").json()["requests"][0]["attempt"] == 1


def test_latency_has_the_mean_and_the_tail_it_promises() -> None:
    drawn = [HEAVY_TAILED.seconds(number) for number in range(20_000)]
    assert abs(sum(drawn) / len(drawn) - 0.2) < 5 * 0.5 / math.sqrt(len(drawn))
    assert abs(drawn.count(5.0) - 200) < 5 * math.sqrt(200)


def test_it_stops_while_answers_are_under_way_and_leaves_no_thread() -> None:
    before = threading.active_count()
    with serving(latency=Latency(base=3600)) as server, ThreadPoolExecutor(1) as pool, client(server.url) as asking:
        waiting = pool.submit(asking.post, CHAT, json=ASKED)
        while not server.log.in_flight:
            time.sleep(0.001)
        server.app.plan = Plan()
        assert asking.post(CHAT, json=numbered(1)).status_code == 200
        server.stop()
        with pytest.raises((httpx2.ReadError, httpx2.RemoteProtocolError)):
            waiting.result()
        with pytest.raises(httpx2.TransportError):
            asking.post(CHAT, json=ASKED)
    assert threading.active_count() == before


def test_a_server_apart_outlives_its_client_and_ends_when_told(tmp_path: Path) -> None:
    words = ["--rates", '{"503": 1.0}', "--latency", '{"base": 0.001}', "--max-requests", "5"]
    with serving_apart(tmp_path, *words) as url:
        asked = (
            f"import os, httpx2; httpx2.post({url + CHAT!r}, json={ASKED!r}, trust_env=False); os.kill(os.getpid(), 9)"
        )
        assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == -signal.SIGKILL
        with client(url) as asking:
            assert [request["status"] for request in asking.get("/log").json()["requests"]] == [503]
    with client(url) as asking, pytest.raises(httpx2.ConnectError):
        asking.get("/log")


def test_the_scripted_policy_answers_where_it_saw_no_number() -> None:
    said = scripted({"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": None}]})
    assert re.fullmatch(r"So it is <answer>[2-8]</answer>", said.text)
