"""A run of several shards: each stage goes through all of them, in parts and by several processes, and comes to what one file comes to."""

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from playing import ANSWER, CALL, shown
from swirl import locks
from swirl.cli import main
from swirl.decompose import decompose
from swirl.errors import ConfigError, JudgeFailure, RecordError, RunFolderError
from swirl.exports import Item
from swirl.exports.states import lines, rows
from swirl.generation import GenerateConfig
from swirl.judges import JudgeConfig, StepSample
from swirl.judges.adversarial import draw
from swirl.policies.scripted import ScriptedPolicy
from swirl.records import Appender
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.shards import Part, shard, shards, trajectories
from swirl.stages import run_part, run_stage
from swirl.stages.calibrate import calibrate_judge
from swirl.stages.filter import kept_of, select
from swirl.stages.generate import generate, generated
from swirl.stages.judge import judge, measured
from swirl.stages.judged import judgements
from swirl.stages.outline import outline, outlined
from swirl.stages.states import write_states
from swirl.types import Observation, Question, Rules, Step, ToolCall, Trajectory, Verdict, VerdictStatus

CONFIG = RunConfig(
    generate=GenerateConfig(tasks=("arithmetic", "world_sums"), questions=3, samples=2, shard=5, chunk=1),
    judge=JudgeConfig(name="rule"),
    workers=1,
)
"""Twelve trajectories, four a shard, and a shard with questions of both tasks."""


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy whose samples differ."""
    policy = ScriptedPolicy(lambda prompt, seed: CALL if len(prompt.messages) < 2 + seed % 5 else ANSWER)
    monkeypatch.setattr(import_module("swirl.stages.generate"), "policy_of", lambda run, stage: policy)


def create(folder: Path, shard: int = CONFIG.generate.shard, workers: int = 1) -> Run:
    return Run.create(folder, replace(CONFIG, generate=replace(CONFIG.generate, shard=shard), workers=workers))


def files(run: Run) -> dict[str, bytes]:
    """What is in its shards."""
    return {path.name: path.read_bytes() for path in sorted(run.path.glob("*.jsonl")) if path.name != "calls.jsonl"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = create(tmp_path / "run")
    generate(made)
    return made


def test_whole_questions_are_in_one_shard_in_their_order_whatever_its_size(run: Run, tmp_path: Path) -> None:
    one = create(tmp_path / "one", shard=1000)
    generate(one)
    assert [len(path.read_bytes().splitlines()) for path in shards(run.trajectories)] == [4, 4, 4]
    assert b"".join(path.read_bytes() for path in shards(run.trajectories)) == one.trajectories.read_bytes()
    assert [path.name for path in shards(one.trajectories)] == ["trajectories.jsonl"]
    small = create(tmp_path / "small", shard=1)
    assert [each.num_trajectories for each in outline(small)] == [2] * 6, "the samples of a question stay together"


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_shard_that_was_cut_off_is_made_again_and_the_others_are_left_alone(
    run: Run, lost: int, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, path = files(run), shards(run.trajectories)[lost]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]) + b'{"torn')
    others = {each: each.stat().st_mtime_ns for each in shards(run.trajectories) if each != path}
    generate(run)
    assert files(run) == whole
    assert {each: each.stat().st_mtime_ns for each in others} == others
    assert "generate: 2 trajectories, 10 were there already" in capsys.readouterr().err
    generate(run)
    assert "generate: all 12 trajectories are there already" in capsys.readouterr().err


def test_no_stage_goes_on_from_a_shard_that_is_not_whole(run: Run) -> None:
    judge(run)
    second = shards(run.trajectories)[1]
    lines = second.read_bytes().splitlines(keepends=True)
    second.write_bytes(b"".join(lines[:3]))
    for stage in (judge, measured):
        with pytest.raises(RunFolderError, match=r"unfinished \(3 of 4 trajectories in trajectories-00001.jsonl\)"):
            stage(run)
    with pytest.raises(RunFolderError, match=r"`generate` is unfinished"):
        select(run)
    second.write_bytes(b"".join(lines))
    verdicts = shards(run.verdicts("rule"))[2]
    verdicts.write_bytes(b"")
    with pytest.raises(RunFolderError, match=r"`judge` is unfinished \(0 of \d+ verdicts in verdicts-00002.jsonl\)"):
        measured(run)
    with pytest.raises(RunFolderError, match=r"`judge` is unfinished"):
        select(run)


def test_a_shard_that_is_lost_in_between_is_missed(run: Run) -> None:
    shards(run.trajectories)[1].unlink()
    with pytest.raises(RecordError, match=r"expected .*trajectories-00001.jsonl"):
        list(trajectories(run.path))
    with pytest.raises(RunFolderError, match=r"0 of 4 trajectories in trajectories-00001.jsonl"):
        list(generated(run))


def test_ids_are_unique_over_all_shards(run: Run) -> None:
    questions = [Question(id=name, task="t", text="?") for name in "abcdefga"]
    with pytest.raises(ConfigError, match="t: expected questions with ids of their own, found two with the id 'a'"):
        outlined(run, questions)


def test_parts_make_what_one_process_makes(run: Run, tmp_path: Path) -> None:
    judge(run)
    parted = create(tmp_path / "parted")
    for text in ("2/2", "1/2"):
        run_part("generate", parted.path, parted.config, Part.read(text))
        run_part("judge", parted.path, parted.config, Part.read(text))
    assert files(parted) == files(run)


def test_a_part_is_made_while_others_are_and_judged_while_others_are_not_there(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    run_part("generate", run.path, run.config, Part(2, 3))
    assert [path.stat().st_size > 0 for path in shards(run.trajectories)] == [False, True, False]
    run_part("judge", run.path, run.config, Part(2, 3))
    assert [path.stat().st_size > 0 for path in shards(run.verdicts("rule"))] == [False, True, False]
    assert len(list(trajectories(run.path))) == 4
    with pytest.raises(RunFolderError, match=r"unfinished \(0 of 4 trajectories\)"):
        run_part("judge", run.path, run.config, Part(1, 3))
    run_part("generate", run.path, run.config, Part(7, 9))
    with Appender(shard(run.trajectories, 0), Trajectory), pytest.raises(RunFolderError, match="another process"):
        run_part("generate", run.path, run.config, Part(1, 3))


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "a/b", "1/2/3", "1/0"])
def test_a_part_that_is_none_is_one_sentence(text: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", str(run.path), "--part", text]) == 2
    assert "error: --part: expected which part of how many, e.g. 2/8" in capsys.readouterr().err


def test_parts_at_work_have_the_same_settings_and_nobody_starts_anew(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, told in (
        (["--redo"], "--part: expected no --redo beside it"),
        (["--compare", "rule", "random"], "--part: expected neither --compare nor --calibrate"),
    ):
        assert main(["judge", str(run.path), "--part", "1/2", *words]) == 2
        assert told in capsys.readouterr().err
    other = replace(run.config, generate=replace(run.config.generate, temperature=0.5))
    with pytest.raises(
        RunFolderError, match=r"being worked on with other settings \(generate.temperature: 1.0 -> 0.5\)"
    ):
        Run.open(run.path).join(other)
    Run.open(run.path).join(replace(run.config, workers=3))


def test_a_part_notices_what_another_process_changed_while_nobody_held_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = create(tmp_path / "run")
    other = replace(CONFIG, seed=2)

    def changed(file: int, path: Path) -> None:
        Run(path, other).write_config()
        wait(file, path)

    wait = locks._wait
    monkeypatch.setattr(locks, "_wait", changed)
    with pytest.raises(RunFolderError, match=r"being worked on with other settings \(seed: 2 -> 1\)"):
        run_part("generate", mine.path, mine.config, Part(1, 2))
    assert not shards(mine.trajectories)


class Sometimes:
    """A model that answers all but the first two questions."""

    name = "model"

    def __init__(self) -> None:
        self.asked = 0

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        first, self.asked = self.asked, self.asked + len(samples)
        return [
            Verdict(1.0) if place >= 2 else Verdict(None, "?", VerdictStatus.UNREADABLE)
            for place in range(first, self.asked)
        ]


def test_how_many_verdicts_may_be_missing_is_a_share_of_all_shards(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [len(each.steps) for each in generated(run)]
    share = 2.5 / sum(steps)
    assert share < 2 / sum(steps[:4]), "in the first shard more are missing"
    monkeypatch.setattr(import_module("swirl.stages.judge"), "open_judge", lambda *settings: Sometimes())
    run.config = replace(run.config, judge=JudgeConfig(name="model", max_missing=share))
    judge(run)
    assert len(list(judgements(run, ["model"]))) == 12
    run.remove_from("judge")
    run.config = replace(run.config, judge=JudgeConfig(name="model", max_missing=share / 2))
    with pytest.raises(JudgeFailure, match=r"2 of .* verdicts are missing"):
        judge(run)


def test_no_time_is_noted_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()
    monkeypatch.setattr("swirl.run.time.perf_counter", lambda: float(next(ticks)))
    run = create(tmp_path / "run")
    start = next(ticks)
    for stage in (generate, judge, select):
        stage(run)
    assert {lap.stage for lap in run.laps()} == {"generate", "judge", "filter"}
    assert run.seconds() <= next(ticks) - start


def test_no_result_depends_on_the_number_of_processes(run: Run, tmp_path: Path) -> None:
    judge(run)
    select(run)
    states = [write_states(run, tmp_path / "by one", every=True)]
    two = create(tmp_path / "two", workers=2)
    generate(two)
    judge(two)
    select(two)
    states.append(write_states(two, tmp_path / "by two", every=True))
    assert files(two) == files(run)
    assert two.selection.read_bytes() == run.selection.read_bytes()
    written = [{path.name: path.read_bytes() for path in tmp_path.glob(f"by {name}/*")} for name in ("one", "two")]
    assert written[0] == written[1]
    assert sorted(written[0]) == ["states-00001.jsonl", "states-00002.jsonl", "states.jsonl"]
    assert states == [sum(data.count(b"\n") for data in written[0].values())] * 2


def test_what_shards_come_to_is_what_one_file_comes_to(run: Run, tmp_path: Path) -> None:
    one = create(tmp_path / "one", shard=1000)
    generate(one)
    for each in (run, one):
        judge(each)
        select(each)
    assert one.selection.read_bytes() == run.selection.read_bytes()
    assert list(kept_of(one)) == list(kept_of(run))
    assert list(judgements(one, ["rule"])) == list(judgements(run, ["rule"]))
    assert measured(one) == measured(run)
    run_stage("judge", run.path, run.config, compare=("rule", "solver"))
    assert len(shards(run.verdicts("solver"))) == 3
    first, second = (calibrate_judge(each, "solver") for each in (run, one))
    assert structs.replace(first, made_of={}) == structs.replace(second, made_of={})
    assert len(first.made_of) == 9


def test_a_stage_that_is_done_again_removes_all_its_shards(run: Run) -> None:
    judge(run)
    run.remove_from("judge")
    assert [path.name for path in run.path.glob("verdicts*")] == []
    assert len(shards(run.trajectories)) == 3
    run.remove_from("generate")
    assert shards(run.trajectories) == []


def test_states_are_those_of_what_the_filter_keeps(run: Run, tmp_path: Path) -> None:
    judge(run)
    select(run)
    found = write_states(run, tmp_path / "states")
    expected = [state for each in kept_of(run) for state in decompose(each)]
    files = shards(tmp_path / "states" / "states.jsonl")
    written = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    assert found == len(written) == len(expected)
    assert [row["messages"] for row in written] == [shown(state) for state in expected]
    assert [(row["trajectory"], row["step"]) for row in written] == [(s.id, len(s.steps)) for s in expected]


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


@st.composite
def made(draw: st.DrawFn) -> Trajectory:
    steps = [
        Step(text=text, action=ToolCall("calculator", text), observation=Observation(result), token_ids=(1, 2))
        for text, result in draw(st.lists(st.tuples(TEXTS, TEXTS), max_size=4))
    ]
    question = Question(id=draw(TEXTS), task="t", text=draw(TEXTS))
    rules = Rules(tools=("calculator",), native_calls=draw(st.booleans()))
    return Trajectory(id=f"{question.id}/0", question=question, rules=rules, steps=tuple(steps))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(made(), max_size=3))
def test_states_are_the_prompts_that_the_protocol_renders_and_lines_are_their_rows(found: Sequence[Trajectory]) -> None:
    told = list(rows(Item(each) for each in found))
    tagged = [structs.replace(each, rules=structs.replace(each.rules, native_calls=False)) for each in found]
    assert [row["messages"] for row in told] == [shown(state) for each in tagged for state in decompose(each)]
    assert [json.loads(line) for each in lines(found) for line in each] == told


def test_states_are_drawn_as_from_a_list(run: Run) -> None:
    class Again:
        def __iter__(self):
            return (state for each in generated(run) for state in decompose(each))

    assert draw(Again(), seed=3, most=5) == draw(list(Again()), seed=3, most=5)
    assert len(draw(Again(), seed=3, most=5)) == 5
