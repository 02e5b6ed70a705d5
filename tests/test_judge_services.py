"""Judging by a model behind a service: verdicts right or typed missing, never lost, never asked for twice, in the plan's order."""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from msgspec import structs

from answering import FAULTS, Answering, by_hash, failure
from playing import play
from swirl import catalog
from swirl.errors import ConfigError, JudgeFailure, RunFolderError, ServiceFailure
from swirl.evaluate import EvaluateConfig
from swirl.filters import Rule
from swirl.judges import JudgeConfig, JudgeServerConfig
from swirl.judges.grader import Grader
from swirl.judges.model import ServedJudge, judge_prompt
from swirl.policies.scripted import ScriptedPolicy
from swirl.records import Appender, log, read, write_json
from swirl.run import Run
from swirl.seeds import derive
from swirl.services.ledger import Request, Usage
from swirl.stages import run_stage, stream
from swirl.stages.calibrate import calibrate_judge
from swirl.stages.check import check
from swirl.stages.compare import compare
from swirl.stages.filter import select
from swirl.stages.judge import judge
from swirl.stages.judged import judgements
from swirl.stages.start import judge_server, training_questions
from swirl.stages.stream import sample_of
from swirl.stages.summing_up import update_summary, write_summary
from swirl.tasks.arithmetic import Arithmetic
from swirl.train import Metrics, TrainConfig
from swirl.train.loop import train as train_on_states
from swirl.types import (
    Answer,
    JudgedStep,
    Malformed,
    Question,
    Rules,
    Step,
    StopReason,
    Trajectory,
    Verdict,
    VerdictStatus,
)
from test_loop import SMALL, STATES
from test_stages import CONFIG
from word_model import word_model

SERVED = replace(
    CONFIG,
    generate=replace(CONFIG.generate, questions=16),
    judge=JudgeConfig(name="model", max_missing=1.0),
    judge_server=JudgeServerConfig(url="http://127.0.0.1:9/v1", model="qwen"),
)
Say = Callable[[str, int], str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Sixteen worked solutions, the last of them followed by a malformed action."""
    task, made = Arithmetic(), Run.create(tmp_path / "run", SERVED)
    questions = training_questions(made, task, 16)
    found = [play(question, task.demonstration(question) or []) for question in questions]
    found[-1] = structs.replace(found[-1], steps=(*found[-1].steps[:-1], Step(text="hm", action=Malformed("no tag"))))
    with Appender(made.trajectories, Trajectory) as out:
        out.append(found)
    return made


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answering]:
    """Has a function answer in place of the judge's server."""

    def served(say: Any, in_flight: int = 4) -> Answering:
        policy = Answering(say, in_flight)
        monkeypatch.setattr(catalog, "_served", lambda server, model: policy)
        return policy

    return served


def steps(run: Run) -> list[tuple[Trajectory, int]]:
    return [(each, index) for each in read(run.trajectories, Trajectory) for index in range(len(each.steps))]


def verdicts_by_id(run: Run) -> dict[str, tuple[Verdict, ...]]:
    return {trajectory.id: own for trajectory, (own,) in judgements(run, ["model"])}


def verdicts(run: Run) -> list[JudgedStep]:
    return list(read(run.verdicts("model"), JudgedStep))


def prompt_of(trajectory: Trajectory, index: int) -> str:
    return judge_prompt(sample_of(trajectory, index)).messages[0].text


def right(trajectory: Trajectory, index: int) -> float:
    """The verdict that `by_hash` gives."""
    if isinstance(trajectory.steps[index].action, Malformed):
        return 0.0
    return float("GOOD" in by_hash(prompt_of(trajectory, index), 0))


def fault_of(text: str) -> str:
    """Which way a request fails: about a third of them do, in every way."""
    draw = derive(1, text) % 15
    return (*FAULTS[:2], FAULTS[3], "nonsense", *FAULTS[:2][1:])[draw] if draw < 5 else ""


def failing(text: str, seed: int) -> str:
    fault = fault_of(text)
    if fault in FAULTS:
        raise failure(fault)
    return "I cannot say." if fault else by_hash(text, seed)


def test_every_verdict_is_right_or_typed_missing_and_none_is_a_zero_by_failure(
    run: Run, serve: Callable[..., Answering], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(failing)
    judge(run)
    found = {(one.trajectory, one.step): one for one in verdicts(run)}
    kinds: Counter[str] = Counter()
    for trajectory, index in steps(run):
        record, malformed = found[trajectory.id, index], isinstance(trajectory.steps[index].action, Malformed)
        fault = "" if malformed else fault_of(prompt_of(trajectory, index))
        status = {"": "ok", "nonsense": "unreadable", "down": "judge_down"}.get(fault, fault)
        assert record.verdict.status.value == status
        assert record.verdict.score == (None if fault else right(trajectory, index))
        assert (record.judge, record.view) == ("model/2/qwen", "step")
        kinds[status] += 1
    assert set(kinds) == {"ok", "unreadable", "judge_down", "refused", "timed_out"}
    said = capsys.readouterr().err
    total = len(found) - 1
    assert f"{len(found) - kinds['ok']} of {total} verdicts are missing (" in said
    assert f"{kinds['judge_down']} judge_down" in said
    assert "calculations" in said


def test_two_runs_whose_verdicts_come_in_another_order_have_equal_files(
    run: Run, serve: Callable[..., Answering]
) -> None:
    orders, files = [], []
    for seed in (1, 2):
        dice = random.Random(seed)
        done: list[str] = []

        async def slowly(text: str, seed: int, dice: random.Random = dice, done: list[str] = done) -> str:
            for _ in range(dice.randrange(20)):
                await asyncio.sleep(0)
            done.append(text)
            return by_hash(text, seed)

        serve(slowly, in_flight=8)
        judge(run)
        orders.append(done)
        files.append(run.verdicts("model").read_bytes())
        run.verdicts("model").unlink()
    assert orders[0] != orders[1]
    assert files[0] == files[1]
    records = [JudgedStep(trajectory=each.id, step=index, judge="", verdict=Verdict(1.0)) for each, index in steps(run)]
    run.verdicts("model").write_bytes(files[0])
    assert [(one.trajectory, one.step) for one in verdicts(run)] == [(one.trajectory, one.step) for one in records]


def test_what_is_there_is_not_asked_for_again_and_what_failed_in_passing_is(
    run: Run, serve: Callable[..., Answering], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(failing)
    judge(run)
    before = {(one.trajectory, one.step): one.verdict for one in verdicts(run)}
    passing = {place for place, one in before.items() if one.status.value in ("timed_out", "judge_down")}
    capsys.readouterr()
    policy = serve(by_hash)
    judge(run)
    assert (
        f"judge (model): {len(passing)} verdicts are missing for a reason that may have passed"
        in capsys.readouterr().err
    )
    asked = {text for text, _ in policy.asked}
    assert len(policy.asked) == len(passing) > 0
    for trajectory, index in steps(run):
        record = next(one for one in verdicts(run) if (one.trajectory, one.step) == (trajectory.id, index))
        if (trajectory.id, index) in passing:
            assert prompt_of(trajectory, index) in asked
            assert record.verdict.score == right(trajectory, index)
        else:
            assert record.verdict == before[trajectory.id, index]
    judge(run)
    assert len(policy.asked) == len(passing)


def in_step(monkeypatch: pytest.MonkeyPatch, say: Say, lead: int = 8) -> Callable[[str, int], Any]:
    """The same, never more than so many answers ahead of the stage."""
    asked = noted = 0
    note = stream._Watch.note

    def counting(self: Any, *about: Any) -> None:
        nonlocal noted
        note(self, *about)
        noted += 1

    async def waiting(text: str, seed: int) -> str:
        nonlocal asked
        asked += 1
        while asked - noted > lead:
            await asyncio.sleep(0.001)
        return say(text, seed)

    monkeypatch.setattr(stream._Watch, "note", counting)
    return waiting


class Killed(Exception):
    pass


def killing(monkeypatch: pytest.MonkeyPatch, moment: int, after: bool) -> Iterator[None]:
    """The process ends at the n-th group of verdicts, before or after it was written."""
    count, append = 0, Appender.append

    def dying(self: Appender[Any], records: Sequence[Any]) -> None:
        nonlocal count
        count += 1
        if count == moment and not after:
            raise Killed
        if count > moment:
            raise Killed
        append(self, records)
        if count == moment:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Appender, "append", dying)
        yield


@pytest.mark.parametrize("after", [False, True])
def test_asking_again_loses_nothing_wherever_it_is_killed(
    run: Run, serve: Callable[..., Answering], monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    serve(failing)
    judge(run)
    begin = run.verdicts("model").read_bytes()
    serve(by_hash, in_flight=1)
    judge(run)
    whole = run.verdicts("model").read_bytes()
    for moment in range(1, 100):
        run.verdicts("model").write_bytes(begin)
        ok = {(one.trajectory, one.step): one.verdict for one in verdicts(run) if one.verdict.score is not None}
        ended = False
        for _ in killing(monkeypatch, moment, after):
            try:
                judge(run)
                ended = True
            except Killed:
                found = verdicts_by_id(run)
                assert all(found[name][index] == verdict for (name, index), verdict in ok.items())
                kept = sum(verdict.score is not None for own in found.values() for verdict in own)
                assert kept >= len(ok)
        policy = serve(by_hash, in_flight=1)
        judge(run)
        assert run.verdicts("model").read_bytes() == whole
        if ended:
            assert not policy.asked
            break
    assert moment > 1
    assert ended


def test_a_judging_that_was_killed_goes_on_with_what_is_not_there(run: Run, serve: Callable[..., Answering]) -> None:
    serve(by_hash)
    judge(run)
    whole = run.verdicts("model").read_bytes()
    lines = whole.splitlines(keepends=True)
    random.Random(1).shuffle(lines)
    for kept in (0, 1, len(lines) // 2, len(lines)):
        run.verdicts("model").write_bytes(b"".join(lines[:kept]) + b'{"schema":"swirl.ver' * (kept > 0))
        policy = serve(by_hash)
        judge(run)
        assert run.verdicts("model").read_bytes() == whole
        assert len(policy.asked) in (len(lines) - kept, len(lines) - kept - 1), "the malformed one is not asked about"


def test_a_stage_that_builds_on_unfinished_verdicts_says_so(run: Run, serve: Callable[..., Answering]) -> None:
    serve(by_hash)
    judge(run)
    lines = run.verdicts("model").read_bytes().splitlines(keepends=True)
    run.verdicts("model").write_bytes(b"".join(lines[5:1:-1]))
    with pytest.raises(RunFolderError, match=rf"`judge` is unfinished \(4 of {len(lines)} verdicts\)"):
        select(run)


def test_too_many_missing_ones_stop_the_stage_early_and_everything_is_kept(
    run: Run, serve: Callable[..., Answering], monkeypatch: pytest.MonkeyPatch
) -> None:
    def mostly(text: str, seed: int) -> str:
        if derive(2, text) % 10:
            raise failure("down")
        return by_hash(text, seed)

    run.config = replace(run.config, judge=replace(run.config.judge, max_missing=0.5))
    policy = serve(in_step(monkeypatch, mostly))
    with pytest.raises(
        JudgeFailure, match=r"judge: \d+ of [23]\d verdicts are missing \(\d+ judge_down; on .*max_missing = 0.5"
    ):
        judge(run)
    assert 20 <= len(policy.asked) <= 20 + 8 + policy.in_flight
    kept = verdicts(run)
    assert len(kept) == len(policy.asked)
    assert all(
        one.verdict.score is None or one.verdict.score == by_place(run)[one.trajectory, one.step] for one in kept
    )
    again = serve(by_hash)
    judge(run)
    good = sum(one.verdict.score is not None for one in kept)
    assert len(again.asked) == len(steps(run)) - 1 - good


def by_place(run: Run) -> dict[tuple[str, int], float]:
    return {(trajectory.id, index): right(trajectory, index) for trajectory, index in steps(run)}


def test_a_few_old_ones_that_still_fail_do_not_stop_a_rerun(run: Run, serve: Callable[..., Answering]) -> None:
    """All that is asked again fails again, and that is far from half of all."""
    run.config = replace(run.config, judge=replace(run.config.judge, max_missing=0.5))

    def some(text: str, seed: int) -> str:
        if derive(3, text) % 5 < 2:
            raise failure("down")
        return by_hash(text, seed)

    for _ in range(2):
        serve(some)
        judge(run)


def test_unreadable_ones_that_are_too_many_in_the_end_are_an_error_that_says_redo(
    run: Run, serve: Callable[..., Answering]
) -> None:
    serve(lambda text, seed: "hm" if derive(3, text) % 5 < 2 else by_hash(text, seed))
    judge(run)
    run.config = replace(run.config, judge=replace(run.config.judge, max_missing=0.1))
    for stage in (judge, select):
        with pytest.raises(JudgeFailure, match=r"unreadable; .*max_missing = 0\.1.*--redo"):
            stage(run)


def test_over_budget_it_stops_with_what_to_raise_and_the_same_command_goes_on(
    run: Run, serve: Callable[..., Answering], monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0

    def until(text: str, seed: int) -> str:
        nonlocal count
        count += 1
        if count > 10:
            raise failure("over_budget")
        return by_hash(text, seed)

    policy = serve(in_step(monkeypatch, until))
    with pytest.raises(
        ServiceFailure,
        match=r"10 of \d+ verdicts are there and kept: raise judge_server\.budget_usd, then run `swirl judge",
    ) as caught:
        judge(run)
    assert caught.value.fault == "over_budget"
    assert len(policy.asked) <= 10 + 8 + policy.in_flight
    again = serve(by_hash)
    judge(run)
    assert len(again.asked) == len(steps(run)) - 1 - 10
    assert [one.verdict.score for one in verdicts(run)] == list(by_place(run).values())


def test_a_wrong_setting_stops_at_once_and_keeps_what_came(run: Run, serve: Callable[..., Answering]) -> None:
    count = 0

    def until(text: str, seed: int) -> str:
        nonlocal count
        count += 1
        if count > 10:
            raise failure("unusable")
        return by_hash(text, seed)

    policy = serve(until)
    with pytest.raises(ServiceFailure, match="unusable"):
        judge(run)
    assert len(verdicts(run)) == 10
    assert len(policy.asked) <= 10 + policy.in_flight


def test_verdicts_of_another_model_or_prompt_are_never_mixed(run: Run, serve: Callable[..., Answering]) -> None:
    serve(by_hash)
    judge(run)
    lines = run.verdicts("model").read_bytes().splitlines(keepends=True)
    run.verdicts("model").write_bytes(b"".join(lines[:5]).replace(b"model/2/", b"model/1/"))
    with pytest.raises(
        RunFolderError, match=r"holds verdicts of model/1/qwen, and the judge now is model/2/qwen.*--redo"
    ):
        judge(run)
    assert len(verdicts(run)) == 5


def test_a_judge_on_this_machine_does_not_drop_what_a_service_was_paid_for(
    run: Run, serve: Callable[..., Answering], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(by_hash)
    judge(run)
    lines = run.verdicts("model").read_bytes().splitlines(keepends=True)
    run.verdicts("model").write_bytes(b"".join(lines[9:4:-1]))
    run.config = replace(run.config, judge_server=JudgeServerConfig())
    monkeypatch.setattr(catalog, "open_policy", lambda config, seed: ScriptedPolicy(["GOOD"], name="tiny@abc"))
    with pytest.raises(RunFolderError, match="not comparable"):
        judge(run)
    assert len(verdicts(run)) == 5


def test_a_judge_on_this_machine_stops_where_too_many_are_unreadable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.config = replace(SERVED, judge=JudgeConfig(name="model"), judge_server=JudgeServerConfig())
    monkeypatch.setattr(catalog, "open_policy", lambda config, seed: ScriptedPolicy(["hm"]))
    with pytest.raises(JudgeFailure, match=r"unreadable; on"):
        judge(run)
    assert all(one.verdict.status is not VerdictStatus.JUDGE_DOWN for one in verdicts(run))


def test_a_served_judge_can_be_compared_with_one_that_knows(run: Run, serve: Callable[..., Answering]) -> None:
    serve(failing)
    found = compare(run, "model", "solver").whole
    assert found.missing == sum(one.verdict.score is None for one in verdicts(run))


# Whole trajectories.


def in_hindsight(run: Run) -> None:
    run.config = replace(run.config, judge=replace(run.config.judge, view="hindsight"))


def lines_of(text: str, seed: int) -> str:
    numbers = text.rsplit("Judge messages ", 1)[1].split(", each")[0].split(", ")
    return "\n".join(f"{number}: {'GOOD' if int(number) % 2 else 'BAD'}" for number in numbers)


def test_hindsight_asks_once_a_trajectory_and_is_recorded(run: Run, serve: Callable[..., Answering]) -> None:
    in_hindsight(run)
    policy = serve(lines_of)
    judge(run)
    assert len(policy.asked) == 16
    found = verdicts(run)
    assert {(one.view, one.judge) for one in found} == {("hindsight", "model/2-hindsight/qwen")}
    assert [(one.trajectory, one.step) for one in found] == [(each.id, index) for each, index in steps(run)]
    assert [one.verdict.score for one in found[:-1]] == [float(one.step % 2 == 0) for one in found[:-1]]
    assert found[-1].verdict == Verdict(0.0, "no tag")


def test_a_trajectory_that_was_half_written_is_judged_once_more_and_keeps_what_it_has(
    run: Run, serve: Callable[..., Answering]
) -> None:
    in_hindsight(run)
    serve(lines_of)
    judge(run)
    whole = run.verdicts("model").read_bytes()
    run.verdicts("model").write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    policy = serve(lines_of)
    judge(run)
    assert len(policy.asked) == 1
    assert run.verdicts("model").read_bytes() == whole


@pytest.mark.parametrize("reward", ["same", "model"])
def test_hindsight_as_a_reward_is_refused_before_anything_is_spent(reward: str) -> None:
    config = replace(SERVED, judge=JudgeConfig(name="model", view="hindsight", reward=reward))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="cannot reward fresh actions"):
        check(config, ["generate", "judge", "train"])
    check(config, ["judge"])
    check(replace(config, train=replace(config.train, objective="sft")), ["train"])
    check(replace(config, judge=replace(config.judge, reward="solver")), ["train"])


# What is refused, opened, written.


def test_graded_scores_of_a_model_on_this_machine_are_refused_before_anything_is_spent() -> None:
    graded = replace(SERVED, judge=JudgeConfig(name="model", graded=True))
    check(graded, ["judge"])
    with pytest.raises(ConfigError, match=r"judge\.graded = false"):
        check(replace(graded, judge_server=JudgeServerConfig()), ["judge"])


def test_what_timed_out_before_counts_in_the_budget_of_a_restarted_run(run: Run) -> None:
    """A line of an earlier version says nothing of it."""
    old = b'{"schema":"swirl.request/1","stage":"judge","service":"judge","model":"m","seconds":1.0,"usd":0.25}\n'
    run.calls.write_bytes(run.calls.read_bytes() + old if run.calls.exists() else old)
    timed_out = {"seconds": 600.0, "status": "timed_out", "attempts": 6, "usd_in_doubt": 0.5}
    log(run.calls, [Request(stage="judge", service="judge", model="m", **timed_out)])  # type: ignore[arg-type]
    server = judge_server(run, "judge")
    assert server is not None
    assert server.spent == 0.75


def test_judge_and_grader_are_told_what_was_spent_on_their_server_before(run: Run) -> None:
    asked = [
        Request(stage="judge", service=service, model="qwen", seconds=1.0, usd=usd)
        for service, usd in (("judge", 0.25), ("judge", None), ("grader", 0.5), ("judge", 0.5))
    ]
    log(run.calls, asked)
    for role, spent in (("judge", 1.25), ("grader", 1.25)):
        server = judge_server(run, "train", role)  # type: ignore[arg-type]
        assert server is not None
        assert (server.role, server.spent, server.ledger.stage) == (role, spent, "train")
    run.config = replace(run.config, judge_server=JudgeServerConfig())
    assert judge_server(run, "train") is None


def test_a_filter_drops_what_has_no_verdict_and_says_how_many_and_of_which_kind(
    run: Run, serve: Callable[..., Answering], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(failing)
    judge(run)
    capsys.readouterr()
    run.config = replace(run.config, filter=replace(run.config.filter, rule=Rule.PROCESS))
    decisions = {one.trajectory: one for one in select(run)}
    assert "filter (process): " in (said := capsys.readouterr().err)
    assert "verdicts are missing (" in said
    dropped = 0
    for each, own in verdicts_by_id(run).items():
        first = next((one for one in own if not one.good), None)
        if first is not None and first.score is None:
            dropped += 1
            assert decisions[each].reason.endswith(f"has no verdict ({first.status.value})")
        assert decisions[each].kept is (first is None)
    assert dropped


def test_a_grader_behind_a_service_is_missing_where_a_request_failed_and_stops_where_all_would() -> None:
    def finished(text: str) -> Trajectory:
        question = Question(id="q", task="t", text="Who?", answers=("Ada",))
        step = Step(text="", action=Answer(text))
        return Trajectory(id="q/0", question=question, rules=Rules(), steps=(step,), stop=StopReason.ANSWERED)

    def say(text: str, seed: int) -> str:
        for fault in (*FAULTS, "unusable"):
            if f"GIVEN ANSWER: {fault}" in text:
                raise failure(fault)
        return "CORRECT" if "GIVEN ANSWER: Ada" in text else "INCORRECT"

    grader = Grader(Answering(say))
    answers = ["Ada", "down", "Bo", "refused", "timed_out"]
    words = grader.grade([finished(text) for text in answers])
    assert [word.right for word in words] == [True, None, False, None, None]
    down, refused, timed_out = (words[place] for place in (1, 3, 4))
    assert [word.status for word in (down, refused, timed_out)] == ["judge_down", "refused", "timed_out"]
    assert "cannot be used: down" in down.reason
    with pytest.raises(ServiceFailure):
        grader.grade([finished("Ada"), finished("unusable")])
    words = grader.grade([finished("Ada"), *[finished("over_budget")] * 50])
    assert words[0].right
    assert words[1].status is VerdictStatus.OVER_BUDGET
    assert {word.status for word in words[1:]} <= {VerdictStatus.OVER_BUDGET, None}, "or not asked for any more"


def test_the_judges_server_grades_only_where_there_is_one() -> None:
    config = replace(SERVED, evaluate=EvaluateConfig(tasks=("arithmetic",), grader="judge_server"))
    check(config, ["evaluate"])
    with pytest.raises(ConfigError, match=r"needs judge_server\.url"):
        check(replace(config, judge_server=JudgeServerConfig()), ["evaluate"])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"judge": JudgeConfig(name="rule")}, True),
        ({"judge": JudgeConfig(name="rule", reward="model"), "train": TrainConfig(objective="sft")}, True),
        ({"judge": JudgeConfig(name="rule", reward="model")}, False),
        ({"judge": JudgeConfig(name="rule"), "evaluate": EvaluateConfig(grader="judge_server")}, False),
        ({"judge": JudgeConfig(name="rule"), "judge_server": JudgeServerConfig()}, False),
    ],
)
def test_a_server_that_nobody_asks_is_told_once(
    run: Run, changes: dict[str, Any], told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    run.config = replace(SERVED, **changes)
    for _ in range(2):
        judge(run)
        assert capsys.readouterr().err.count("nobody in this run asks that server (the judge is `rule`)") == told


def test_a_judge_that_is_named_beside_the_runs_own_asks_the_server(
    run: Run, serve: Callable[..., Answering], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(by_hash)
    run.config = replace(SERVED, judge=JudgeConfig(name="rule"))
    judge(run, ["model"])
    assert "nobody" not in capsys.readouterr().err


# Training.


def test_the_gradient_with_a_failing_judge_is_that_of_exactly_these_verdicts_missing(tmp_path: Path) -> None:
    """The weights too, to the last bit: a verdict that failed counts in neither reward nor baseline."""
    config = replace(SMALL, max_missing=1.0)

    class Told:
        """Says what the failing judge is known to say, with no service in sight."""

        name = "told"

        def judge(self, samples: Sequence[Any]) -> list[Verdict]:
            found = []
            for sample in samples:
                text = judge_prompt(sample).messages[0].text
                missing = Verdict(None, status=VerdictStatus.REFUSED)
                found.append(missing if fault_of(text) else Verdict(float("GOOD" in by_hash(text, 0))))
            return found

    metrics, weights = [], []
    for name, judging in (("served", ServedJudge(Answering(failing))), ("told", Told())):
        lm = word_model(tmp_path / "model")
        train_on_states(lm, STATES, judging, config, seed=1, folder=tmp_path / name)
        metrics.append((tmp_path / name / "metrics.jsonl").read_bytes())
        weights.append((tmp_path / name / "model" / "model.safetensors").read_bytes())
    assert sum(update.missing.total for update in read(tmp_path / "served" / "metrics.jsonl", Metrics)) > 3
    assert metrics[0] == metrics[1]
    assert weights[0] == weights[1]


# Calibration


@pytest.mark.parametrize("view", ["step", "hindsight"])
def test_the_judge_that_is_measured_is_the_one_behind_the_service_on_adversarial_actions_too(
    run: Run, serve: Callable[..., Answering], view: Literal["step", "hindsight"]
) -> None:
    def kindly(text: str, seed: int) -> str:
        numbers = re.search(r"Judge messages ([0-9, ]+),", text)
        return "\n".join(f"{number}: GOOD" for number in numbers[1].split(", ")) if numbers else "GOOD"

    run.config = replace(SERVED, judge=JudgeConfig(name="model", view=view, reward="rule"))
    policy = serve(kindly)
    judge(run)
    before = len(policy.asked)
    found = calibrate_judge(run, "solver")
    assert found.judge == ("model/2/qwen" if view == "step" else "model/2-hindsight/qwen")
    assert len(policy.asked) - before == sum(each.accepted.n for each in found.families) > 0
    assert all(each.accepted.count == each.accepted.n and not each.missing.count for each in found.families)


def test_verdicts_of_an_older_prompt_are_not_measured_as_those_of_the_judge_of_now(
    run: Run, serve: Callable[..., Answering]
) -> None:
    serve(by_hash)
    judge(run)
    run.verdicts("model").write_bytes(run.verdicts("model").read_bytes().replace(b"model/2/", b"model/1/"))
    with pytest.raises(RunFolderError, match=r"holds verdicts of model/1/qwen, and the judge now is model/2/qwen"):
        calibrate_judge(run, "solver")


def test_what_a_calibration_costs_stands_in_the_summary_at_once(
    run: Run, serve: Callable[..., Answering], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledgers = [run.ledger("judge")]

    def noted(text: str, seed: int) -> str:
        usage = Usage(tokens_in=100, tokens_out=10)
        ledgers[-1].note(Request(stage="judge", service="judge", model="qwen", seconds=1.0, usage=usage, usd=0.5))
        return by_hash(text, seed)

    serve(noted)
    judge(run)
    before = len(list(run.requests()))
    write_summary(run, [], None, None, {})
    told = json.loads(run.summary.read_text())
    assert [one["requests"] for one in told["services"]] == [before]
    write_json(run.summary, {**told, "of another version": 1})
    run_stage("judge", run.path, run.config, calibrate="solver")
    asked = len(list(run.requests()))
    assert asked > before
    [found] = json.loads(run.summary.read_text())["services"]
    assert (found["requests"], found["usd"]) == (asked, 0.5 * asked)
    after = json.loads(run.summary.read_text())
    spending = ("services", "seconds", "peak_memory_mb")
    assert {name: value for name, value in after.items() if name not in spending} == {
        name: value for name, value in {**told, "of another version": 1}.items() if name not in spending
    }


@pytest.mark.parametrize("written", [None, "{", "[]"])
def test_a_summary_that_is_not_there_or_broken_stays_so(run: Run, written: str | None) -> None:
    if written is not None:
        run.summary.write_text(written)
    update_summary(run)
    assert (run.summary.read_text() if run.summary.exists() else None) == written
