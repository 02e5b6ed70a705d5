"""Generating and evaluating with a policy behind a server: no model on this machine, nothing asked twice, nothing forgotten."""

from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

import httpx2
import pytest

from fake_server import Fake, chat
from swirl import catalog
from swirl.errors import ConfigError, ServiceFailure
from swirl.evaluate import EvaluateConfig
from swirl.judges import JudgeConfig
from swirl.policies import PolicyConfig, PolicyServerConfig
from swirl.policies.http import HttpPolicy
from swirl.protocol import render
from swirl.rollout import GenerateConfig
from swirl.run import Run
from swirl.settings import RunConfig, WarmStartConfig
from swirl.stages import run_stage
from swirl.stages.generate import generated
from swirl.stages.start import policy_of

SERVER = PolicyServerConfig(
    url="http://host:8000/v1", retries=0, usd_per_million_in=1.0, usd_per_million_out=10.0, concurrency=4
)
CONFIG = RunConfig(
    policy=PolicyConfig(model="nobody/no-such-model"),
    policy_server=SERVER,
    generate=GenerateConfig(tasks=("arithmetic", "world"), questions=3, samples=2),
    judge=JudgeConfig(name="random"),
    evaluate=EvaluateConfig(tasks=("arithmetic",), questions=3, modes=("greedy",)),
)


def acts(body):
    """Searches or calculates once, then answers."""
    if len(body["messages"]) > 1:
        return chat("So <answer>6</answer>")
    tag = "search_query" if "search" in body["messages"][0]["content"] else "math_exp"
    return chat(f"First <{tag}>2 * 3</{tag}>")


@pytest.fixture
def fake(monkeypatch) -> Fake:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server = Fake(acts)
    transport = httpx2.MockTransport(server.respond)
    monkeypatch.setattr(catalog, "HttpPolicy", partial(HttpPolicy, transport=transport))
    return server


def test_a_run_is_generated_without_the_model_on_this_machine(fake: Fake, tmp_path: Path):
    run_stage("generate", tmp_path, CONFIG)
    written = (tmp_path / "trajectories.jsonl").read_text()
    assert written.count('"policy":"nobody/no-such-model@host"') == 12
    run = Run.open(tmp_path)
    requests = list(run.requests())
    assert len(requests) == len(fake.bodies) == 24
    assert {(request.stage, request.service, request.status) for request in requests} == {("generate", "policy", "ok")}
    assert requests[0].usd == pytest.approx((9 + 40) / 1e6)
    assert policy_of(run, "generate")._service.budget.spent == pytest.approx(24 * 49 / 1e6)


def test_what_was_answered_is_not_asked_again_until_it_is_redone(fake: Fake, tmp_path: Path):
    run_stage("generate", tmp_path, CONFIG)
    first = (tmp_path / "trajectories.jsonl").read_bytes()
    (tmp_path / "trajectories.jsonl").unlink()
    run_stage("generate", tmp_path, CONFIG)
    assert (tmp_path / "trajectories.jsonl").read_bytes() == first
    assert len(fake.bodies) == 24
    run_stage("generate", tmp_path, CONFIG, redo=True)
    assert (tmp_path / "trajectories.jsonl").read_bytes() == first
    assert len(fake.bodies) == 48


def test_replies_alone_do_not_hold_a_run_to_its_settings(fake: Fake, tmp_path: Path):
    run_stage("generate", tmp_path, CONFIG)
    (tmp_path / "trajectories.jsonl").unlink()
    other = replace(CONFIG, generate=replace(CONFIG.generate, samples=1))
    run_stage("generate", tmp_path, other)
    assert len(fake.bodies) == 24


def test_an_evaluation_before_training_asks_the_server(fake: Fake, tmp_path: Path):
    run_stage("evaluate", tmp_path, CONFIG)
    [file] = (tmp_path / "evaluation").iterdir()
    assert file.name == "before-arithmetic-greedy.jsonl"
    assert {body["temperature"] for body in fake.bodies} == {0.0}
    assert {request.stage for request in Run.open(tmp_path).requests()} == {"evaluate"}


def test_the_budget_goes_on_where_an_earlier_process_left_it(fake: Fake, tmp_path: Path):
    limited = replace(CONFIG, policy_server=replace(SERVER, budget_usd=0.0036))
    for _ in range(2):
        with pytest.raises(ServiceFailure, match="are spent"):
            run_stage("generate", tmp_path, limited)
    spent = sum(request.usd or 0.0 for request in Run.open(tmp_path).requests())
    assert 0 < spent <= 0.0036
    run_stage("generate", tmp_path, CONFIG)
    assert len(fake.bodies) == 24


def test_native_calls_are_in_the_rules(fake: Fake, tmp_path: Path):
    native = replace(CONFIG, policy_server=replace(SERVER, tools="native"))
    run_stage("generate", tmp_path, native)
    assert '"native_calls":true' in (tmp_path / "trajectories.jsonl").read_text()
    assert all(body["tools"] for body in fake.bodies)
    assert "<math_exp>" not in fake.bodies[0]["messages"][0]["content"]


def test_a_policy_on_this_machine_is_trained_to_write_tags(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run_stage("generate", tmp_path, replace(CONFIG, policy_server=replace(SERVER, tools="native")))
    run, training = Run.open(tmp_path), import_module("swirl.stages.train")
    monkeypatch.setattr(training, "kept_of", generated)
    states, _ = training._data(run)
    assert states
    assert all("<answer>" in render(state).messages[0].text for state in states)
    assert {
        "<math_exp>" in render(state).messages[0].text for state in states if state.question.task == "arithmetic"
    } == {True}


def test_a_warm_start_of_a_policy_behind_a_server_is_refused(fake: Fake, tmp_path: Path):
    warm = replace(CONFIG, warm_start=WarmStartConfig(questions=3))
    with pytest.raises(ConfigError, match="a warm start trains the model on this machine"):
        run_stage("generate", tmp_path, warm)
    assert not fake.bodies


def test_the_client_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from swirl.errors import MissingExtra
    from swirl.services import server

    monkeypatch.setattr(server, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="services"):
        run_stage("generate", tmp_path, CONFIG)


def test_results_are_measured_by_an_estimate_where_the_tokenizer_is_elsewhere():
    task = catalog.open_task("world")
    box = catalog.open_toolbox(task, policy=PolicyConfig(model="nobody/no-such-model"), served=True)
    assert box.tools["search"]._count("twelve signs") == 3
    own = catalog.open_toolbox(task, policy=PolicyConfig(), served=True)
    assert (own.tools["search"]._count("1 + 2 + 3"), box.tools["search"]._count("1 + 2 + 3")) == (5, 3)
