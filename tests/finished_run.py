"""One small run, every stage of it, made once for all tests that look at a finished one. Who changes it takes a copy."""

import shutil
import tempfile
from functools import cache
from pathlib import Path

from swirl.cli import main

SMALL = ["--generate.questions", "4", "--generate.samples", "2", "--evaluate.questions", "4", "--train.updates", "2"]


def small(out: Path, *more: str) -> list[str]:
    """The command that makes it; on one thread, so that what other tests have set for the process rounds nothing otherwise."""
    return ["run", "smoke", "--out", str(out), "--policy.threads", "1", *SMALL, *more]


@cache
def _made() -> tuple[Path, "tempfile.TemporaryDirectory[str]"]:
    folder = tempfile.TemporaryDirectory(prefix="swirl-run-")
    out = Path(folder.name) / "run"
    assert main(small(out)) == 0
    return out, folder


def finished_run(copy: Path) -> Path:
    """A copy of it at a place that is not there yet."""
    shutil.copytree(_made()[0], copy)
    return copy
