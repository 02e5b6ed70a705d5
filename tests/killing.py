"""Kill a swirl command with SIGKILL at a chosen moment, and compare what two runs left behind."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from swirl.seeds import derive

CONTENT = (
    "warm_start/metrics.jsonl",
    "warm_start/model/model.safetensors",
    "trajectories.jsonl",
    "verdicts.jsonl",
    "selection.json",
    "train/metrics.jsonl",
    "train/samples.jsonl",
    "train/probes.jsonl",
    "train/model/model.safetensors",
    "evaluation/*.jsonl",
    "origins/*.json",
)
"""What has to be byte-identical, however often a run was killed; times live elsewhere."""
STAGE_FILES = (
    "warm_start/metrics.jsonl",
    "trajectories.jsonl",
    "verdicts.jsonl",
    "selection.json",
    "train/metrics.jsonl",
    "evaluation/*.jsonl",
)
"""What each stage writes, in the order of the stages."""


def hear_ctrl_c() -> None:
    """In a process that is about to become another program: where the tests run in the background, Ctrl-C is ignored, and whatever they
    start would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_swirl(words: Sequence[str]) -> None:
    """Run a swirl command to its end."""
    done = subprocess.run([sys.executable, "-m", "swirl", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def run_and_kill(words: Sequence[str], moment: Callable[[float], bool], every: float = 0.001) -> bool:
    """Start a swirl command and kill it as soon as `moment(seconds since start)` is true, which is asked every so many
    seconds; False when it ended before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "swirl", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    start = time.monotonic()
    while process.poll() is None:
        if moment(time.monotonic() - start):
            process.kill()
            process.wait()
            return True
        time.sleep(every)
    return False


def share_of(stage_file: str) -> float:
    """How far a stage is let come before it is killed."""
    return derive(7, stage_file) % 1000 / 1000


def has_grown(folder: Path, stage_file: str, share: float, undisturbed: Mapping[str, bytes], _: float) -> bool:
    """Whether a stage's files have grown to a share of their size in an undisturbed run, however long that took."""
    sizes = [path.stat().st_size for path in folder.glob(stage_file)]
    final = sum(len(data) for name, data in undisturbed.items() if Path(name).match(stage_file))
    return bool(sizes) and sum(sizes) >= share * final


def content(folder: Path) -> dict[str, bytes]:
    """The files of a run that two equal runs have in common, by name, and what its manifest says of all but its settings, which may name
    folders and addresses."""
    files = {
        str(path.relative_to(folder)): path.read_bytes() for pattern in CONTENT for path in sorted(folder.glob(pattern))
    }
    manifest = folder / "manifest.json"
    told = json.loads(manifest.read_text()) if manifest.exists() else {"files": {}}
    hashes = {
        f"hash of {name}": json.dumps(file).encode() for name, file in told["files"].items() if name != "run.toml"
    }
    return files | hashes
