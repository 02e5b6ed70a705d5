"""Benchmarks are scripts; small ones run here from end to end, so that the long ones can be trusted to."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
TINY = ["--states=2", "--samples=2", "--prompt=6", "--action=3", "--observation=4", "--layers=1", "--threads=1"]
YARDSTICK = """
import json, sys
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
print("words that are no result")
print(json.dumps({"engine": "none", "seconds": [900.0] + [30.0] * (int(flags["--steps"]) - 1), "layers": flags["--layers"]}))
"""


def run(script: str, *flags: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(BENCHMARKS / script), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def result(script: str, *flags: str) -> dict[str, Any]:
    """The one JSON line that a benchmark prints."""
    done = run(script, *flags, "--json")
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_another_trainer_is_compared_by_its_steps_after_the_first(tmp_path: Path) -> None:
    script = tmp_path / "yardstick.py"
    script.write_text(YARDSTICK)
    found = result("compare_trl.py", *TINY, "--steps=2", f"--yardstick={script}", f"--python={sys.executable}")
    seconds = found["seconds"]
    assert found["trl_steps"] == [900.0, 30.0, 30.0]
    assert found["ratio"] == pytest.approx(30.0 / seconds["update"], rel=0.1)
    naive = seconds["sample_naive"] + seconds["train_naive"]
    assert found["ratio_naive"] == pytest.approx(naive / seconds["update"], rel=0.1)
    assert (found["states"], found["layers"], found["steps"]) == (2, 1, 2)


def test_a_yardstick_that_fails_is_quoted(tmp_path: Path) -> None:
    script = tmp_path / "yardstick.py"
    script.write_text("raise SystemExit('no TRL here')")
    done = run("compare_trl.py", *TINY, f"--yardstick={script}", f"--python={sys.executable}")
    assert done.returncode == 1
    assert "no TRL here" in done.stderr
    assert "expected yardstick.py to print one JSON line" in done.stderr
