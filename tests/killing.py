"""Kill a swirl command with SIGKILL at a chosen moment, and compare what two runs left behind."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

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


def run_swirl(words: Sequence[str]) -> None:
    """Run a swirl command to its end."""
    done = subprocess.run([sys.executable, "-m", "swirl", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def run_and_kill(words: Sequence[str], moment: Callable[[float], bool]) -> bool:
    """Start a swirl command and kill it as soon as `moment(seconds since start)` is true; False when it ended before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "swirl", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    start = time.monotonic()
    while process.poll() is None:
        if moment(time.monotonic() - start):
            process.kill()
            process.wait()
            return True
        time.sleep(0.001)
    return False


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
