"""`make crash-test`: kill `swirl run smoke` once in every stage, each time in a run folder of its own, go on with the same command, compare
every byte of content; then a run of two rounds that were asked for at once, killed in either of them, with one whose rounds were asked for
one by one.

A kill comes when the stage's files have grown to a seeded share of their size. Prints one JSON line. Takes some minutes on two cores.
"""

import json
import sys
import tempfile
from functools import partial
from pathlib import Path

from finished_run import small
from killing import STAGE_FILES, content, has_grown, run_and_kill, run_swirl, share_of

WARM = ["--warm-start.questions", "4", "--warm-start.train.updates", "4", "--warm-start.train.checkpoint-every", "2"]
ROUNDS = ("--rounds", "2")
KILLED_ROUNDS = (".", "rounds/2")


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        stages, rounds = in_stages(Path(scratch)), in_rounds(Path(scratch))
    different = stages["different"] + rounds["different"]
    print(json.dumps({"stages": stages, "rounds": rounds}))
    return 1 if different else 0


def in_stages(scratch: Path) -> dict[str, list[str]]:
    """Kill a run in each of its stages."""
    command = ["run", "smoke", *WARM, "--out"]
    run_swirl([*command, str(scratch / "undisturbed")])
    expected = content(scratch / "undisturbed")
    killed, different = [], []
    for number, stage_file in enumerate(STAGE_FILES):
        folder, share = scratch / f"stage{number}", share_of(stage_file)
        words = [*command, str(folder)]
        if run_and_kill(words, partial(has_grown, folder, stage_file, share, expected)):
            killed.append(f"{stage_file} at {share:.0%}")
        else:
            different.append(f"the run ended before {stage_file} had grown to {share:.0%}")
        run_swirl(words)
        different += differences(folder, expected)
    return {"killed": killed, "different": different}


def in_rounds(scratch: Path) -> dict[str, list[str]]:
    """Kill a run in the training of each of its rounds."""
    run_swirl(small(scratch / "one_by_one"))
    run_swirl(small(scratch / "one_by_one", *ROUNDS))
    killed, different = [], []
    for place in KILLED_ROUNDS:
        folder = scratch / f"killed{len(killed)}"
        metrics = folder / place / "train/metrics.jsonl"
        words = small(folder, *ROUNDS)
        if run_and_kill(words, lambda _, file=metrics: file.exists() and bool(file.stat().st_size)):
            killed.append(f"{place}/train/metrics.jsonl")
        else:
            different.append(f"the run ended before it was killed in {place}")
        run_swirl(words)
        for name in KILLED_ROUNDS:
            different += differences(folder / name, content(scratch / "one_by_one" / name))
    return {"killed": killed, "different": different}


def differences(folder: Path, expected: dict[str, bytes]) -> list[str]:
    """The files that are not as they should be, one that is too much among them."""
    found = content(folder)
    return [f"{folder.name}/{name}" for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)]


if __name__ == "__main__":
    sys.exit(main())
