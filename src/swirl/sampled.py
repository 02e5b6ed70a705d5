"""Which states of training a page shows: of the first recorded update and of the last, the first state whose actions were judged unlike one
another, so that an advantage told them apart.

Of `train/samples.jsonl` only what is shown is read; it is a stream, and one state of each update is held.
"""

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from swirl.records import read

FILE = "samples.jsonl"


class SampledText(Struct, frozen=True):
    """A sampled action, as far as it is shown."""

    text: str
    score: float | None = None
    reason: str = ""
    weight: float = 0.0
    """Its advantage."""

    @property
    def badge(self) -> str:
        """GOOD, BAD or MISSING."""
        return "MISSING" if self.score is None else "GOOD" if self.score >= 0.5 else "BAD"


class Group(Struct, frozen=True, tag="swirl.sampled/1", tag_field="schema"):
    """The actions that an update sampled at one state."""

    update: int
    task: str
    trajectory: str
    step: int
    """Index of the step, from 0."""
    actions: tuple[SampledText, ...]

    @property
    def told_apart(self) -> bool:
        """Whether some action has an advantage."""
        return any(action.weight for action in self.actions)


def shown_groups(train: Path) -> list[Group]:
    """The groups a page shows of a folder of training; none where nothing was recorded."""
    path = train / FILE
    firsts = list(_firsts(path)) if path.exists() else []
    return [firsts[0], firsts[-1]] if len(firsts) > 1 else firsts


def _firsts(path: Path) -> Iterator[Group]:
    """Of each update the first state that teaches something."""
    update = 0
    for group in read(path, Group):
        if group.told_apart and group.update != update:
            update = group.update
            yield group
