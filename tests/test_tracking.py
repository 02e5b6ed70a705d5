"""Trackers: what they are told, that a resumed run goes on in them, and that training never ends with them."""

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from importlib.util import find_spec
from pathlib import Path
from string import punctuation

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl import tracking
from swirl.errors import ConfigError, MissingExtra, RecordError
from swirl.run import Run
from swirl.settings import RunConfig, configure
from swirl.stages.check import check
from swirl.stages.train import noting, tracker
from swirl.tracking import Table, Tracked, Tracker, scalars
from swirl.tracking.tensorboard import markdown
from swirl.train import ByAction, Metrics, TrainConfig, UpdateTiming
from tracker_double import Double, double_of_trackers

TRACKERS = ("tensorboard", "trackio", "wandb")
TRACKED = Tracked("mine", "train", {"updates": 3}, {"seed": 1}, Path("nowhere"))


def metrics(update: int) -> Metrics:
    missing, sampled = ByAction(answer=2), ByAction(tool_call=5, answer=2, malformed=1)
    return Metrics(
        update=update,
        num_samples=8,
        loss=0.5,
        grad_norm=1.5,
        learning_rate=0.1,
        mean_tokens=6.0,
        reward=update / 8,
        tokens_read=90,
        missing=missing,
        sampled=sampled,
    )


def timing(update: int) -> UpdateTiming:
    return UpdateTiming.between([0.0, 2.0, 3.0, 6.0], update=update - 1)


def tell(name: str, updates: Sequence[int], tracked: Tracked = TRACKED) -> None:
    with Tracker(name, tracked) as told:
        for update in updates:
            told.log(metrics(update), timing(update))


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Double:
    return double_of_trackers(monkeypatch)


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_is_told_each_update_once_also_by_a_run_that_goes_on(name: str, double: Double) -> None:
    tell(name, [1, 2, 3])
    tell(name, [3, 4])
    [told] = double.runs.values()
    assert [update for update, _ in told] == [1, 2, 3, 4]
    assert told[0][1] == scalars(metrics(1), timing(1))
    assert double.closed == 2


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_that_fails_does_not_stop_training(
    name: str, double: Double, capsys: pytest.CaptureFixture[str]
) -> None:
    double.breaks_at = 2
    tell(name, [1, 2, 3])
    [told] = double.runs.values()
    assert [update for update, _ in told] == [1]
    said = capsys.readouterr()
    assert said.err.count(f"train: {name} failed (no network) and is told no more; training goes on") == 1
    assert not said.out, "what a tracker prints is not a result"


def test_what_is_told_has_the_verdicts_that_are_missing_by_kind_and_the_speed() -> None:
    found = scalars(metrics(4), timing(4))
    assert found["reward"] == 0.5
    assert (found["missing/answer"], found["missing/tool_call"]) == (2.0, 0.0)
    assert (found["tokens_per_second/sample"], found["tokens_per_second/learn"]) == (24.0, 30.0)
    assert found["seconds"] == 6.0
    assert "kl" not in found, "what was not measured is not zero"


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_another_training_is_another_run_in_the_tracker(name: str, double: Double) -> None:
    for tracked in (
        TRACKED,
        TRACKED._replace(stage="warm_start"),
        TRACKED._replace(settings={"updates": 4}),
        TRACKED._replace(config={"seed": 2}),
    ):
        tell(name, [1], tracked)
    assert len(double.runs) == 4
    assert {about["group"] for about in double.opened} == {"mine"}
    assert double.opened[0]["resume"] == "allow"


def test_nothing_is_loaded_before_the_first_update(double: Double) -> None:
    with Tracker("wandb", TRACKED):
        assert not double.opened
    assert not double.closed


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_that_is_not_installed_is_named_with_its_extra_before_anything_is_done(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda package: None)
    config = configure({"train": {"tracker": name}})
    for stage in ("train", "warm_start"):
        with pytest.raises(MissingExtra, match=rf"needs the extra `{name}` .* pip install 'swirl-rl\[{name}\]'"):
            check(replace(config, warm_start=replace(config.warm_start, questions=2)), [stage])
    check(config, ["generate", "warm_start", "evaluate"])


def test_a_stage_tells_its_updates_and_settings_without_places(tmp_path: Path, double: Double) -> None:
    table = {"policy": {"model": "/home/me/models/mine"}, "train": {"tracker": "wandb"}}
    run = Run.create(tmp_path / "mine", configure(table))
    done: list[tuple[int, str]] = []
    with tracker(run, "train", run.config.train) as told:
        noting(run, "train", lambda count, note="": done.append((count, note)), told)(metrics(1), timing(1))
    [about] = double.opened
    assert (about["name"], about["project"], done) == ("mine/train", "swirl", [(1, "reward 0.12, 23 tokens/s")])
    assert about["config"]["policy"]["model"] == "mine"
    assert about["config"]["train"]["updates"] == run.config.train.updates


def test_the_tracker_is_no_part_of_what_a_run_is(tmp_path: Path, double: Double) -> None:
    folder = tmp_path / "mine"
    (Run.create(folder, RunConfig()).path / "train").mkdir()
    other = RunConfig(train=TrainConfig(tracker="wandb"))
    run = Run.create(folder, other)
    assert run.config.train.tracker == "wandb"
    run.reconfigure("train", RunConfig(), redo=False)
    assert run.config.train.tracker == "none"
    names = {tracker(Run(folder, config), "train", config.train).tracked.id for config in (RunConfig(), other)}
    assert len(names) == 1


def test_the_warm_start_has_no_tracker_of_its_own() -> None:
    with pytest.raises(ConfigError, match=r"warm_start.train.tracker: set train.tracker"):
        configure({"warm_start": {"train": {"tracker": "wandb"}}})


def test_tables_are_made_where_anybody_listens_and_one_that_cannot_be_made_ends_nothing(
    double: Double, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreadable() -> list[Table]:
        raise RecordError("samples.jsonl: expected a record")

    with Tracker("none", TRACKED) as told:
        told.tell({}, 1, unreadable)
    with Tracker("wandb", TRACKED) as told:
        told.tell({}, 1, list)
        assert not double.opened, "there is nothing to tell"
        told.tell({"reward": 1.0}, 1, unreadable)
        told.log(metrics(2), timing(2))
    assert not double.runs
    assert capsys.readouterr().err.count("train: wandb failed (samples.jsonl: expected a record)") == 1


HOSTILE = "<script>alert(1)</script> | *a* [b](javascript:c) `d`\n# e\n    f\x1b[2J\u202eg &lt;"


@given(st.text())
@settings(deadline=None, max_examples=50)
def test_nothing_in_a_cell_is_markup_for_tensorboard(text: str) -> None:
    shown = markdown(Table("samples", ["action"], [[text]]).readable())
    assert len(shown.splitlines()) == 3
    marks = set(re.sub(r"&#\d+;|&nbsp;|<br>", "", shown.splitlines()[2])[2:-2]) & set(punctuation)
    assert not marks


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard, an extra of its own, is not installed")
@pytest.mark.filterwarnings("default")
def test_tensorboard_shows_a_table_whose_cells_are_read_as_they_stand(tmp_path: Path) -> None:
    with Tracker("tensorboard", TRACKED._replace(folder=tmp_path)) as told:
        told.tell({"reward": 1.0}, 1, lambda: [Table("samples", ["action", "reward"], [[HOSTILE, None]])])
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.text.text_plugin import text_array_to_html
    from tensorboard.util.tensor_util import make_ndarray

    shown = EventAccumulator(str(tmp_path / "tensorboard"))
    shown.Reload()
    [event] = shown.Tensors("samples")
    page = text_array_to_html(make_ndarray(event.tensor_proto), True)
    assert set(re.findall(r"</?(\w+)", page)) == {"table", "thead", "tbody", "tr", "th", "td", "br"}
    [cell, _] = re.findall(r"<td>(.*?)</td>", page, re.DOTALL)
    said = unescape(cell.replace("<br>", "\n")).replace("\xa0", " ")
    assert said == HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")


TOLD = """
import sys
from pathlib import Path
from swirl.tracking import Table, Tracked, Tracker
tracked = Tracked("mine", "evaluate", {}, {"seed": 1}, Path(sys.argv[2]))
for _ in range(2):
    with Tracker(sys.argv[1], tracked) as told:
        told.tell({"accuracy": 0.5}, 1, lambda: [Table("samples/some", ["action", "reward"], [[sys.argv[3], None], ["b", 1.0]])])
"""


def told_by_itself(name: str, folder: Path, **environment: str) -> str:
    """What a process says that tells a real tracker something, twice over."""
    command = [sys.executable, "-c", TOLD, name, str(folder), HOSTILE.partition("\x1b")[0]]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    assert not done.stdout
    return done.stderr


@pytest.mark.skipif(find_spec("trackio") is None, reason="trackio, an extra of its own, is not installed")
def test_trackio_keeps_numbers_and_a_table_once(tmp_path: Path) -> None:
    said = told_by_itself("trackio", tmp_path, TRACKIO_DIR=str(tmp_path))
    assert "failed" not in said
    with contextlib.closing(sqlite3.connect(tmp_path / "swirl.db")) as database:
        [(step, row)] = database.execute("SELECT step, metrics FROM metrics").fetchall()
        [(config,)] = database.execute("SELECT config FROM configs").fetchall()
        assert not database.execute("SELECT * FROM system_metrics").fetchall(), "it is not told of the machine"
    told = json.loads(row)
    assert (step, told["accuracy"]) == (1, 0.5)
    first, second = told["samples/some"]["_value"]
    assert first == {"action": HOSTILE.partition("\x1b")[0], "reward": None}
    assert second == {"action": "b", "reward": 1.0}
    assert str(tmp_path) not in str(config)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("wandb") is None, reason="wandb, an extra of its own, is not installed")
def test_wandb_keeps_a_table_beside_the_numbers(tmp_path: Path) -> None:
    said = told_by_itself("wandb", tmp_path, WANDB_MODE="offline", WANDB_SILENT="true", WANDB_DATA_DIR=str(tmp_path))
    assert "failed" not in said
    table, *_ = tmp_path.glob("wandb/offline-run-*/files/media/table/samples/*.json")
    told = json.loads(table.read_bytes())
    assert told == {"columns": ["action", "reward"], "data": [[HOSTILE.partition("\x1b")[0], None], ["b", 1.0]]}


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard, an extra of its own, is not installed")
@pytest.mark.filterwarnings("default")
def test_tensorboard_shows_a_run_that_went_on_as_one_curve(tmp_path: Path) -> None:
    tracked = TRACKED._replace(folder=tmp_path)
    tell("tensorboard", [1, 2, 3], tracked)
    tell("tensorboard", [2, 3, 4], tracked)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = EventAccumulator(str(tmp_path / "tensorboard"))
    shown.Reload()
    assert [(event.step, event.value) for event in shown.Scalars("reward")] == [(u, u / 8) for u in (1, 2, 3, 4)]
