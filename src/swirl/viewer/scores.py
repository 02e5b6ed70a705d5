"""The verdicts of one judge in arrays: number of the trajectory and the step, score, status, and where the line stands.

Not here: what several judges come to (`swirl.viewer.verdicts`).
"""

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from swirl.types import JudgedStep, VerdictStatus
from swirl.viewer.following import Followed

STEPS = 1 << 16
"""More steps than any trajectory has."""
STATUSES = tuple(VerdictStatus)


class _Word(Struct, frozen=True):
    score: float | None
    status: VerdictStatus = VerdictStatus.OK


class _Line(Struct, frozen=True, tag=JudgedStep.__struct_config__.tag, tag_field="schema"):
    """A line of verdicts, read for these fields alone."""

    trajectory: str
    step: int
    judge: str
    verdict: _Word


_DECODER = msgspec.json.Decoder(_Line)


@dataclass
class Shard:
    """One file as far as it was read; entries of equal place belong together."""

    followed: Followed
    keys: "array[int]" = field(default_factory=lambda: array("q"))
    scores: "array[float]" = field(default_factory=lambda: array("d"))
    statuses: "array[int]" = field(default_factory=lambda: array("b"))
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    judge: str = ""
    unread: int = 0
    done: bool = True

    def take(self, offset: int, data: bytes, number: Callable[[str], int]) -> None:
        """The verdict in the line that stands there; `number` gives trajectories theirs."""
        try:
            line = _DECODER.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.unread += 1
            return
        if not 0 <= line.step < STEPS:
            self.unread += 1
            return
        self.judge = self.judge or line.judge
        self.keys.append(number(line.trajectory) * STEPS + line.step)
        self.scores.append(nan if line.verdict.score is None else line.verdict.score)
        self.statuses.append(STATUSES.index(line.verdict.status))
        self.offsets.append(offset)


class Said(NamedTuple):
    """The verdicts of one judge, in the order of its files; of two on one step the later."""

    keys: NDArray[np.int64]
    scores: NDArray[np.float64]
    statuses: NDArray[np.int8]
    shards: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which have a score."""
        found: NDArray[np.bool_] = ~np.isnan(self.scores)
        return found


def gathered(shards: Sequence[Shard]) -> Said:
    """Those of all shards; np.array copies, so that the arrays can grow meanwhile."""
    parts: Mapping[str, Any] = {"keys": np.int64, "scores": np.float64, "statuses": np.int8, "offsets": np.int64}
    own = {
        name: np.concatenate([np.array(getattr(shard, name), dtype=kind) for shard in shards] or [np.array([], kind)])
        for name, kind in parts.items()
    }
    numbers = np.repeat(np.arange(len(shards)), [len(shard.keys) for shard in shards])
    # The last of equal keys: the first, seen from the end.
    _, places = np.unique(own["keys"][::-1], return_index=True)
    last = np.sort(len(own["keys"]) - 1 - places)
    return Said(own["keys"][last], own["scores"][last], own["statuses"][last], numbers[last], own["offsets"][last])
