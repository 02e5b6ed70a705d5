"""Trackers: what they are told, that a resumed run goes on in them, and that training never ends with them."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from swirl import tracking
from swirl.errors import ConfigError, MissingExtra
from swirl.run import Run
from swirl.settings import RunConfig, configure
from swirl.stages.check import check
from swirl.stages.train import noting, tracker
from swirl.tracking import Tracked, Tracker, scalars
from swirl.train import ByAction, Metrics, TrainConfig, UpdateTiming

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


class Double:
    """Stands in for the three packages. Remembers per run what was told as (update, values), like a server; may break."""

    def __init__(self) -> None:
        self.runs: dict[str, list[tuple[int, dict[str, float]]]] = {}
        self.opened: list[dict[str, Any]] = []
        self.closed = 0
        self.breaks_at = 0

    def open(self, project: str = "", **about: Any) -> SimpleNamespace:
        name = about.get("id") or about["name"]
        told = self.runs.setdefault(name, [])
        self.opened.append({"project": project, **about})
        print("words of the tracker")
        after_last = told[-1][0] + 1 if told else 0
        return SimpleNamespace(
            step=after_last,
            _next_step=after_last,
            log=lambda values, step: self.tell(name, step, values),
            finish=self.close,
        )

    def tell(self, name: str, update: int, values: dict[str, float]) -> None:
        if update == self.breaks_at:
            raise ConnectionError("no network")
        self.runs[name].append((update, values))

    def close(self) -> None:
        self.closed += 1

    def writer(self, folder: str) -> SimpleNamespace:
        """What TensorBoard's is: it is told events, and one that starts a session voids what comes after."""
        told = self.runs.setdefault(folder, [])

        def add_event(event: SimpleNamespace) -> None:
            if hasattr(event, "session_log"):
                told[:] = [one for one in told if one[0] < event.step]
            else:
                self.tell(folder, event.step, {value.tag: value.simple_value for value in event.summary.value})

        return SimpleNamespace(add_event=add_event, flush=lambda: None, close=self.close)


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Double:
    stand_in = Double()
    log = type("SessionLog", (SimpleNamespace,), {"START": 1})
    summary = type("Summary", (SimpleNamespace,), {"Value": SimpleNamespace})
    members: dict[str, dict[str, Any]] = {
        "wandb": {"init": stand_in.open, "Settings": lambda **settings: settings},
        "trackio": {"init": stand_in.open},
        "tensorboard": {},
        "tensorboard.compat.proto.event_pb2": {"Event": SimpleNamespace, "SessionLog": log},
        "tensorboard.compat.proto.summary_pb2": {"Summary": summary},
        "tensorboard.summary.writer.event_file_writer": {"EventFileWriter": stand_in.writer},
    }
    for name, own in members.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        module.__dict__.update(own)
        monkeypatch.setitem(sys.modules, name, module)
    return stand_in


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
