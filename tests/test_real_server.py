"""A real server: `transformers serve` on this machine, with the bundled model (or that of SWIRL_TEST_MODEL), asked over HTTP."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import httpx2
import pytest

from swirl.engine import BUNDLED, PolicyConfig
from swirl.engine.model import load, locate
from swirl.errors import ServiceFailure
from swirl.policies import Finish, Sampling
from swirl.policies.http import HttpPolicy
from swirl.policies.local import LocalPolicy
from swirl.protocol import CLOSING_TAGS, render
from swirl.rollout import begin, rollout
from swirl.services import ServerConfig
from swirl.services.asking import Service
from swirl.services.ledger import Ledger
from swirl.tasks.arithmetic import Arithmetic
from swirl.tools import Toolbox
from swirl.tools.calculator import Calculator
from swirl.types import PromptStyle, Rules, Trajectory

MISSING = [name for name in ("fastapi", "uvicorn", "openai", "torch", "transformers") if find_spec(name) is None]
MODEL = os.environ.get("SWIRL_TEST_MODEL", BUNDLED)
GREEDY = Sampling(temperature=0.0, max_tokens=24, max_context=512)
LONGEST_START = 300.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"what serves a model is not installed: {', '.join(MISSING)}"),
]


def states(count: int) -> list[Trajectory]:
    rules = Rules(prompt=PromptStyle.BARE, tools=("calculator",), max_calls=4)
    return [begin(question, rules) for question in islice(Arithmetic().questions("test", 0), count)]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    words = [str(locate(MODEL)), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("wb") as out:
        program = Path(sys.executable).with_name("transformers")
        with subprocess.Popen([program, "serve", *words], stdout=out, stderr=out, env=environment) as process:
            try:
                wait_until_ready(f"http://127.0.0.1:{port}", process, log)
                yield f"http://127.0.0.1:{port}/v1"
            finally:
                process.terminate()
                process.wait(60)


def wait_until_ready(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + LONGEST_START
    with httpx2.Client(trust_env=False) as client:
        while time.monotonic() < end:
            assert process.poll() is None, f"the server ended: {log.read_text(errors='replace')[-2000:]}"
            try:
                if client.get(f"{address}/health").status_code == 200:
                    return
            except httpx2.TransportError:
                time.sleep(0.1)
    raise AssertionError(f"the server was not ready in time: {log.read_text(errors='replace')[-2000:]}")


def served(address: str, model: str = "", **settings: object) -> tuple[HttpPolicy, Ledger]:
    """The server as a policy, and the ledger of what it is asked."""
    config = ServerConfig(url=address, model=model or str(locate(MODEL)), concurrency=2, **settings)  # type: ignore[arg-type]
    ledger = Ledger()
    service = Service("the policy's server", config, ledger, role="policy", model="m")
    return HttpPolicy(config, MODEL, service), ledger


def test_a_real_server_answers_in_tags(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    policy, ledger = served(address)
    asked = states(4)
    completions = [one for [one] in policy.complete([render(state) for state in asked], GREEDY, [[1]] * len(asked))]
    assert ledger.num_requests == len(asked)
    assert all(completion.text for completion in completions)
    for completion in completions:
        closed = [tag for tag in CLOSING_TAGS if tag in completion.text]
        assert completion.finish is (Finish.STOP if closed else completion.finish)
        assert not closed or completion.text.rstrip().endswith(closed[0])
    said = capsys.readouterr().err
    assert "Traceback" not in said


@pytest.mark.skipif(MODEL != BUNDLED, reason="another model is served in another number format")
def test_greedy_trajectories_are_those_of_the_engine(address: str) -> None:
    policy, _ = served(address)
    local = LocalPolicy(load(PolicyConfig(device="cpu", threads=1)))
    own, over_http = (rollout(states(6), each, Toolbox([Calculator()]), GREEDY) for each in (local, policy))
    assert [[step.text for step in trajectory.steps] for trajectory in over_http] == [
        [step.text for step in trajectory.steps] for trajectory in own
    ]
    assert [trajectory.stop for trajectory in over_http] == [trajectory.stop for trajectory in own]
    assert sum(len(trajectory.steps) for trajectory in own) > len(own)


def test_a_wrong_model_is_told_in_one_sentence(address: str) -> None:
    policy, _ = served(address, "no-such-model", retries=0)
    with pytest.raises(ServiceFailure, match="no-such-model") as failure:
        policy.complete([render(states(1)[0])], GREEDY, [[1]])
    assert failure.value.fault == "unusable"
