"""What decided a result beside its settings: versions, machine, commit."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any


def provenance() -> dict[str, Any]:
    """Versions and commit; what is not installed is left out.

    >>> sorted(provenance())
    ['cpus', 'git_commit', 'platform', 'python', 'versions']
    >>> provenance()["versions"]["msgspec"].count(".")
    2
    """
    names = ("swirl-rl", "torch", "transformers", "peft", "numpy", "bm25s", "msgspec", "httpx2", "openai")
    return {
        "versions": {name: version for name in names if (version := _version(name))},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count() or 0,
        "git_commit": _git_commit(),
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _git_commit() -> str:
    """The commit of the source tree that swirl was imported from; empty for an installed package."""
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "log", "-1", "--format=%H", "--", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
