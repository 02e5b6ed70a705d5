"""`swirl verify` finds what is wrong with what training put on record."""

import re
import shutil
from pathlib import Path

import pytest

from finished_run import finished_run
from swirl.catalog import open_task
from swirl.cli import main
from swirl.manifest import FILE
from swirl.records import read
from swirl.train.recorded import Probe, SampledState
from swirl.verify.checks import verify
from test_verify import Edit, at, doubled, put, swapped

SAMPLES, PROBES = "train/samples.jsonl", "train/probes.jsonl"


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory.mktemp("trained") / "run")


@pytest.fixture
def run(healthy: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(healthy, tmp_path / "run"))


def test_nothing_is_wrong_with_a_trained_run(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {each.update for each in read(healthy / SAMPLES, SampledState)} == {1, 2}
    assert {each.checkpoint for each in read(healthy / PROBES, Probe)} == {0, 2}
    assert main(["verify", str(healthy)]) == 0
    assert "note" not in capsys.readouterr().err


def without_a_trajectory(folder: Path) -> None:
    """The filter drops the one whose state was sampled first."""
    name = next(read(folder / SAMPLES, SampledState)).trajectory
    text = (folder / "selection.json").read_text()
    found = re.search(rf'"trajectory": ?"{re.escape(name)}", ?"kept": ?true', text.replace("\n", " "))
    assert found, text[:500]
    (folder / "selection.json").write_text(
        text.replace(found[0], f'"trajectory":"{name}","kept":false,"check":"process","reason":"x"')
    )


CORRUPTIONS: dict[str, tuple[Edit, str, str]] = {
    "a foreign trajectory": (
        at(SAMPLES, 1, put("trajectory", "q/0")),
        f"{SAMPLES}:1",
        "trajectory 'q/0', which is not",
    ),
    "a step that is not there": (at(SAMPLES, 2, put("step", 9)), f"{SAMPLES}:2", "step 9 of trajectory .*, which has"),
    "an update that is not there": (at(SAMPLES, 3, put("update", 7)), f"{SAMPLES}:3", "there are 2 updates"),
    "a doubled sample": (doubled(SAMPLES, 1), f"{SAMPLES}:2", "out of its order, or a second time"),
    "a missing token": (
        at(SAMPLES, 1, put("actions.0.tokens", ["a"])),
        f"{SAMPLES}:1",
        r"action 0: it has \d+ token ids, and not as many",
    ),
    "a score of no verdict": (
        at(SAMPLES, 1, put("actions.1.score", None)),
        f"{SAMPLES}:1",
        "action 1: a verdict has a score exactly when",
    ),
    "a line that is none": (at(SAMPLES, 1, lambda line: "{}\n"), f"{SAMPLES}:1", "missing required field"),
    "a dropped trajectory": (without_a_trajectory, f"{SAMPLES}:1", "which the filter dropped"),
    "a probe of other actions": (
        at(PROBES, 1, put("logprobs", [[-1.0]])),
        f"{PROBES}:1",
        "is not of the actions that update 1 sampled there",
    ),
    "probes out of order": (swapped(PROBES, 1, 2), f"{PROBES}:2", "probe of checkpoint 0 at place 0 stands out"),
    "a checkpoint that is not there": (at(PROBES, 1, put("checkpoint", 3)), f"{PROBES}:1", "there are only 2 updates"),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_named_also_without_hashes(name: str, run: Path) -> None:
    edit, place, words = CORRUPTIONS[name]
    edit(run)
    (run / FILE).unlink()
    said = "\n".join(map(str, verify(run, open_task).wrong))
    assert re.search(rf"^{re.escape(str(run / place))}: .*{words}.*`swirl train \S+ --redo`", said, re.MULTILINE), said


def test_a_run_that_put_nothing_on_record_is_as_well(run: Path) -> None:
    for name in (SAMPLES, PROBES, FILE):
        (run / name).unlink()
    assert not verify(run, open_task).wrong
