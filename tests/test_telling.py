"""What a tracker is told of an evaluation and of sampled actions: the figures of the summary, and texts that are on record."""

from dataclasses import replace
from itertools import chain
from pathlib import Path

import msgspec
import pytest

from healthy_run import CONFIG, make
from sampled import put_on_record, sampled_action, sampled_state
from swirl.evaluate import EvaluatedTrajectory
from swirl.records import Appender, read
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.stages import run_stage
from swirl.stages.summing_up import write_summary
from swirl.stages.telling import headline, sampled_actions, tell_evaluation
from swirl.summary import read_summary
from swirl.train import TrainConfig
from tracker_double import Double, double_of_trackers

TRACKED = replace(CONFIG, train=TrainConfig(tracker="wandb"))


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Double:
    return double_of_trackers(monkeypatch)


def add_a_second_policy(run: Run) -> None:
    """Which answered as the first did, but for one question that it got right."""
    [path] = run.evaluation.glob("before-*.jsonl")
    first, *others = read(path, EvaluatedTrajectory)
    right = msgspec.structs.replace(first, grade=msgspec.structs.replace(first.grade, correct=True))
    later = path.with_name(path.name.replace("before", "after"))
    with Appender(later, EvaluatedTrajectory) as out:
        out.append([msgspec.structs.replace(one, policy="after") for one in (right, *others)])
    write_summary(run, [path, later], "rule", None, {})


def test_an_evaluation_is_told_once_with_trajectories_and_again_where_it_came_out_otherwise(
    tmp_path: Path, double: Double
) -> None:
    folder = tmp_path / "mine"
    make(folder, TRACKED, ["generate", "judge", "filter", "evaluate"])
    run_stage("evaluate", folder, TRACKED)
    [told] = double.runs.values()
    figures = read_summary(folder)["greedy"]["before"]
    assert told == [(1, headline(read_summary(folder)))]
    assert told[0][1]["arithmetic/greedy/accuracy/policy"] == figures["accuracy"]
    assert told[0][1]["arithmetic/greedy/accuracy/policy/high"] == figures["accuracy_ci95"][1]
    assert {about["name"] for about in double.opened} == {"mine/evaluate"}
    [(_, name, rows)] = double.tables
    [record, *_] = chain.from_iterable(read(path, EvaluatedTrajectory) for path in folder.glob("evaluation/*.jsonl"))
    question, steps = record.trajectory.question, record.trajectory.steps
    assert name == "samples/trajectories"
    assert rows[0][1:6] == ["", "arithmetic, greedy, policy: wrong", "wrong", question.text, question.answers[0]]
    assert rows[0][6:10] == [1, steps[0].text, steps[0].observation.text, "GOOD" if record.verdicts[0].good else "BAD"]
    assert rows[0][10] == record.verdicts[0].reason
    add_a_second_policy(Run(folder, TRACKED))
    tell_evaluation(Run(folder, TRACKED))
    assert len(double.runs) == 2
    kinds = [row[1] for row in double.tables[-1][2]]
    assert kinds[0] == "wrong before, right after"
    assert "wrong both times" in kinds
    gained = headline(read_summary(folder))
    assert gained["arithmetic/greedy/gain/low"] <= gained["arithmetic/greedy/gain"] == pytest.approx(1 / 3)


def test_a_tracker_that_is_told_changes_no_result(tmp_path: Path, double: Double) -> None:
    make(tmp_path / "told", TRACKED)
    make(tmp_path / "untold", CONFIG)
    files = [path.relative_to(tmp_path / "told") for path in (tmp_path / "told" / "evaluation").iterdir()]
    assert files
    for file in files:
        assert (tmp_path / "told" / file).read_bytes() == (tmp_path / "untold" / file).read_bytes()
    assert double.runs


def test_a_tracker_that_breaks_costs_an_evaluation_nothing(
    tmp_path: Path, double: Double, capsys: pytest.CaptureFixture[str]
) -> None:
    double.breaks_at = 1
    make(tmp_path / "mine", TRACKED)
    said = capsys.readouterr().err
    assert said.count("evaluate: wandb failed (no network) and is told no more; summary.json has all") == 1
    assert (tmp_path / "mine" / "summary.json").exists()


def test_without_a_tracker_nothing_is_read(tmp_path: Path, double: Double) -> None:
    tell_evaluation(Run(tmp_path / "there is none", RunConfig()))
    assert not double.opened


def test_of_a_training_the_first_states_of_checkpoints_are_told(tmp_path: Path) -> None:
    assert sampled_actions(tmp_path / "train", 2) == []
    states = [
        sampled_state(update, place, sampled_action(f"action at {place}", None, 0.5), step=2)
        for update in (1, 2, 3, 4, 5)
        for place in (3, 7)
    ]
    put_on_record(tmp_path, *states)
    [table] = sampled_actions(tmp_path / "train", 2)
    assert [row[0] for row in table.rows] == [2, 4, 5]
    assert table.rows[0] == (2, "world", "q/0", 3, "action at 3", None, 0.5, ""), "steps are counted from 1"
