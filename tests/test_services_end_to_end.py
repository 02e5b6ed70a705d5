"""A run over HTTP with failures of every kind: nothing is lost, nothing is asked twice, no failure is a zero, no secret is told."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from faulty_server import Serving, serving
from server_plan import Plan
from swirl.cli import main
from swirl.errors import JudgeFailure, ServiceFailure
from swirl.judges import JudgeConfig, JudgeServerConfig
from swirl.policies import PolicyServerConfig
from swirl.recipe import load_recipe
from swirl.records import read
from swirl.run import Run
from swirl.services import asking
from swirl.settings import RunConfig
from swirl.stages import run_stage
from swirl.types import JudgedStep, PromptStyle, Trajectory, Verdict, VerdictStatus

SECRET = "sk-planted-0123456789/+=x"
MIXED = {
    "429": 0.03,
    "429_bare": 0.02,
    "500": 0.04,
    "503": 0.03,
    "slow": 0.02,
    "drip": 0.01,
    "drip_on": 0.01,
    "cut": 0.03,
    "closed": 0.03,
    "html": 0.02,
    "dropped": 0.03,
    "nonsense": 0.01,
    "echo": 0.02,
}
"""30 % in all."""
PASSING = {VerdictStatus.TIMED_OUT, VerdictStatus.JUDGE_DOWN}
CONCURRENCY = 16

Verdicts = dict[tuple[str, int], Verdict]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run folder with trajectories of over 500 steps that a server wrote, failing now and then."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OPENAI_API_KEY", SECRET)
        patched.setattr(asking, "pause", lambda attempt, asked_for=None: 0.01)
        folder = tmp_path_factory.mktemp("served") / "run"
        with serving(rates={"500": 0.05, "echo": 0.05, "closed": 0.05}, key=SECRET) as server:
            run_stage("generate", folder, configured(server))
        yield folder


@pytest.fixture
def folder(generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, with a store of replies of its own."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("SWIRL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(asking, "pause", lambda attempt, asked_for=None: 0.01)
    return Path(shutil.copytree(generated, tmp_path / "run"))


def configured(server: Serving, retries: int = 6) -> RunConfig:
    smoke = load_recipe("smoke").config
    limits = {"url": f"{server.url}/v1", "concurrency": CONCURRENCY, "retries": retries, "timeout": 1.0}
    return replace(
        smoke,
        generate=replace(smoke.generate, prompt=PromptStyle.BARE, questions=64, samples=2),
        judge=JudgeConfig(name="model", model="judge"),
        policy_server=PolicyServerConfig(model="model", **{**limits, "timeout": 30.0}),
        judge_server=JudgeServerConfig(model="judge", **limits),
    )


def verdicts(folder: Path) -> Verdicts:
    found: Verdicts = {}
    for record in read(folder / "verdicts.jsonl", JudgedStep):
        found[record.trajectory, record.step] = record.verdict
    return found


def replies_taken(folder: Path) -> int:
    """Of all requests that were made of the judge, how many it answered in time. (The server can't know: its answer may come too late.)"""
    return sum(each.service == "judge" and each.status == "ok" for each in Run.open(folder).requests())


def steps(folder: Path) -> set[tuple[str, int]]:
    trajectories = read(folder / "trajectories.jsonl", Trajectory)
    return {(each.id, index) for each in trajectories for index in range(len(each.steps))}


@pytest.fixture
def truth(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verdicts:
    """What the judge says of each step where nothing fails."""
    undisturbed = Path(shutil.copytree(folder, tmp_path / "undisturbed"))
    with monkeypatch.context() as patched, serving(Plan(key=SECRET)) as server:
        patched.setenv("SWIRL_CACHE", str(tmp_path / "undisturbed-cache"))
        run_stage("judge", undisturbed, configured(server))
    return verdicts(undisturbed)


@pytest.mark.slow
def test_with_thirty_percent_failing_every_verdict_is_right_or_missing_and_none_is_asked_for_twice(
    folder: Path, truth: Verdicts
) -> None:
    assert len(steps(folder)) >= 500
    with serving(rates=MIXED, key=SECRET, seed=7) as server:
        run_stage("judge", folder, configured(server, retries=1))
        found = verdicts(folder)
        assert set(found) == set(truth) == steps(folder)
        failed = {place for place, verdict in found.items() if verdict.status in PASSING}
        assert failed, "one retry is too few for all to succeed"
        for place, verdict in found.items():
            assert verdict == truth[place] if verdict.score is not None else verdict.status is not VerdictStatus.OK
        assert replies_taken(folder) <= len(server.log.attempts()), "what was answered is not asked again"

        run_stage("judge", folder, configured(server))
        again = verdicts(folder)
        assert not [place for place, verdict in again.items() if verdict.status in PASSING]
        assert all(again[place] == verdict for place, verdict in found.items() if verdict.status not in PASSING)
        assert replies_taken(folder) == len(server.log.attempts()), "each was answered once, and not asked again"

        asked = len(server.log.requests)
        run_stage("judge", folder, configured(server))
        assert len(server.log.requests) == asked
    assert server.log.most_in_flight <= CONCURRENCY


@pytest.mark.slow
def test_with_ninety_percent_failing_it_stops_with_the_error_and_keeps_everything(
    folder: Path, truth: Verdicts
) -> None:
    with serving(rates={"500": 0.5, "dropped": 0.2, "429": 0.2}, key=SECRET, seed=3) as server:
        with pytest.raises(JudgeFailure, match=r"verdicts are missing .*judge\.max_missing = 0\.5"):
            run_stage("judge", folder, configured(server, retries=0))
        assert len(server.log.requests) < len(truth) / 2, "it does not go on to the end"
    kept = verdicts(folder)
    assert {place for place, verdict in kept.items() if verdict.score is not None}
    assert all(verdict == truth[place] or verdict.status in PASSING for place, verdict in kept.items())
    with serving(Plan(key=SECRET)) as server:
        run_stage("judge", folder, configured(server))
        assert len(server.log.requests) <= len(truth) - sum(verdict.score is not None for verdict in kept.values())
    assert verdicts(folder) == truth


@pytest.mark.slow
@pytest.mark.parametrize("rates", [{"echo": 1.0}, {"html": 0.5, "echo": 0.5}], ids=["told back", "other pages"])
def test_a_planted_secret_is_in_no_file_no_line_and_no_error(
    rates: dict[str, float], folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(rates=rates, key=SECRET, permanent=True) as server:
        with pytest.raises((JudgeFailure, ServiceFailure)) as failure:
            run_stage("judge", folder, configured(server, retries=0))
        assert server.log.requests[0].authorised
    assert main(["judge", str(folder)]) != 0, "nobody listens any more"
    told = "".join(capfd.readouterr()) + str(failure.value) + repr(failure.value.__cause__)
    assert "cannot be used" in told
    parts = (SECRET, SECRET[:14], SECRET[-10:])
    assert not [part for part in parts if part in told]
    for file in [path for path in tmp_path.rglob("*") if path.is_file()]:
        content = file.read_bytes()
        assert not [part for part in parts if part.encode() in content], file
    assert list(Run.open(folder).requests()), "requests are on record"
