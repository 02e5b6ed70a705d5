"""What a run would ask: never less than it does at most, what is there is not asked for again, and nothing is sent or written."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from swirl.cli import main
from swirl.decisive import STAGES
from swirl.estimate import Estimate, Known, estimate, rows, total
from swirl.evaluate import EvaluateConfig, EvaluatedTrajectory
from swirl.judges import JudgeConfig, JudgeServerConfig
from swirl.judges.hindsight import hindsight_prompt
from swirl.judges.model import judge_prompt
from swirl.policies import PolicyServerConfig, Sampling
from swirl.recipe import load_recipe
from swirl.records import Appender
from swirl.retrieval import SearchConfig
from swirl.rollout import GenerateConfig, begin
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.stages.dry_run import estimated
from swirl.stages.stream import sample_of
from swirl.tasks import Grade
from swirl.train import TrainConfig
from swirl.types import (
    Answer,
    JudgedStep,
    Malformed,
    Observation,
    PromptStyle,
    Question,
    Rules,
    Step,
    StopReason,
    ToolCall,
    Trajectory,
    Verdict,
    VerdictStatus,
)
from swirl.volume import Volume, Way, plays, tokens

URL = "http://127.0.0.1:1/v1"
RULES = Rules(tools=("search",), max_calls=5)
QUESTIONS = [Question(id=f"q{i}", task="t", text="Where was she born?", answers=("Port Lumen",)) for i in range(10)]
KNOWN = Known(training=[(RULES, QUESTIONS)], held_out=[(RULES, QUESTIONS[:4])])
CONFIG = RunConfig(
    policy_server=PolicyServerConfig(url=URL, usd_per_million_in=1.0, usd_per_million_out=10.0),
    judge_server=JudgeServerConfig(url=URL, usd_per_million_in=2.0, usd_per_million_out=20.0),
    search=SearchConfig(url=URL),
    generate=GenerateConfig(questions=10, samples=2),
    judge=JudgeConfig(name="model"),
    train=TrainConfig(updates=3, states=4, actions=5),
    evaluate=EvaluateConfig(questions=4, modes=("sampled", "greedy"), samples=3, grader="judge_server"),
)


def by_place(found: Sequence[Estimate]) -> dict[tuple[str, str], Estimate]:
    return {(one.stage, one.service): one for one in found}


def finished(question: Question, sample: int, *actions: ToolCall | Answer | Malformed) -> Trajectory:
    steps = tuple(
        Step(text="x" * 40, action=action, observation=Observation("y" * 80) if isinstance(action, ToolCall) else None)
        for action in actions
    )
    state = begin(question, RULES, sample=sample)
    return Trajectory(id=state.id, question=question, rules=RULES, sample=sample, steps=steps, stop=StopReason.ANSWERED)


CALL, ANSWER = ToolCall("search", "where"), Answer("Port Lumen")


def test_requests_are_those_that_the_rules_allow_and_no_more() -> None:
    found = by_place(estimate(CONFIG, KNOWN))
    assert list(found) == [
        ("generate", "policy"),
        ("generate", "search"),
        ("judge", "judge"),
        ("train", "judge"),
        ("evaluate", "policy"),
        ("evaluate", "search"),
        ("evaluate", "grader"),
    ]
    requests = {place: (one.about.requests, one.most.requests) for place, one in found.items()}
    assert requests["generate", "policy"] == (20 * 3, 20 * 6)
    assert requests["generate", "search"] == (20 * 2, 20 * 5)
    assert requests["judge", "judge"] == (20 * 3, 20 * 6)
    assert requests["train", "judge"] == (60, 60)
    assert requests["evaluate", "policy"] == (16 * 3, 16 * 6), "the trained policy is on this machine"
    assert requests["evaluate", "search"] == (32 * 2, 32 * 5)
    assert requests["evaluate", "grader"] == (32, 32)
    assert found["generate", "policy"].most.tokens_out == 120 * 256
    assert found["judge", "judge"].most.tokens_out == 120 * 512


def test_dollars_are_those_of_the_tokens_and_unknown_where_a_price_is() -> None:
    one = by_place(estimate(CONFIG, KNOWN))["generate", "policy"]
    assert one.usd_most == pytest.approx((one.most.tokens_in + 10 * one.most.tokens_out) / 1e6, rel=1e-4)
    unpriced = replace(CONFIG, judge_server=JudgeServerConfig(url=URL))
    found = estimate(unpriced, KNOWN)
    assert by_place(found)["judge", "judge"].usd_most is None
    told = {row[:2]: row[-1] for row in rows(found, STAGES)}
    assert told["judge", "judge"] == "unknown / unknown"
    assert told["all", ""] == "unknown / unknown"
    assert told["filter", "-"] == told["generate", "search"] == "-"


def test_what_is_there_is_not_asked_for_again() -> None:
    trajectories = [finished(question, sample, CALL, ANSWER) for question in QUESTIONS for sample in (0, 1)]
    part = by_place(estimate(CONFIG, structs_known(trajectories=trajectories[:5])))
    assert part["generate", "policy"].most.requests == 15 * 6
    assert part["generate", "policy"].about.requests == 15 * 2, "as those recorded go"
    assert part["judge", "judge"].most.requests == 5 * 2 + 15 * 6
    judged = {(trajectory.id, 0) for trajectory in trajectories}
    whole = by_place(estimate(CONFIG, structs_known(trajectories=trajectories, judged=judged, updates=2)))
    assert whole["generate", "policy"].most == Volume()
    assert whole["generate", "policy"].usd_most == 0.0
    assert whole["judge", "judge"].most.requests == whole["judge", "judge"].about.requests == 20
    assert whole["train", "judge"].most.requests == 20
    evaluated = [
        EvaluatedTrajectory(
            policy="before",
            task="t",
            mode="greedy",
            prompt=PromptStyle.TERSE,
            trajectory=finished(question, 0, CALL, ANSWER),
            grade=Grade(correct=True),
            judged=True,
        )
        for question in QUESTIONS[:4]
    ]
    rest = by_place(estimate(CONFIG, structs_known(evaluated=evaluated)))
    assert rest["evaluate", "policy"].most.requests == 12 * 6
    assert rest["evaluate", "grader"].most.requests == 28
    lost = [
        structs.replace(one, judged=None, grading=why)
        for one, why in zip(
            evaluated, (VerdictStatus.TIMED_OUT, VerdictStatus.UNREADABLE, VerdictStatus.REFUSED, None), strict=True
        )
    ]
    rest = by_place(estimate(CONFIG, structs_known(evaluated=lost)))
    assert rest["evaluate", "grader"].most.requests == 28 + 2, "those that failed in passing, or were never asked for"


def structs_known(**changes: Any) -> Known:
    return Known(training=KNOWN.training, held_out=KNOWN.held_out, **changes)


def test_malformed_actions_are_not_judged_and_hindsight_is_a_request_a_trajectory() -> None:
    trajectories = [finished(question, 0, CALL, Malformed("no tag")) for question in QUESTIONS]
    config = replace(CONFIG, generate=replace(CONFIG.generate, samples=1))
    known = structs_known(trajectories=trajectories)
    assert by_place(estimate(config, known))["judge", "judge"].most.requests == 10
    votes = JudgeConfig(name="model", view="hindsight", votes=3, temperature=1.0, reward="rule")
    found = by_place(estimate(replace(config, judge=votes), known))
    assert found["judge", "judge"].most.requests == 30
    assert ("train", "judge") not in found


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("calls", [0, 1, 10])
def test_no_prompt_of_a_judge_is_longer_than_at_most(form: str, calls: int) -> None:
    call = ToolCall("search", "where was the founder of Port Lumen born, and when")
    trajectory = finished(QUESTIONS[0], 0, *[call] * calls, ANSWER)
    config = replace(CONFIG, generate=replace(CONFIG.generate, questions=1, samples=1))
    known = structs_known(trajectories=[trajectory])
    asked = [judge_prompt(sample_of(trajectory, index), form) for index in range(calls + 1)]
    most = by_place(estimate(config, known))["judge", "judge"].most
    assert most.tokens_in >= sum(tokens(prompt.messages[0].text) for prompt in asked)
    hindsight = replace(config, judge=JudgeConfig(name="model", view="hindsight", reward="rule"))
    whole = tokens(hindsight_prompt(trajectory, form).messages[0].text)
    assert by_place(estimate(hindsight, known))["judge", "judge"].most.tokens_in >= whole


def test_without_services_nothing_is_asked() -> None:
    assert estimate(RunConfig(), KNOWN) == []
    assert [row[:2] for row in rows([], STAGES)] == [*((stage.replace("_", " "), "-") for stage in STAGES), ("all", "")]


def test_several_runs_are_added_up() -> None:
    one = estimate(CONFIG, KNOWN)
    twice = by_place(total([one, one]))
    for place, each in by_place(one).items():
        assert twice[place].most == each.most.times(2)
        assert twice[place].usd_about == (None if each.usd_about is None else 2 * each.usd_about)


@settings(deadline=None)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 256), st.integers(0, 512)), min_size=1, max_size=6),
    first=st.integers(1, 4000),
    max_context=st.integers(300, 4096),
)
def test_no_trajectory_takes_more_than_at_most(lengths: list[tuple[int, int]], first: int, max_context: int) -> None:
    """Each step writes some tokens and finds some; a prompt that leaves no room ends it."""
    question = Question(id="q", task="t", text="x" * 4 * first)
    [play] = plays([(RULES, question, 1)], Sampling(max_tokens=256, max_context=max_context), (), 512)
    prompt, asked = play.most.first, Volume()
    for action, found in lengths:
        if prompt > max_context - 256:
            break
        asked = asked.plus(Volume(1.0, prompt, float(action)))
        prompt += action + min(action, 100) + found
    most = play.most.asked()
    assert all(mine <= its + 1e-6 for mine, its in zip(asked, most, strict=True))
    assert all(mine <= its + 1e-6 for mine, its in zip(play.about.asked(), most, strict=True))


def test_parts_of_steps_count_in_part() -> None:
    assert Way(first=10, steps=2.5, action=4, growth=6, room=100).asked() == Volume(2.5, 10 + 16 + 11, 10)
    assert Way(first=10, steps=3, action=4, growth=6, room=12).asked().tokens_in == 10 + 12 + 12


def everything(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


FLAGS = ["--judge.name", "model", "--judge-server.url", URL, "--judge-server.usd-per-million-in", "1"]


def test_a_dry_run_sends_nothing_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    words = ["run", "smoke", "--dry-run", *FLAGS, "--judge-server.usd-per-million-out", "2", "--out", "runs/x"]
    assert main(words) == 0
    said = capsys.readouterr().out
    table = [line.split() for line in said.splitlines()]
    assert next(row for row in table if row[:1] == ["judge"])[:5] == ["judge", "judge", "144", "/", "408"]
    assert next(row for row in table if row[:1] == ["filter"])[1:] == ["-"] * 5
    assert "Nothing was sent" in said
    assert all(len(line) <= 80 for line in said.splitlines())
    assert everything(tmp_path) == {}


def test_a_dry_run_over_a_run_folder_counts_what_is_left_and_touches_nothing(tmp_path: Path) -> None:
    config = replace(load_recipe("smoke").config, judge=JudgeConfig(name="model"), judge_server=CONFIG.judge_server)
    run = Run.create(tmp_path / "run", config)
    fresh = by_place(estimated(run.path, config))["judge", "judge"].most.requests
    verdicts = [
        JudgedStep(trajectory="q0/0", step=step, judge="model", verdict=verdict)
        for step, verdict in enumerate(
            [
                Verdict(1.0),
                Verdict(None, status=VerdictStatus.TIMED_OUT),
                Verdict(None, status=VerdictStatus.UNREADABLE),
            ]
        )
    ]
    with Appender(run.trajectories, Trajectory) as out:
        out.append([finished(QUESTIONS[0], 0, CALL, CALL, ANSWER)])
    with Appender(run.verdicts("model"), JudgedStep) as judged:
        judged.append(verdicts)
    before = everything(tmp_path)
    assert by_place(estimated(run.path, config))["judge", "judge"].most.requests == fresh + 1, "the one that timed out"
    assert everything(tmp_path) == before


def test_a_dry_run_refuses_what_the_run_would_refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run.create(tmp_path / "run", load_recipe("smoke").config)
    run.trajectories.write_bytes(b'{"torn')
    assert main(["run", "smoke", "--dry-run", "--seed", "9", "--out", str(run.path)]) == 2
    assert "holds a run with other settings" in " ".join(capsys.readouterr().err.split())


def test_a_dry_run_of_a_study_adds_up_its_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = load_recipe("filters").study
    assert study is not None
    number = len(study.seeds) * len(study.arms)
    assert (
        main(
            [
                "run",
                "filters",
                "--dry-run",
                "--generate.questions",
                "3",
                "--evaluate.questions",
                "3",
                "--out",
                str(tmp_path),
            ]
        )
        == 0
    )
    assert f"{number} runs together" in capsys.readouterr().out
    assert everything(tmp_path) == {}
