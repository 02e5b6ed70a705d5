"""Generation by a policy behind a server: what has ended is kept, in any order, nothing is made twice, and equal runs have equal files."""

import asyncio
import gc
import random
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from swirl.errors import RunFolderError, ServiceFailure, ToolFailure
from swirl.policies import TEXT, Completion, Policy, PolicyServerConfig, Sampling, Wants
from swirl.protocol import Prompt
from swirl.records import Appender, read
from swirl.rollout import GenerateConfig
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.stages.generate import generate, generated
from swirl.stages.judge import judge
from swirl.tools.calculator import Calculator
from swirl.types import Observation, StopReason, Trajectory
from test_rollout_as_ready import Batched, Served, by_hash, one_call

CONFIG = RunConfig(
    generate=GenerateConfig(tasks=("arithmetic", "world"), questions=6, samples=2),
    policy_server=PolicyServerConfig(url="http://127.0.0.1:9/v1"),
)
TOTAL = 24


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[Policy], None]:
    """Has a policy stand for the one that the configuration names."""

    def use(policy: Policy) -> None:
        monkeypatch.setattr(sys.modules[generate.__module__], "policy_of", lambda run, stage: policy)

    return use


def delays() -> Sequence[int]:
    return random.choices(range(9), k=50)


def ids(run: Run) -> list[str]:
    return [trajectory.id for trajectory in read(run.trajectories, Trajectory)]


def test_equal_runs_have_equal_files_whatever_order_the_replies_come_in(
    tmp_path: Path, serve: Callable[[Policy], None]
) -> None:
    made = []
    for name, in_flight in (("one", 1), ("some", 5), ("many", 99)):
        run = Run.create(tmp_path / name, CONFIG)
        serve(Served(by_hash, in_flight, delays()))
        generate(run)
        made.append(run.trajectories.read_bytes())
    local = Run.create(tmp_path / "here", replace(CONFIG, policy_server=PolicyServerConfig()))
    serve(Batched(by_hash))
    generate(local)
    assert set(made) == {local.trajectories.read_bytes()}
    assert {trajectory.question.task for trajectory in generated(run)} == {"arithmetic", "world"}


def test_trajectories_that_are_written_are_held_no_longer(
    tmp_path: Path, serve: Callable[[Policy], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty thousand of them, with their token ids, are more than a machine has room for."""
    held: list[int] = []

    def note(label: str, made: object) -> None:
        ended = [one for one in gc.get_objects() if type(one) is Trajectory and one.stop and one.policy == "mine"]
        held.append(len(ended))

    monkeypatch.setattr(sys.modules[generate.__module__], "tell_refused", note)
    policy = Served(by_hash)
    policy.name = "mine"
    serve(policy)
    generate(Run.create(tmp_path, CONFIG))
    assert held[0] <= 1


class Asked(Served):
    """Notes which questions it was asked."""

    def __init__(self, fail_at: int = 10**9, fault: str = "down") -> None:
        super().__init__(by_hash, in_flight=3, delays=delays())
        self.prompts: list[Prompt] = []
        self._fail_at, self._fault = fail_at, fault

    async def ask(self, prompt: Prompt, sampling: Sampling, seed: int, wants: Wants = TEXT) -> Completion:
        self.prompts.append(prompt)
        if len(self.prompts) > self._fail_at:
            raise ServiceFailure("the policy's server cannot be used: it is down", self._fault)
        return await super().ask(prompt, sampling, seed, wants)


@pytest.fixture
def whole(tmp_path: Path, serve: Callable[[Policy], None]) -> bytes:
    serve(Served(by_hash))
    run = Run.create(tmp_path / "whole", CONFIG)
    generate(run)
    return run.trajectories.read_bytes()


@pytest.mark.parametrize("fail_at", [0, 5, 20, 40])
def test_a_server_that_fails_leaves_what_has_ended_and_the_same_command_makes_the_rest(
    fail_at: int, tmp_path: Path, whole: bytes, serve: Callable[[Policy], None], capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run.create(tmp_path / "run", CONFIG)
    serve(Asked(fail_at))
    capsys.readouterr()
    with pytest.raises(ServiceFailure, match="it is down"):
        generate(run)
    kept = ids(run)
    told = f"generate: {len(kept)} of {TOTAL} trajectories are there, and kept; the same command goes on"
    assert told in capsys.readouterr().err
    assert set(run.trajectories.read_bytes().splitlines()) <= set(whole.splitlines())
    with pytest.raises(RunFolderError, match=r"`generate` is unfinished"):
        judge(run)
    policy = Asked()
    serve(policy)
    generate(run)
    assert run.trajectories.read_bytes() == whole
    missing = [trajectory for trajectory in generated(run) if trajectory.id not in kept]
    last = sum(each.stop is StopReason.CONTEXT_TOO_LONG for each in missing)
    assert len(policy.prompts) == sum(len(each.steps) for each in missing) + last, "nothing is asked for what was kept"
    assert sum(call.count for call in run.laps() if call.item == "trajectories") == TOTAL


def test_a_run_that_was_cut_off_anywhere_is_completed(
    tmp_path: Path, whole: bytes, serve: Callable[[Policy], None]
) -> None:
    """In any order, with a torn line at the end, and with everything there but not in order."""
    lines = whole.splitlines(keepends=True)
    for number in (0, 1, 7, TOTAL):
        run = Run.create(tmp_path / f"cut{number}", CONFIG)
        random.shuffle(lines)
        run.trajectories.write_bytes(b"".join(lines[:number]) + lines[0][:40])
        serve(Served(by_hash))
        generate(run)
        assert run.trajectories.read_bytes() == whole


def test_what_is_there_already_opens_no_policy(
    tmp_path: Path, whole: bytes, serve: Callable[[Policy], None], capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run.open(tmp_path / "whole")
    policy = Asked(0)
    serve(policy)
    generate(run)
    assert policy.prompts == []
    assert f"generate: all {TOTAL} trajectories are there already" in capsys.readouterr().err


def test_refused_trajectories_are_told_and_kept(
    tmp_path: Path, serve: Callable[[Policy], None], capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run.create(tmp_path / "run", CONFIG)
    serve(Asked(5, "refused"))
    generate(run)
    refused = [trajectory for trajectory in generated(run) if trajectory.stop is StopReason.REFUSED]
    assert refused
    told = f"generate: the server refused to go on with {len(refused)} of {TOTAL} trajectories; calls.jsonl says why"
    assert told in capsys.readouterr().err


def test_a_broken_tool_stops_the_run_which_goes_on(
    tmp_path: Path, serve: Callable[[Policy], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.create(tmp_path / "run", replace(CONFIG, generate=replace(CONFIG.generate, tasks=("arithmetic",))))
    serve(Served(one_call))

    def broken(self: Calculator, calls: Sequence[object]) -> list[Observation]:
        raise ToolFailure("the service is down")

    with monkeypatch.context() as patched:
        patched.setattr(Calculator, "run", broken)
        with pytest.raises(ToolFailure, match="down"):
            generate(run)
    generate(run)
    assert {trajectory.stop for trajectory in generated(run)} == {StopReason.ANSWERED}


def test_ctrl_c_keeps_what_has_ended_and_cancels_what_is_under_way(
    tmp_path: Path, whole: bytes, serve: Callable[[Policy], None], ctrl_c: None
) -> None:
    cancelled, pressed, main = threading.Event(), list[int](), threading.main_thread().ident or 0

    class Stuck(Asked):
        """Stops answering after a while; then somebody presses Ctrl-C."""

        async def ask(self, prompt: Prompt, sampling: Sampling, seed: int, wants: Wants = TEXT) -> Completion:
            if len(self.prompts) >= 20:
                if not pressed:
                    pressed.append(self.count)
                    signal.pthread_kill(main, signal.SIGINT)
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    cancelled.set()
                    raise
            return await super().ask(prompt, sampling, seed, wants)

    run = Run.create(tmp_path / "run", CONFIG)
    serve(Stuck())
    with pytest.raises(KeyboardInterrupt):
        generate(run)
    assert cancelled.is_set()
    kept = set(run.trajectories.read_bytes().splitlines())
    assert kept
    assert kept < set(whole.splitlines())
    serve(Served(by_hash))
    generate(run)
    assert run.trajectories.read_bytes() == whole


def test_a_second_writer_is_refused(tmp_path: Path, serve: Callable[[Policy], None]) -> None:
    run = Run.create(tmp_path / "run", CONFIG)
    serve(Served(by_hash))
    with Appender(run.trajectories, Trajectory), pytest.raises(RunFolderError, match="written by another process"):
        generate(run)
