"""Stands in until the real one comes."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from swirl.types import Trajectory


class Indexed(NamedTuple):
    """How far it is."""

    version: int = 0


class Index:
    """Stands in until the real one comes."""

    def __init__(self, run: Path, judge: str, right: Callable[[Trajectory], bool | None], file: Path) -> None:
        self.run = run

    def refresh(self, budget: float = 1.0) -> bool:
        """Nothing."""
        return False

    def state(self) -> Indexed:
        """Nothing."""
        return Indexed()

    def close(self) -> None:
        """Nothing."""
