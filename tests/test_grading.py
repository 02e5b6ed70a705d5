"""A grader's words that are missing: asked for again by a rerun where that may help, and never so many that nobody is told."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from answering import Answering, failure
from swirl.errors import JudgeFailure, ServiceFailure
from swirl.evaluate import EvaluatedTrajectory
from swirl.judges import JudgeConfig, JudgeServerConfig
from swirl.judges.grader import Grader
from swirl.judges.missing import hopeless
from swirl.policies.scripted import ScriptedPolicy
from swirl.run import Run
from swirl.seeds import derive
from swirl.stages.evaluate import evaluate
from swirl.types import VerdictStatus
from test_evaluate import config, records

Say = Callable[[str, int], str | Awaitable[str]]
Grade = Callable[[Say], Answering]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Forty questions, answered at once, in two chunks."""
    stage = sys.modules[evaluate.__module__]
    policy = ScriptedPolicy(lambda prompt, seed: f"<answer>{derive(0, prompt.messages[0].text) % 100}</answer>")
    monkeypatch.setattr(stage._Models, "policy", lambda self, when, config: policy)  # type: ignore[attr-defined]
    settings = config(questions=40, chunk=20, modes=("greedy",), samples=1, grader="judge_server")
    server = JudgeServerConfig(url="http://127.0.0.1:9/v1")
    return Run.create(tmp_path / "run", replace(settings, judge_server=server, judge=JudgeConfig(name="rule")))


@pytest.fixture
def grading(monkeypatch: pytest.MonkeyPatch) -> Grade:
    """Has a function grade."""

    def by(say: Say) -> Answering:
        policy = Answering(say)
        stage = sys.modules[evaluate.__module__]
        monkeypatch.setattr(stage, "open_grader", lambda *_: Grader(policy))
        return policy

    return by


@pytest.fixture
def in_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str, int], str]], Say]:
    """Has a function answer no faster than its words are counted, but for eight."""

    def stepping(say: Callable[[str, int], str]) -> Say:
        asked = counted = 0

        def counting(*counts: float, **named: float) -> bool:
            nonlocal counted
            counted += 1
            return hopeless(*counts, **named)  # type: ignore[arg-type]

        async def slowly(text: str, seed: int) -> str:
            nonlocal asked
            asked += 1
            while asked > counted + 8:
                await asyncio.sleep(0.001)
            return say(text, seed)

        monkeypatch.setattr("swirl.stages.grading.hopeless", counting)
        return slowly

    return stepping


def answers(run: Run) -> list[EvaluatedTrajectory]:
    return records(run, "before-world-greedy")


def right(text: str, seed: int = 0) -> str:
    return "CORRECT" if derive(4, text) % 2 else "INCORRECT"


def failing(text: str, seed: int) -> str:
    """A third fails in one way or another."""
    draw = derive(5, text) % 9
    if draw < 2:
        raise failure(("down", "timed_out")[draw])
    return "Who knows." if draw == 2 else right(text)


def test_words_that_failed_in_passing_are_asked_for_again_and_no_others(
    run: Run, grading: Grade, capsys: pytest.CaptureFixture[str]
) -> None:
    grading(failing)
    evaluate(run)
    first = answers(run)
    missing = [one for one in first if one.judged is None]
    passing = [one for one in missing if one.grading in (VerdictStatus.JUDGE_DOWN, VerdictStatus.TIMED_OUT)]
    assert 0 < len(passing) < len(missing) < 20
    assert {one.grading for one in first} >= {None, VerdictStatus.UNREADABLE}
    policy = grading(right)
    capsys.readouterr()
    evaluate(run)
    assert f"words on {len(passing)} answers are missing; they are asked for again" in capsys.readouterr().err
    assert len(policy.asked) == len(passing)
    second = answers(run)
    assert [one.judged is None for one in second] == [one.grading is VerdictStatus.UNREADABLE for one in first]
    assert [one.trajectory for one in second] == [one.trajectory for one in first]
    evaluate(run)
    assert len(policy.asked) == len(passing), "nothing is left to ask for"


def test_answers_of_an_earlier_version_whose_grade_is_missing_are_asked_for_again(run: Run, grading: Grade) -> None:
    grading(right)
    evaluate(run)
    file = run.evaluation / "before-world-greedy.jsonl"
    whole = file.read_bytes()
    assert b'"grading"' not in whole, "as before, where nothing is missing"
    file.write_bytes(whole.replace(b'"judged":true,', b""))
    policy = grading(right)
    evaluate(run)
    assert len(policy.asked) == whole.count(b'"judged":true,') > 0
    assert file.read_bytes() == whole


def test_too_many_missing_words_stop_it_and_what_came_is_kept(
    run: Run, grading: Grade, in_step: Callable[[Callable[[str, int], str]], Say]
) -> None:
    def down(text: str, seed: int) -> str:
        raise failure("down")

    run.config = replace(run.config, evaluate=replace(run.config.evaluate, chunk=40))
    policy = grading(in_step(down))
    with pytest.raises(
        JudgeFailure,
        match=r"^evaluate \(grader\): [23]\d of [23]\d verdicts are missing \([23]\d judge_down; on [23]\d answers\), more than "
        r"judge\.max_missing = 0\.5 allows \(the last that failed: .*cannot be used: down\)"
        r".*mend the grader, then run `swirl evaluate .*failed in passing",
    ):
        evaluate(run)
    assert 20 <= len(policy.asked) <= 20 + 8 + policy.in_flight, "it does not go on to the end"
    assert len(answers(run)) == 40, "answers are kept"
    assert not run.summary.exists()
    again = grading(right)
    evaluate(run)
    assert len(again.asked) == 40
    assert all(one.judged is not None for one in answers(run))


def test_unreadable_words_that_are_too_many_are_an_error_until_more_are_allowed(run: Run, grading: Grade) -> None:
    policy = grading(lambda text, seed: "hm" if derive(6, text) % 4 else right(text))
    for _ in range(2):
        with pytest.raises(JudgeFailure, match=r"unreadable; on .*--redo`, or allow more"):
            evaluate(run)
    assert len(answers(run)) == 40
    asked = len(policy.asked)
    run.config = replace(run.config, judge=replace(run.config.judge, max_missing=1.0))
    evaluate(run)
    assert len(policy.asked) == asked == 40
    assert run.summary.exists()


def test_a_few_that_fail_again_do_not_stop_a_rerun(run: Run, grading: Grade) -> None:
    for _ in range(2):
        grading(failing)
        evaluate(run)


def test_over_budget_everything_that_came_is_kept_and_the_same_command_goes_on(
    run: Run, grading: Grade, in_step: Callable[[Callable[[str, int], str]], Say]
) -> None:
    count = 0

    def until(text: str, seed: int) -> str:
        nonlocal count
        count += 1
        if count > 10:
            raise failure("over_budget")
        return right(text)

    policy = grading(in_step(until))
    with pytest.raises(
        ServiceFailure, match=r"are kept: raise judge_server\.budget_usd, then run `swirl evaluate"
    ) as it:
        evaluate(run)
    assert it.value.fault == "over_budget"
    assert len(policy.asked) <= 10 + 8 + policy.in_flight
    assert sum(one.judged is not None for one in answers(run)) == 10
    again = grading(right)
    evaluate(run)
    assert len(again.asked) == 30
    assert all(one.judged is not None for one in answers(run))
