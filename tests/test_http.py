"""A model behind a server: what it is asked, what is made of its answers, and what of its failures. No network: see `fake_server`."""

import json
import sqlite3
from functools import partial

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_server import ASKED, USAGE, Fake, ask, chat
from swirl.errors import ConfigError, MissingExtra, ServiceFailure
from swirl.policies import Completion, Finish, Sampling, Serving, Wants
from swirl.policies.http import HttpPolicy
from swirl.policies.reply import Reply, read_reply
from swirl.policies.request import PLAINLY, Asked
from swirl.protocol import Message, Prompt
from swirl.records import read
from swirl.rollout import begin, take
from swirl.services import ServerConfig, server
from swirl.services.faults import Trouble
from swirl.services.ledger import Request
from swirl.services.replies import Replies
from swirl.types import Question, Rules, StopReason

OPTIONAL = {"seed", "stop", "include_stop_str_in_output", "no_stop_trim", "logprobs", "return_token_ids"}
GREEDY = Sampling(temperature=0.0)
LATER = Prompt((*ASKED.messages, Message("assistant", "<math_exp>2 * 3</math_exp>"), Message("user", "2 * 3 -> 6")))


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def status(code: int, error: object = None, **headers: str) -> httpx2.Response:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(code, json={"error": error or {"message": "so it is"}}, headers=told)


def in_turn(*answers):
    """The answers one after another, the last one again and again."""
    left = list(answers)
    return lambda body: left.pop(0) if len(left) > 1 else left[0]


# What it is asked


def test_a_chat_is_asked_with_its_turns_and_how_to_sample():
    fake = Fake()
    assert ask(fake.policy(), LATER).text == "<answer>6</answer>"
    [body] = fake.bodies
    assert fake.requests[0].url == "http://host:8000/v1/chat/completions"
    assert [(turn["role"], turn["content"]) for turn in body["messages"]] == [
        ("user", "What is 2 * 3?"),
        ("assistant", "<math_exp>2 * 3</math_exp>"),
        ("user", "2 * 3 -> 6"),
    ]
    assert (body["model"], body["temperature"], body["max_tokens"], body["seed"]) == ("m", 1.0, 256, 7)
    assert set(body) == {"model", "messages", "temperature", "max_tokens", *PLAINLY} | OPTIONAL
    assert body["stop"] == list(Sampling().stop)


def test_a_seed_fits_into_31_bits_and_decides():
    fake = Fake()
    policy = fake.policy()
    ask(policy, seed=2**63 + 5)
    assert fake.bodies[0]["seed"] == 5


def test_the_key_goes_to_the_server_and_none_goes_where_there_is_none(monkeypatch):
    fake = Fake()
    ask(fake.policy())
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-secret")
    ask(fake.policy())
    assert "authorization" not in fake.requests[0].headers
    assert fake.requests[1].headers["authorization"] == "Bearer sk-planted-secret"


def test_it_is_a_serving_policy_named_by_model_and_host():
    policy = Fake().policy(settings={"model": "served", "concurrency": 3})
    assert isinstance(policy, Serving)
    assert (policy.name, policy.in_flight) == ("served@host", 3)


def test_complete_gives_every_seed_of_every_prompt_in_order():
    fake = Fake(lambda body: chat(f"{len(body['messages'])} {body['seed']}"))
    given = fake.policy().complete([ASKED, LATER], Sampling(), [[1, 2], [3]])
    assert [[one.text for one in own] for own in given] == [["1 1", "1 2"], ["3 3"]]


def test_a_judge_asks_for_a_schema_and_alternatives_and_for_no_token_ids():
    places = [{"token": "GO", "logprob": -0.1, "top_logprobs": [{"token": "BAD", "logprob": -2}, {"token": 3}, 4]}]
    fake = Fake(lambda body: chat("GOOD", logprobs={"content": places}))
    completion = ask(fake.policy(role="judge"), sampling=GREEDY, schema={"type": "object"}, alternatives=5)
    [body] = fake.bodies
    assert (body["logprobs"], body["top_logprobs"]) == (True, 5)
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert "return_token_ids" not in body
    assert completion.alternatives == ({"BAD": -2.0, "GO": -0.1},)


# What a server refuses, and what it does not tell


def refusing(style, known=("messages", "model", "temperature", "max_tokens")):
    def answer(body):
        unknown = sorted(set(body) - set(known))
        if not unknown:
            return chat("So <answer>6</answer> and <answer>7</answer>")
        if style == "openai":
            return status(400, {"message": f"Unknown parameter: '{unknown[0]}'.", "code": "unknown_parameter"})
        if style == "detail":
            return httpx2.Response(422, json={"detail": f"Unexpected fields in the request: {set(unknown)}"})
        return status(400, {"message": "Bad request"})

    return answer


@pytest.mark.parametrize("style", ["openai", "detail", "silent"])
def test_what_a_server_refuses_is_left_out_from_then_on(style, capsys):
    fake = Fake(refusing(style))
    policy = fake.policy()
    assert ask(policy).text == "So <answer>6</answer>"
    before = len(fake.bodies)
    assert ask(policy, seed=8).text == "So <answer>6</answer>"
    assert len(fake.bodies) == before + 1
    assert set(fake.bodies[-1]) == {"messages", "model", "temperature", "max_tokens"}
    said = capsys.readouterr().err
    assert said.count("does not take seed") == 1
    assert not fake.waits


def test_one_refusal_of_another_kind_teaches_nothing():
    fake = Fake(in_turn(status(400), status(400), chat()))
    policy = fake.policy()
    with pytest.raises(ServiceFailure, match="so it is"):
        ask(policy)
    ask(policy)
    assert set(fake.bodies[-1]) >= OPTIONAL


def test_max_tokens_has_another_name_where_the_server_says_so():
    message = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    )
    fake = Fake(lambda body: status(400, {"message": message}) if "max_tokens" in body else chat())
    policy = fake.policy()
    ask(policy)
    ask(policy, seed=8)
    assert [body.get("max_completion_tokens") for body in fake.bodies] == [None, 256, 256]
    assert set(fake.bodies[-1]) >= OPTIONAL


def test_a_server_without_stop_strings_that_stay_gets_none_and_the_text_is_cut():
    known = ("messages", "model", "temperature", "max_tokens", "seed", "logprobs", "stop")
    fake = Fake(refusing("openai", known))
    assert ask(fake.policy()).text == "So <answer>6</answer>"
    assert "stop" not in fake.bodies[-1]


def test_what_a_server_does_not_tell_is_said_once(capsys):
    policy = Fake().policy()
    ask(policy)
    ask(policy, seed=8)
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("tells no token ids and no log-probabilities: none are recorded") == 1


def test_token_ids_and_logprobs_are_kept_where_they_are_told(capsys):
    places = {"content": [{"token": "<answer>6", "logprob": -0.5}, {"token": "</answer>", "logprob": 1e-9}]}
    fake = Fake(lambda body: chat(token_ids=[5, 6], logprobs=places, stop_reason="</answer>"))
    completion = ask(fake.policy())
    assert (completion.token_ids, completion.logprobs) == ((5, 6), (-0.5, 0.0))
    assert ask(fake.policy(), sampling=GREEDY).logprobs == ()
    assert not capsys.readouterr().err


def test_token_ids_of_another_model_are_of_no_use_to_this_one():
    fake = Fake(lambda body: chat(token_ids=[5, 6]))
    assert ask(fake.policy(settings={"model": "another"})).token_ids == ()
    assert "return_token_ids" not in fake.bodies[0]


def test_token_ids_of_a_model_that_reads_the_same_ones_are_of_use_whatever_its_name():
    fake = Fake(lambda body: raw(token_ids=[5, 6]))
    policy = fake.policy(settings={"model": "served-name"}, api="completions", chat=Letters())
    assert ask(policy).token_ids == (5, 6)


@pytest.mark.parametrize("ids", ["56", [5, -1], [5, 2**40], [5, True], [5.0], {}])
def test_what_are_no_token_ids_are_not_kept(ids):
    assert ask(Fake(lambda body: chat(token_ids=ids)).policy()).token_ids == ()


# Where an action ends


@pytest.mark.parametrize("proof", [{"stop_reason": "</answer>"}, {"matched_stop": "</answer>"}])
def test_a_stripped_tag_is_restored_where_the_server_proves_it(proof):
    completion = ask(Fake(lambda body: chat("It is <answer>6", **proof)).policy())
    assert (completion.text, completion.restored) == ("It is <answer>6</answer>", True)
    done = take(begin(Question(id="q", task="t", text="?"), Rules()), completion)
    assert (done.steps[0].restored, done.stop) == (True, StopReason.ANSWERED)


@pytest.mark.parametrize(
    "told",
    [
        {"stop_reason": None},
        {"matched_stop": 2},
        {"stop_reason": "\n"},
        {"stop_reason": "</answer>", "finish": "length"},
    ],
)
def test_no_tag_is_restored_without_proof(told):
    fake = Fake(lambda body: chat("It is <answer>6", **told))
    completion = ask(fake.policy())
    assert (completion.text, completion.restored, len(fake.bodies)) == ("It is <answer>6", False, 1)


def test_where_a_tag_may_be_stripped_and_nothing_tells_the_same_is_asked_without_stop_strings():
    fake = Fake(lambda body: chat("<answer>6" if "stop" in body else "<answer>6</answer>\n\nNext: <answer>7</answer>"))
    policy = fake.policy()
    assert [ask(policy, seed=seed).text for seed in (1, 2)] == ["<answer>6</answer>"] * 2
    assert ["stop" in body for body in fake.bodies] == [True, False, False]


@pytest.mark.parametrize(
    "ended", [{"content": "<think>Say <answer>5</answer>"}, {"content": None, "reasoning": "Say <answer>5</answer>"}]
)
def test_reasoning_that_a_stop_string_ended_is_asked_for_again_without(ended):
    whole = {"content": "<think>Say <answer>5</answer> no</think><answer>6</answer>"}
    told = {"stop_reason": "</answer>"}
    fake = Fake(lambda body: chat(message=ended, **told) if "stop" in body else chat(message=whole))
    completion = ask(fake.policy())
    assert (completion.text, completion.restored, len(fake.bodies)) == ("<answer>6</answer>", False, 2)


def test_a_text_is_cut_after_its_first_closing_tag_and_its_ids_with_it():
    fake = Fake(lambda body: chat("<answer>6</answer> or <answer>7</answer>", finish="length", token_ids=[5, 6]))
    completion = ask(fake.policy())
    assert (completion.text, completion.finish, completion.token_ids) == ("<answer>6</answer>", Finish.STOP, ())


def test_nothing_is_cut_for_who_does_not_stop_at_tags():
    said = "First </answer> and then GOOD"
    assert ask(Fake(lambda body: chat(said)).policy(role="judge"), sampling=Sampling(stop=())).text == said


def test_the_token_limit_is_told():
    assert ask(Fake(lambda body: chat("It is", finish="length")).policy()).finish is Finish.LENGTH


@pytest.mark.parametrize(
    ("message", "thinking", "text"),
    [
        (
            {"content": "<think>2</answer>3</think>\n<answer>6</answer>"},
            "<think>2</answer>3</think>",
            "\n<answer>6</answer>",
        ),
        ({"content": "so</think><answer>6</answer>"}, "so</think>", "<answer>6</answer>"),
        ({"content": "<think><answer>5</answer>"}, "<think><answer>5</answer>", ""),
        ({"content": "A", "reasoning_content": "<answer>5</answer>"}, "<think><answer>5</answer></think>", "A"),
        ({"content": "A", "reasoning": "why"}, "<think>why</think>", "A"),
        ({"content": None, "reasoning": "why"}, "<think>why</think>", ""),
        ({"content": [{"type": "text", "text": "A"}, {"type": "image"}, 3]}, "", "A"),
    ],
)
def test_reasoning_is_kept_apart(message, thinking, text):
    completion = ask(Fake(lambda body: chat(message=message, token_ids=[5, 6], finish="length")).policy())
    assert (completion.thinking, completion.text) == (thinking, text)
    assert bool(completion.token_ids) == (not thinking)


# What goes wrong


@pytest.mark.parametrize(
    ("answer", "fault", "attempts", "said"),
    [
        (status(401), "unusable", 1, "no key was sent, for $OPENAI_API_KEY is not set"),
        (status(404), "unusable", 1, "it knows no such model or address"),
        (status(429), "down", 3, "it answered 429 (so it is), 3 times"),
        (status(429, {"message": "pay", "code": "insufficient_quota"}), "unusable", 1, "quota is used up"),
        (status(500), "down", 3, "it answered 500"),
        (status(307, location="http://elsewhere/v1"), "unusable", 1, "it sends requests elsewhere"),
        (status(400, {"message": "No model 'm' here"}), "unusable", 1, "No model 'm' here"),
        (status(400, {"message": "bad", "code": "content_filter"}), "refused", 1, "it answered 400 (bad)"),
        (httpx2.Response(200, content=b'{"choices": [', headers={"content-type": "application/json"}), "down", 3, "no valid JSON"),
        (httpx2.Response(200, content=b"[" * 10**5, headers={"content-type": "application/json"}), "down", 3, "no valid JSON"),
        (httpx2.Response(200, text="<html>Bad</html>", headers={"content-type": "text/html"}), "down", 3, "found 'text/html'"),
        (httpx2.Response(502, text="<html>Bad</html>", headers={"content-type": "text/html"}), "down", 3, "it answered 502, 3 times"),
        ({}, "down", 3, "holds no completion"),
        ({"choices": []}, "down", 3, "holds no completion"),
        ({"choices": [{}]}, "down", 3, "holds no message"),
        ({"error": {"message": "overloaded"}}, "down", 3, "it answered with an error (overloaded)"),
        (chat(None), "down", 3, "holds no text"),
        (chat(finish="abort"), "down", 3, "gave the reply up"),
        (chat(finish="content_filter"), "refused", 1, "content filter"),
        (chat(None, message={"refusal": "I will not."}), "refused", 1, "refuses to answer"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_one_sentence_and_asked_again_where_that_may_help(answer, fault, attempts, said, tmp_path):
    def fresh(body):
        if "logprobs" in body and isinstance(answer, httpx2.Response) and answer.status_code == 400:
            return status(400, {"message": "Unknown parameter: " + ", ".join(OPTIONAL)})
        if isinstance(answer, httpx2.Response):
            return httpx2.Response(answer.status_code, content=answer.content, headers=answer.headers)
        return answer

    fake = Fake(fresh)
    policy = fake.policy(calls=tmp_path / "calls.jsonl", replies=Replies(tmp_path / "replies.sqlite"))
    lacking = "refused a request" if fault == "refused" else "cannot be used"
    with pytest.raises(ServiceFailure, match=f"the policy's server at http://host:8000/v1 {lacking}: ") as failure:
        ask(policy)
    assert failure.value.fault == fault
    assert said in str(failure.value)
    assert len(fake.waits) == attempts - 1
    [line] = (tmp_path / "calls.jsonl").read_text().splitlines()
    noted = json.loads(line)
    assert (noted["status"], noted.get("attempts", 1), noted.get("usd")) == (fault, attempts, None)
    rows = sqlite3.connect(tmp_path / "replies.sqlite").execute("SELECT * FROM replies").fetchall()
    assert not rows


@pytest.mark.parametrize(
    ("error", "fault", "said"),
    [
        (httpx2.ConnectError("refused"), "down", "there is no connection"),
        (httpx2.ConnectTimeout("slow"), "down", "there was no connection within 10 s"),
        (httpx2.ReadTimeout("slow"), "timed_out", "it was silent for 300 s"),
        (httpx2.RemoteProtocolError("closed"), "down", "the connection was lost before its reply was there"),
        (httpx2.ReadError("reset"), "down", "the connection was lost before its reply was there"),
        (httpx2.DecodingError("bad"), "down", "DecodingError"),
    ],
)
def test_a_broken_connection_is_tried_again(error, fault, said):
    def broken(body):
        raise error

    fake = Fake(broken)
    with pytest.raises(ServiceFailure, match=f"{said}, 3 times") as failure:
        ask(fake.policy())
    assert failure.value.fault == fault


def test_it_waits_as_long_as_the_server_asks():
    fake = Fake(in_turn(status(429, retry_after="7"), status(503, retry_after="5"), chat()))
    assert ask(fake.policy()).text == "<answer>6</answer>"
    assert [int(seconds) for seconds in fake.waits] == [7, 5]


def test_a_body_without_end_is_not_read(monkeypatch):
    monkeypatch.setattr(server, "LARGEST_REPLY", 1000)
    fake = Fake(
        lambda body: httpx2.Response(200, content=iter_of(b" " * 600), headers={"content-type": "application/json"})
    )
    with pytest.raises(ServiceFailure, match="it answered with over 0 MiB"):
        ask(fake.policy())


async def iter_of(part):
    while True:
        yield part


def test_a_compressed_body_is_not_read():
    fake = Fake(lambda body: httpx2.Response(200, content=b"", headers={"content-encoding": "gzip"}))
    with pytest.raises(ServiceFailure, match="compressed"):
        ask(fake.policy())


@pytest.mark.parametrize(
    "error",
    [
        {"message": "This model's maximum context length is 512 tokens. However, you requested 600."},
        {"message": "the request exceeds the available context size, try increasing it"},
        {"message": "Invalid request", "code": "context_length_exceeded"},
        {"message": "The decoder prompt (length 600) is longer than the maximum model length of 512."},
    ],
)
def test_a_prompt_that_is_too_long_for_the_server_ends_the_trajectory(error):
    assert ask(Fake(lambda body: status(400, error)).policy()) == Completion(text="", finish=Finish.CONTEXT)


def test_a_prompt_that_is_too_long_for_the_run_ends_the_trajectory():
    sampling = Sampling(max_tokens=8, max_context=16)
    assert ask(Fake().policy(), sampling=sampling).finish is Finish.CONTEXT
    assert ask(Fake().policy(), sampling=Sampling(max_tokens=7, max_context=16)).finish is Finish.STOP


def test_an_immediate_end_of_turn_is_an_empty_text():
    fake = Fake(lambda body: {**chat(None), "usage": {"completion_tokens": 1}})
    assert ask(fake.policy()) == Completion(text="")


# Secrets, and texts that cannot be stored


def test_a_secret_is_in_no_error_text_file_or_store(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-secret")
    echo = {"message": "Bearer sk-planted-secret"}
    fake = Fake(in_turn(status(502, echo), chat("The key is sk-planted-secret", token_ids=[1]), status(401, echo)))
    policy = fake.policy(calls=tmp_path / "calls.jsonl", replies=Replies(tmp_path / "replies.sqlite"))
    assert ask(policy).text == "The key is [secret]"
    with pytest.raises(ServiceFailure) as failure:
        ask(policy, seed=8)
    assert "[secret]" in str(failure.value)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir()) + capsys.readouterr().err.encode()
    assert b"planted" not in written + str(failure.value).encode() + repr(vars(policy)).encode()


def test_a_key_that_is_not_accepted_is_told_apart_from_one_that_was_not_sent(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-secret")
    with pytest.raises(ServiceFailure, match=r"it answered 401: it does not accept the key \(so it is\)"):
        ask(Fake(lambda body: status(401)).policy())


def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-plänted")
    with pytest.raises(ConfigError, match=r"\$OPENAI_API_KEY holds signs") as error:
        Fake().policy()
    assert "nted" not in str(error.value)


def test_half_a_character_is_replaced(tmp_path):
    raw = json.dumps(chat("\ud83d <answer>6</answer>")).encode()
    fake = Fake(lambda body: httpx2.Response(200, content=raw, headers={"content-type": "application/json"}))
    completion = ask(fake.policy(replies=Replies(tmp_path / "r.sqlite")))
    assert completion.text == "? <answer>6</answer>"


# Replies that are there already


def test_what_was_answered_once_is_not_asked_again(tmp_path):
    fake, path = Fake(lambda body: chat(f"{body['seed']}", token_ids=[5])), tmp_path / "replies.sqlite"
    first = ask(fake.policy(replies=Replies(path)))
    policy = fake.policy(replies=Replies(path))
    assert (ask(policy), len(fake.bodies)) == (first, 1)
    assert (policy._service.ledger.num_stored, policy._service.ledger.num_requests) == (1, 0)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 8},
        {"prompt": LATER},
        {"sampling": Sampling(temperature=0.5)},
        {"sampling": Sampling(stop=())},
        {"sampling": Sampling(max_tokens=9)},
        {"schema": {"type": "object"}},
        {"alternatives": 2},
    ],
)
def test_another_request_is_another_reply(other, tmp_path):
    fake = Fake()
    policy = fake.policy(replies=Replies(tmp_path / "replies.sqlite"))
    ask(policy)
    ask(policy, **other)
    assert len(fake.bodies) == 2


@pytest.mark.parametrize("other", [{"settings": {"url": "http://other/v1"}}, {"model": "n"}, {"tools": "native"}])
def test_another_server_or_model_is_another_reply(other, tmp_path):
    fake, path = Fake(), tmp_path / "replies.sqlite"
    ask(fake.policy(replies=Replies(path)))
    prompt = Prompt(ASKED.messages, ("search",)) if "tools" in other else ASKED
    ask(fake.policy(replies=Replies(path), **other), prompt)
    assert len(fake.bodies) == 2


def test_a_stored_reply_that_cannot_be_read_is_asked_again(tmp_path):
    fake, path = Fake(), tmp_path / "replies.sqlite"
    ask(fake.policy(replies=Replies(path)))
    with sqlite3.connect(path) as file:
        file.execute("UPDATE replies SET reply = ?", (b'{"completion": 3}',))
    assert ask(fake.policy(replies=Replies(path))).text == "<answer>6</answer>"
    assert len(fake.bodies) == 2


# Raw completions


class Letters:
    """A chat format of one token a letter, which opens the thinking where it is told to."""

    def __init__(self, opens_thinking: bool = False) -> None:
        self.opens_thinking = opens_thinking

    def context_ids(self, prompt: Prompt) -> list[int]:
        return [ord(letter) for message in prompt.messages for letter in message.text]

    def thinking_tokens(self, action) -> int:
        return list(action).index(9) + 1 if 9 in action else len(action) * self.opens_thinking


def raw(text="<answer>6</answer>", **choice):
    return {"choices": [{"text": text, "finish_reason": "stop", **choice}], "usage": USAGE}


def test_raw_completions_go_out_as_token_ids():
    logprobs = {"token_logprobs": [-1.0, -2.0], "top_logprobs": [{"a": -1.0}, {"b": -2.0, "c": None}]}
    fake = Fake(lambda body: raw(token_ids=[5, 6], logprobs=logprobs))
    policy = fake.policy(api="completions", chat=Letters())
    completion = ask(policy, alternatives=2)
    assert fake.requests[0].url == "http://host:8000/v1/completions"
    assert (fake.bodies[0]["prompt"], fake.bodies[0]["logprobs"]) == ([ord(letter) for letter in "What is 2 * 3?"], 2)
    assert (completion.token_ids, completion.logprobs) == ((5, 6), (-1.0, -2.0))
    assert completion.alternatives == ({"a": -1.0}, {"b": -2.0})


def test_log_probabilities_of_raw_completions_may_come_in_the_form_of_chat():
    content = [{"token": "a", "logprob": -1.0, "top_logprobs": [{"token": "b", "logprob": -2.0}]}]
    fake = Fake(lambda body: raw(token_ids=[5], logprobs={"content": content}))
    completion = ask(fake.policy(api="completions", chat=Letters()), alternatives=2)
    assert (completion.logprobs, completion.alternatives) == ((-1.0,), ({"b": -2.0, "a": -1.0},))


def test_a_server_that_takes_no_token_ids_is_of_no_use_to_raw_completions():
    fake = Fake(lambda body: httpx2.Response(400, json={"detail": "prompt must be a string."}))
    with pytest.raises(ServiceFailure, match="prompt must be a string") as failure:
        ask(fake.policy(api="completions", chat=Letters()))
    assert failure.value.fault == "unusable"


def test_raw_completions_know_exactly_what_fits():
    fake = Fake(raw_of := lambda body: raw())
    policy = fake.policy(api="completions", chat=Letters())
    length = len("What is 2 * 3?")
    assert ask(policy, sampling=Sampling(max_tokens=8, max_context=length + 7)).finish is Finish.CONTEXT
    assert not fake.bodies
    fake.answer = lambda body: {"choices": raw_of(body)["choices"]}
    assert ask(policy, sampling=Sampling(max_tokens=8, max_context=length + 8)).finish is Finish.STOP


@pytest.mark.parametrize(
    ("text", "ids", "thinking", "tokens"),
    [("so</think><answer>6</answer>", [5, 9, 6], "so</think>", 2), ("so it", [5, 6], "so it", 2)],
)
def test_thinking_that_the_template_opens_is_kept_apart(text, ids, thinking, tokens):
    fake = Fake(lambda body: raw(text, token_ids=ids, finish_reason="length"))
    completion = ask(fake.policy(api="completions", chat=Letters(opens_thinking=True)))
    assert (completion.thinking, completion.thinking_tokens) == (thinking, tokens)
    assert completion.token_ids == tuple(ids)


def test_raw_completions_need_a_tokenizer():
    with pytest.raises(ConfigError, match='api = "completions" needs the tokenizer of m on this machine'):
        Fake().policy(api="completions")


# Whatever comes


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["</answer>", "length"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    "choices", "message", "content", "text", "reasoning_content", "refusal", "tool_calls", "function", "name", "arguments", "id",
    "finish_reason", "stop_reason", "matched_stop", "usage", "prompt_tokens", "completion_tokens", "prompt_tokens_details",
    "cached_tokens", "logprobs", "top_logprobs", "token_logprobs", "token", "logprob", "token_ids", "error", "type",
]  # fmt: skip
LIKELY = st.recursive(
    JSON,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300)
@given(
    body=JSON
    | LIKELY
    | st.fixed_dictionaries({"choices": st.lists(st.fixed_dictionaries({"message": LIKELY}) | LIKELY)}),
    api=st.sampled_from(["chat", "completions"]),
    native=st.booleans(),
)
def test_whatever_a_server_answers_is_a_completion_or_a_trouble(body, api, native):
    asked = Asked(
        model="m",
        api=api,
        prompt=ASKED,
        sampling=Sampling(),
        seed=1,
        wants=Wants(alternatives=2),
        native=native,
        records=True,
    )
    try:
        reply = read_reply(body, asked, stopped=True)
    except Trouble:
        return
    assert isinstance(reply, Reply)
    assert isinstance(reply.completion.text, str)


@settings(deadline=None, max_examples=50)
@given(content=st.binary(max_size=60), code=st.sampled_from([200, 200, 204, 302, 400, 422, 429, 500, 999]))
def test_whatever_comes_over_the_wire_is_a_completion_or_a_service_failure(content, code):
    fake = Fake(lambda body: httpx2.Response(code, content=content, headers={"content-type": "application/json"}))
    with pytest.raises(ServiceFailure):
        ask(fake.policy(settings={"retries": 0}))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks5://me:planted-secret@127.0.0.1:1"),
        ("ALL_PROXY", "ftp://me:planted-secret@127.0.0.1:1"),
        ("SSL_CERT_FILE", "/no/planted-secret.pem"),
    ],
)
def test_a_proxy_or_certificates_of_the_environment_that_cannot_be_used_are_told_in_one_sentence(
    monkeypatch, variable, value
):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    config = ServerConfig(url="https://127.0.0.1:9/v1", retries=0)
    policy = HttpPolicy(config, "m", Fake().service(config))
    with pytest.raises(ServiceFailure, match=f"(?s)no client can be made with.*{variable}") as failure:
        ask(policy)
    assert failure.value.fault == "unusable"
    assert "planted" not in str(failure.value)


def test_a_reply_is_found_by_where_it_was_to_end(tmp_path):
    """Without tools on offer, a request for native calls differs from one for tags in its stop strings alone."""
    fake, replies = Fake(), Replies(tmp_path / "replies.sqlite")
    for tools in ("tags", "native", "tags", "native"):
        ask(fake.policy(tools=tools, replies=replies))
    assert [body["stop"] for body in fake.bodies] == [list(Sampling().stop), ["</answer>"]]


# What a reply costs that is of no use


PRICED = {"usd_per_million_in": 1.0, "usd_per_million_out": 10.0, "budget_usd": 1.0}
USD = (9 + 4 * 10) / 1e6
"""Of one reply."""


@pytest.mark.parametrize(
    ("useless", "replies"),
    [
        (chat(finish="content_filter"), 1),
        (chat(message={"refusal": "I will not."}), 1),
        (chat(None), 3),
        ({"usage": USAGE}, 3),
    ],
)
def test_a_reply_that_is_of_no_use_was_paid_for_all_the_same(tmp_path, useless, replies):
    fake = Fake(lambda body: useless)
    policy = fake.policy(calls=tmp_path / "calls.jsonl", settings=PRICED)
    with pytest.raises(ServiceFailure):
        ask(policy)
    [noted] = read(tmp_path / "calls.jsonl", Request)
    assert len(fake.bodies) == noted.attempts == replies
    assert (noted.usage.tokens_in, noted.usage.tokens_out) == (9 * replies, 4 * replies)
    assert noted.usd == pytest.approx(USD * replies)
    assert policy._service.budget.spent == pytest.approx(USD * replies)


def test_all_attempts_of_a_request_are_paid_for_in_the_end(tmp_path):
    fake = Fake(in_turn(chat(None), status(503), chat()))
    policy = fake.policy(calls=tmp_path / "calls.jsonl", settings=PRICED)
    assert ask(policy).text == "<answer>6</answer>"
    [noted] = read(tmp_path / "calls.jsonl", Request)
    assert (noted.status, noted.attempts, noted.usage.tokens_out) == ("ok", 3, 8)
    assert noted.usd == pytest.approx(2 * USD) == policy._service.budget.spent


def test_a_reply_that_is_asked_for_again_without_stop_strings_is_paid_for_whatever_follows(tmp_path):
    fake = Fake(in_turn(chat("So <answer>6"), status(500)))
    policy = fake.policy(calls=tmp_path / "calls.jsonl", settings={**PRICED, "retries": 0})
    with pytest.raises(ServiceFailure, match="500"):
        ask(policy)
    [noted] = read(tmp_path / "calls.jsonl", Request)
    assert noted.usd == pytest.approx(USD) == policy._service.budget.spent


# Opening


def test_the_extra_is_named_where_the_client_is_missing(monkeypatch):
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'swirl-rl\[services\]'"):
        Fake().policy()


def test_an_estimate_is_set_aside_from_the_budget():
    fake = Fake()
    prices = {"usd_per_million_in": 1.0, "usd_per_million_out": 1000.0, "budget_usd": 0.3}
    policy = fake.policy(settings=prices)
    ask(policy)
    assert policy._service.budget.spent == pytest.approx((9 + 4 * 1000) / 1e6)
    with pytest.raises(ServiceFailure, match="are spent") as failure:
        ask(policy, sampling=Sampling(max_tokens=300), seed=8)
    assert failure.value.fault == "over_budget"
    assert len(fake.bodies) == 1


def test_connections_are_given_back_with_the_policy():
    fake = Fake()
    policy: HttpPolicy | None = fake.policy()
    ask(policy)
    connection = policy._server._client._client
    closing = partial(getattr, connection, "is_closed")
    assert not closing()
    del policy
    from swirl.services.loop import wait_for

    async def until_closed():
        import asyncio
        import gc

        while not closing():
            gc.collect()
            await asyncio.sleep(0)

    wait_for(until_closed())


def test_sampling_is_plain_unless_the_server_refuses_the_words():
    fake = Fake(lambda body: chat("<answer>6</answer>"))
    ask(fake.policy())
    assert fake.bodies[0].items() >= PLAINLY.items()
    strict = Fake(
        lambda body: (
            status(400, {"message": "Unrecognized arguments: top_k, min_p, repetition_penalty"})
            if "top_k" in body
            else chat("<answer>6</answer>")
        )
    )
    policy = strict.policy()
    ask(policy)
    ask(policy)
    assert [sorted(set(body) & set(PLAINLY)) for body in strict.bodies] == [sorted(PLAINLY), ["top_p"], ["top_p"]]
