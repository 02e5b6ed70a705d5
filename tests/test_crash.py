"""A killed run, run again by the same command, ends as if nothing had happened: the short version of `make crash-test`, where each of these
kills has a run folder to itself (`crash_stages.py`)."""

from functools import partial
from pathlib import Path

import pytest

from finished_run import small
from killing import STAGE_FILES, content, has_grown, run_and_kill, share_of
from swirl.cli import main

WARM = ["--warm-start.questions", "4", "--warm-start.train.updates", "4", "--warm-start.train.checkpoint-every", "2"]
TRAIN = ["--train.updates", "4"]


@pytest.mark.slow
def test_a_run_that_was_killed_in_every_stage_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "run"
    assert main(small(undisturbed, *WARM, *TRAIN)) == 0
    expected = content(undisturbed)
    command = small(folder, *WARM, *TRAIN)
    for stage_file in STAGE_FILES:
        share = share_of(stage_file)
        killed = run_and_kill(command, partial(has_grown, folder, stage_file, share, expected), every=0.005)
        assert killed, f"the run ended before {stage_file} had grown to {share:.0%}"
    assert main(command) == 0
    assert content(folder) == expected
