"""What a run came to, told to a tracker that people watch: TensorBoard, trackio or Weights & Biases, beside the run folder's own files.

Each update of a training is told as it is done, with some of the actions it sampled once all are; an evaluation when it has ended, with
some of its trajectories. A tracker is an extra of its own, loaded when it is first told something. No stage ends with it: one that fails is
named in one remark, and told no more. A run that goes on after it was killed goes on in the tracker too, and an update that comes out again
is not told twice: TensorBoard drops what is no longer true, the others keep what they have.

Not here: `metrics.jsonl` (`swirl.train.session`) and `summary.json` (`swirl.summary`), which are always written and decide; this is a copy.
"""

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec

from swirl.errors import MissingExtra
from swirl.terminal import harmless, say
from swirl.tracking.scalars import scalars, without_places
from swirl.tracking.tensorboard import TensorBoard
from swirl.tracking.told import Sink, Table, Tracked, Values
from swirl.tracking.trackio import Trackio
from swirl.tracking.wandb import Wandb
from swirl.train import Metrics, UpdateTiming

__all__ = ["Sink", "Table", "Tracked", "Tracker", "require", "scalars", "without_places"]

_OPEN: Mapping[str, Callable[[Tracked, int], Sink]] = {
    "tensorboard": TensorBoard,
    "trackio": Trackio,
    "wandb": Wandb,
}
"""Each takes what it is told, and the first update there will be."""
_ON_RECORD = {"evaluate": "summary.json has all"}
"""What a stage has lost where its tracker fails, where that is no training."""


def require(tracker: str) -> None:
    """Raise `MissingExtra` where a tracker's package is not installed; imports none.

    >>> require("none")
    """
    if tracker != "none" and find_spec(tracker) is None:
        raise MissingExtra(
            f'train.tracker = "{tracker}" needs the extra `{tracker}` (the package {tracker} is missing): pip install '
            f"'swirl-rl[{tracker}]', or set it to none"
        )


class Tracker:
    """Tells a tracker, until it fails; `none` is told nothing. A context manager."""

    def __init__(self, name: str, tracked: Tracked) -> None:
        self.name = name
        self.tracked = tracked
        self._sink: Sink | None = None
        self._over = name == "none"

    def log(self, metrics: Metrics, timing: UpdateTiming) -> None:
        """Tell it what an update was; the first opens it."""
        self.tell(scalars(metrics, timing), metrics.update)

    def tell(self, values: Values, update: int, tables: Callable[[], Sequence[Table]] = tuple) -> None:
        """Tell it numbers, and tables that are made where anybody listens, at an update."""
        if self._over:
            return
        try:
            shown = [table.readable() for table in tables()]
            if values or shown:
                with _aside():
                    self._sink = self._sink or self._opened(update)
                    self._sink.log(values, update, shown)
        except Exception as error:
            self._over = True
            reason = harmless(" ".join(str(error).split()))[:200] or type(error).__name__
            rest = _ON_RECORD.get(self.tracked.stage, "training goes on, metrics.jsonl has all")
            say(f"{self.tracked.stage}: {self.name} failed ({reason}) and is told no more; {rest}")

    def _opened(self, update: int) -> Sink:
        require(self.name)
        return _OPEN[self.name](self.tracked, update)

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *error: object) -> None:
        if self._sink is not None:
            with _aside(), contextlib.suppress(Exception):  # what there was to say has been said
                self._sink.close()


def _aside() -> contextlib.AbstractContextManager[object]:
    """What a tracker prints is not a result: it goes where progress goes."""
    return contextlib.redirect_stdout(sys.stderr)
