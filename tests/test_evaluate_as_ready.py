"""Evaluation of a policy behind a server: the files of one on this machine, no barrier between chunks, and one sentence where it fails."""

import asyncio
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from swirl.errors import ServiceFailure
from swirl.policies import TEXT, Completion, Policy, PolicyServerConfig, Sampling, Wants
from swirl.protocol import Prompt
from swirl.run import Run
from swirl.stages.evaluate import evaluate
from swirl.types import StopReason
from test_evaluate import config, records
from test_rollout_as_ready import PATIENCE, Batched, Served, by_hash

SERVER = PolicyServerConfig(url="http://127.0.0.1:9/v1")


def evaluated(path: Path, policy: Policy, server: PolicyServerConfig, monkeypatch: pytest.MonkeyPatch) -> Run:
    run = Run.create(path, replace(config(chunk=1, modes=("greedy",), samples=1), policy_server=server))
    models = sys.modules[evaluate.__module__]._Models  # type: ignore[attr-defined]
    monkeypatch.setattr(models, "policy", lambda self, when, config: policy)
    evaluate(run)
    return run


class SlowFirst(Served):
    """Answers the first question when the last one was asked."""

    def __init__(self) -> None:
        super().__init__(by_hash, in_flight=2, delays=(3, 1))
        self.questions: list[str] = []
        self._all_asked = threading.Event()

    async def ask(self, prompt: Prompt, sampling: Sampling, seed: int, wants: Wants = TEXT) -> Completion:
        question = prompt.messages[0].text
        if question not in self.questions:
            self.questions.append(question)
        if len(self.questions) == 4:
            self._all_asked.set()
        if question == self.questions[0]:
            assert await asyncio.to_thread(self._all_asked.wait, PATIENCE)
        return await super().ask(prompt, sampling, seed, wants)


def test_a_slow_answer_holds_no_other_question_up_and_files_are_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = evaluated(tmp_path / "here", Batched(by_hash), PolicyServerConfig(), monkeypatch)
    served = evaluated(tmp_path / "served", SlowFirst(), SERVER, monkeypatch)
    [file] = [path.name for path in here.evaluation.iterdir()]
    assert (served.evaluation / file).read_bytes() == (here.evaluation / file).read_bytes()
    assert len(records(served, "before-world-greedy")) == 4


@pytest.fixture
def question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The prompt of one of the questions."""
    policy = SlowFirst()
    evaluated(tmp_path / "first", policy, SERVER, monkeypatch)
    return policy.questions[0]


def failing(fault: str, question: str) -> Served:
    def reply(prompt: Prompt, seed: int) -> Completion:
        if prompt.messages[0].text == question:
            raise ServiceFailure(f"the server cannot be used: {fault}", fault)
        return by_hash(prompt, seed)

    return Served(reply)


def test_a_server_that_fails_stops_it(tmp_path: Path, question: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServiceFailure, match="cannot be used: down"):
        evaluated(tmp_path / "down", failing("down", question), SERVER, monkeypatch)


def test_refusals_are_told(
    tmp_path: Path, question: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = evaluated(tmp_path / "refused", failing("refused", question), SERVER, monkeypatch)
    assert "evaluate (before): the server refused to go on with 1 of 4 trajectories" in capsys.readouterr().err
    [refused] = [one for one in records(run, "before-world-greedy") if one.trajectory.stop is StopReason.REFUSED]
    assert refused.trajectory.answer is None
