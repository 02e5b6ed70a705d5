import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from swirl.decisive import STAGES
from swirl.errors import RunFolderError
from swirl.generation import GenerateConfig
from swirl.locks import locked
from swirl.recipe import load_recipe
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.types import OnMalformed, PromptStyle


def test_a_run_folder_keeps_the_resolved_configuration_and_versions(tmp_path: Path) -> None:
    config = load_recipe("demo").config
    Run.create(tmp_path / "run", config)
    assert Run.open(tmp_path / "run").config == config
    text = (tmp_path / "run" / "run.toml").read_text()
    assert "swirl-rl" in text
    assert "git_commit" in text


def test_the_same_command_resumes_and_another_is_refused(tmp_path: Path) -> None:
    config = RunConfig()
    run = Run.create(tmp_path, config)
    run.trajectories.write_text("{}\n")
    assert Run.create(tmp_path, config).config == config
    with pytest.raises(RunFolderError, match=r"other settings \(seed: 1 -> 2\)"):
        Run.create(tmp_path, dataclasses.replace(config, seed=2))


def test_a_folder_with_other_files_is_neither_taken_nor_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RunFolderError, match="found other files in it"):
        Run.create(tmp_path, RunConfig())
    with pytest.raises(RunFolderError, match="found other files in it"), locked(tmp_path):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_settings_may_be_corrected_as_long_as_nothing_was_made(tmp_path: Path) -> None:
    run = Run.create(tmp_path, RunConfig())
    run.trajectories.touch()
    corrected = dataclasses.replace(RunConfig(), seed=2)
    assert Run.create(tmp_path, corrected).config == corrected == Run.open(tmp_path).config


def test_a_run_from_before_there_were_shards_has_one_however_large_it_is(tmp_path: Path) -> None:
    large = GenerateConfig(tasks=("arithmetic", "world"), questions=8000, samples=2)
    config = RunConfig(generate=large)
    Run.create(tmp_path, config)
    assert Run.open(tmp_path).config == config
    file = tmp_path / "run.toml"
    file.write_text(file.read_text().replace(f"shard = {large.shard}\n", ""))
    assert Run.open(tmp_path).config.generate == dataclasses.replace(large, shard=32000)
    file.write_text(file.read_text().replace("questions = 8000\n", "questions = 80\n"))
    assert Run.open(tmp_path).config.generate.shard == large.shard


def test_a_folder_without_a_run_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"found no run\.toml in it; make one with `swirl run RECIPE"):
        Run.open(tmp_path)


def test_a_run_folder_of_another_schema_is_refused(tmp_path: Path) -> None:
    Run.create(tmp_path, RunConfig())
    file = tmp_path / "run.toml"
    file.write_text(file.read_text().replace("swirl.run/1", "swirl.run/9"))
    with pytest.raises(RunFolderError, match=r"expected schema 'swirl.run/1', found 'swirl.run/9'"):
        Run.open(tmp_path)


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from swirl.locks import locked\nwith locked(Path({str(tmp_path)!r})): pass"
    with locked(tmp_path):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "is in use by another swirl process" in done.stderr
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def _with_outputs(path: Path) -> Run:
    run = Run.create(path, RunConfig())
    for name in (
        "trajectories.jsonl",
        "verdicts.jsonl",
        "verdicts-rule.jsonl",
        "calibration.json",
        "selection.json",
        "train/metrics.jsonl",
        "summary.json",
    ):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text("{}\n")
    return run


def test_redo_removes_a_stage_and_what_follows_from_it(tmp_path: Path) -> None:
    run = _with_outputs(tmp_path)
    run.reconfigure("filter", run.config, redo=True)
    assert [stage for stage in STAGES if run.has(stage)] == ["generate", "judge"]


def test_judging_again_leaves_no_verdict_of_any_judge(tmp_path: Path) -> None:
    run = _with_outputs(tmp_path)
    run.reconfigure("judge", run.config, redo=True)
    assert not list(tmp_path.glob("verdicts*"))
    assert not (tmp_path / "calibration.json").exists()


def test_a_stage_that_has_run_is_not_silently_changed(tmp_path: Path) -> None:
    run = _with_outputs(tmp_path)
    changed = dataclasses.replace(run.config, train=dataclasses.replace(run.config.train, updates=7))
    with pytest.raises(
        RunFolderError, match=r"`train` has run with other settings \(train.updates: 100 -> 7\); add --redo"
    ):
        run.reconfigure("train", changed, redo=False)
    run.reconfigure("train", changed, redo=True)
    assert Run.open(tmp_path).config.train.updates == 7


def test_settings_of_an_earlier_stage_cannot_be_changed_later(tmp_path: Path) -> None:
    run = _with_outputs(tmp_path)
    changed = dataclasses.replace(run.config, generate=dataclasses.replace(run.config.generate, samples=9))
    with pytest.raises(
        RunFolderError, match=r"`generate` has run with other settings \(generate.samples: 5 -> 9\); use `swirl gen"
    ):
        run.reconfigure("train", changed, redo=True)


@pytest.mark.parametrize(
    ("stage", "setting", "value"),
    [
        ("evaluation", "policy.model", "other"),
        ("evaluation", "generate.malformed", OnMalformed.OBSERVE),
        ("evaluation", "generate.prompt", PromptStyle.REASONED),
        ("evaluation", "judge.name", "random"),
        ("evaluation", "judge.model", "another grader"),
        ("evaluation", "judge_server.model", "another grader"),
        ("warm_start", "generate.tasks", ("world",)),
        ("warm_start", "generate.max_calls", 2),
        ("warm_start", "policy.lora_rank", 4),
    ],
)
def test_what_a_baseline_or_a_warm_start_was_made_with_stays(
    stage: str, setting: str, value: object, tmp_path: Path
) -> None:
    run = Run.create(tmp_path, RunConfig())
    (tmp_path / stage).mkdir()
    (tmp_path / stage / "before-world-greedy.jsonl").write_text("{}")
    part, name = setting.split(".")
    changed = dataclasses.replace(run.config, **{part: dataclasses.replace(getattr(run.config, part), **{name: value})})
    with pytest.raises(RunFolderError, match=f"has run with other settings .{setting}"):
        run.reconfigure("generate", changed, redo=False)


def test_a_kill_while_the_folder_was_made_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "run.toml.part").write_text("schema =")
    with locked(tmp_path):
        Run.create(tmp_path, RunConfig())
    assert Run.open(tmp_path).config == RunConfig()
    assert not (tmp_path / "run.toml.part").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda c: dataclasses.replace(c, seed=9),
        lambda c: dataclasses.replace(c, policy=dataclasses.replace(c.policy, model="other")),
    ],
)
def test_another_seed_or_policy_is_refused_once_trajectories_are_there(
    change: Callable[[RunConfig], RunConfig], tmp_path: Path
) -> None:
    run = _with_outputs(tmp_path)
    with pytest.raises(RunFolderError, match="`generate` has run with other settings"):
        run.reconfigure("train", change(run.config), redo=True)


def test_a_run_goes_on_with_other_threads_and_the_reward_may_change_after_judging(tmp_path: Path) -> None:
    run = _with_outputs(tmp_path)
    threads = dataclasses.replace(run.config, policy=dataclasses.replace(run.config.policy, threads=3))
    assert Run.create(tmp_path, threads).config.policy.threads == 3
    reward = dataclasses.replace(threads, judge=dataclasses.replace(run.config.judge, reward="random"))
    Run.open(tmp_path).reconfigure("train", reward, redo=True)
    assert Run.open(tmp_path).config == reward
