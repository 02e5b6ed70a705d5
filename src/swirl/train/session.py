"""A training session: a learner, the metrics it writes, and the checkpoints that let it be killed at any moment.

Called again with the same arguments, it goes on from the newest checkpoint; metrics of later updates, which that checkpoint does not know
of, are dropped and come out the same again. Both kinds of training are loops over `updates`, and `commit` what each of them was. Of
several processes that train together, the first alone writes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

from swirl.engine.model import LanguageModel, full_name, locate, save
from swirl.errors import RunFolderError
from swirl.records import Appender, digest
from swirl.seeds import derive
from swirl.train import CIRCUMSTANCES, Metrics, OnUpdate, TrainConfig, UpdateTiming
from swirl.train import checkpoint as checkpoints
from swirl.train.learner import Learner
from swirl.train.ranks import leading
from swirl.train.recording import Recording
from swirl.types import Trajectory


def ignore(metrics: Metrics, timing: UpdateTiming) -> None:
    """An `OnUpdate` that does nothing."""


def draw(trajectories: Sequence[str], size: int, update: int, seed: int) -> list[int]:
    """Which items an update gets, by position, given the trajectory that each belongs to: epochs, each in an order of its own, cut into
    batches one after another. Items of one trajectory stand together, because most of what is read for one is read for the others.

    >>> [sorted(draw("aabb", 2, 0, seed=1)), sorted(draw("aabb", 2, 1, seed=1)), len(draw("aabb", 3, 5, seed=1))]
    [[2, 3], [0, 1], 3]
    """
    count = len(trajectories)
    places = range(update * size, (update + 1) * size)
    names = tuple(trajectories)
    return [_order(names, place // count, seed)[place % count] for place in places]


@lru_cache(maxsize=2)
def _order(trajectories: tuple[str, ...], epoch: int, seed: int) -> list[int]:
    keys = {name: derive(seed, "train", epoch, name) for name in set(trajectories)}
    return sorted(range(len(trajectories)), key=lambda item: (keys[trajectories[item]], item))


class Session:
    """A run of updates in a folder: `metrics.jsonl`, what `swirl.train.recorded` tells of, `checkpoints/`, and `model/` once all are done.
    A context manager. `made_of` is what tells the data from other data, where more was recorded of it than is held."""

    def __init__(
        self,
        lm: LanguageModel,
        data: Sequence[Trajectory],
        config: TrainConfig,
        *,
        seed: int,
        folder: Path,
        on_update: OnUpdate,
        made_of: str = "",
    ) -> None:
        self.learner = Learner(lm, config)
        self.config = config
        self.folder = folder
        self.on_update = on_update
        self.run: dict[str, Any] = {
            f"train.{name}": value
            for name, value in asdict(config).items()
            if name not in (*CIRCUMSTANCES, "reference")
        }
        if lm.initial is not None:
            self.run["reference"] = full_name(lm.initial.model, locate(lm.initial.model))
        self.run |= {"seed": seed, "policy": lm.name, "training data": made_of or digest(data)}
        self.recording = Recording(self.learner, data, folder)
        self._metrics: Appender[Metrics] | None = None
        leading(self._open)

    def _open(self) -> None:
        self._metrics = Appender(self.folder / Metrics.FILE, Metrics)

    def updates(self) -> Iterator[int]:
        """The updates still to be done, counted from 0, and `commit`ted by the caller one by one."""
        done = checkpoints.restore(self.folder / "checkpoints", self.learner, self.run)
        leading(lambda: self._rewind(done))
        self.recording.go_on(done)
        yield from range(done, self.config.updates)
        leading(lambda: save(self.learner.lm, self.folder / "model"))

    def commit(self, metrics: Metrics, timing: UpdateTiming) -> None:
        """Record an update, and write a checkpoint where one is due."""
        self.recording.commit()
        leading(lambda: self._record(metrics, timing))
        if metrics.update % self.config.checkpoint_every == 0 or metrics.update == self.config.updates:
            self.recording.probe(metrics.update)
            about = checkpoints.About(updates=metrics.update, run=self.run)
            checkpoints.write(self.folder / "checkpoints", self.learner, about)

    def _rewind(self, done: int) -> None:
        assert self._metrics is not None, "the first process has them"
        if done > len(self._metrics):
            raise RunFolderError(
                f"expected metrics of the {done} updates of the newest checkpoint in {self._metrics.path}, found {len(self._metrics)}; "
                "delete the folder and train again"
            )
        self._metrics.rewind(done)

    def _record(self, metrics: Metrics, timing: UpdateTiming) -> None:
        assert self._metrics is not None, "the first process has them"
        self._metrics.append([metrics])
        self.on_update(metrics, timing)

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._metrics is not None:
            self._metrics.close()
        self.recording.close()
