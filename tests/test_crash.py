"""A killed run, run again by the same command, ends as if nothing had happened: the seconds-long version of `make crash-test`."""

from pathlib import Path

import pytest

from killing import content, run_and_kill, run_swirl
from swirl.seeds import derive

WARM = ["--warm-start.questions", "4", "--warm-start.train.updates", "4", "--warm-start.train.checkpoint-every", "2"]
COMMAND = ["run", "smoke", *WARM]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    run_swirl([*COMMAND, "--out", str(folder)])
    return content(folder)


def _reached(folder: Path, stage_file: str, share: float, undisturbed: dict[str, bytes]) -> bool:
    """Whether a stage's files have grown to a share of their final size."""
    sizes = [path.stat().st_size for path in folder.glob(stage_file)]
    final = sum(len(data) for name, data in undisturbed.items() if Path(name).match(stage_file))
    return bool(sizes) and sum(sizes) >= share * final


@pytest.mark.slow
@pytest.mark.parametrize(
    "stage_file",
    [
        "warm_start/metrics.jsonl",
        "trajectories.jsonl",
        "verdicts.jsonl",
        "selection.json",
        "train/metrics.jsonl",
        "evaluation/*.jsonl",
    ],
)
def test_a_killed_run_ends_like_an_undisturbed_one(
    stage_file: str, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    share = derive(7, stage_file) % 1000 / 1000
    folder = tmp_path / "run"
    command = [*COMMAND, "--out", str(folder)]
    killed = run_and_kill(command, lambda _: _reached(folder, stage_file, share, undisturbed))
    assert killed, f"the run ended before {stage_file} had grown to {share:.0%}"
    run_swirl(command)
    assert content(folder) == undisturbed
