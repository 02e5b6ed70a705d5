"""What each update was, told to a tracker that people watch: TensorBoard, trackio or Weights & Biases, beside `metrics.jsonl`.

A tracker is an extra of its own, loaded when the first update is told. Training never ends with it: one that fails is named in one remark,
and told no more. A run that goes on after it was killed goes on in the tracker too, and an update that comes out again is not told twice:
TensorBoard drops what is no longer true, the others keep what they have.

Not here: `metrics.jsonl` (`swirl.train.session`), which is always written and decides; this is a copy.
"""

import contextlib
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from msgspec import to_builtins

from swirl.errors import MissingExtra
from swirl.terminal import say
from swirl.train import Metrics, UpdateTiming

PROJECT = "swirl"
"""What the runs of all folders are gathered under, unless the tracker's own environment variable says otherwise."""

Values = Mapping[str, float]


class Tracked(NamedTuple):
    """What a tracker is told of a training before its first update."""

    run: str
    """The run folder's name."""
    stage: str
    """`train` or `warm_start`; each is a run of its own in the tracker."""
    settings: Mapping[str, Any]
    """Of this training; with the names and the seed they say whether it is the same one that goes on."""
    config: Mapping[str, Any]
    """Of the whole run, to be looked at."""
    folder: Path
    """Where a tracker that writes files puts them."""

    @property
    def name(self) -> str:
        """What people read."""
        return f"{self.run}/{self.stage}"

    @property
    def id(self) -> str:
        """The same for the same training, however often it is resumed; another where its settings are others."""
        settings = json.dumps([self.settings, self.config.get("seed")], sort_keys=True, default=str)
        name = re.sub(r"[^\w.-]", "-", self.run)[:64]
        return f"{name}-{self.stage}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"


@runtime_checkable
class Sink(Protocol):
    """A tracker that is open."""

    def log(self, values: Values, update: int) -> None:
        """Tell it what an update was."""

    def close(self) -> None:
        """Tell it that there are no more."""


def require(tracker: str) -> None:
    """Raise `MissingExtra` where a tracker's package is not installed; imports none.

    >>> require("none")
    """
    if tracker != "none" and find_spec(tracker) is None:
        raise MissingExtra(
            f'train.tracker = "{tracker}" needs the extra `{tracker}` (the package {tracker} is missing): pip install '
            f"'swirl-rl[{tracker}]', or set it to none"
        )


def scalars(metrics: Metrics, timing: UpdateTiming) -> dict[str, float]:
    """The numbers of an update: its metrics, counts by kind of action with a stroke, seconds, and tokens a second where there were some.

    >>> metrics = Metrics(update=1, num_samples=4, loss=0.5, grad_norm=1.0, learning_rate=0.1, mean_tokens=6.0, tokens_read=90)
    >>> found = scalars(metrics, UpdateTiming.between([0.0, 2.0, 3.0, 6.0], update=0))
    >>> found["missing/answer"], found["seconds"], found["tokens_per_second/sample"], found["tokens_per_second/learn"]
    (0.0, 6.0, 12.0, 30.0)
    >>> "reward" in found, "update" in found
    (False, False)
    """
    values = dict(_numbers(to_builtins(metrics), ""))
    seconds = {"sample": timing.sample_seconds, "judge": timing.judge_seconds, "learn": timing.learn_seconds}
    tokens = {"sample": metrics.mean_tokens * metrics.num_samples, "learn": float(metrics.tokens_read)}
    values |= {"seconds": sum(seconds.values()), **{f"seconds/{part}": spent for part, spent in seconds.items()}}
    values |= {f"tokens_per_second/{part}": count / seconds[part] for part, count in tokens.items() if seconds[part]}
    return values


def _numbers(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name != "update":
            yield prefix + name, float(value)


def without_places(value: Any) -> Any:
    """A configuration without where on this machine things are: of an absolute path or an address, what stands last.

    >>> without_places({"tasks": ["jsonl:/home/me/questions.jsonl", "gsm8k"], "model": "Qwen/Qwen3-0.6B", "seed": 1})
    {'tasks': ['jsonl:questions.jsonl', 'gsm8k'], 'model': 'Qwen/Qwen3-0.6B', 'seed': 1}
    """
    if isinstance(value, Mapping):
        return {name: without_places(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(part) for part in value]
    return re.sub(r"(^|:)(?:~\w*|[A-Za-z]:)?[/\\](?:.*[/\\])?", r"\1", value) if isinstance(value, str) else value


class Tracker:
    """Tells a tracker of each update, until it fails; `none` is told nothing. A context manager."""

    def __init__(self, name: str, tracked: Tracked) -> None:
        require(name)
        self.name = name
        self.tracked = tracked
        self._sink: Sink | None = None
        self._over = name == "none"

    def log(self, metrics: Metrics, timing: UpdateTiming) -> None:
        """Tell it what an update was; the first opens it."""
        if self._over:
            return
        try:
            with _aside():
                self._sink = self._sink or _OPEN[self.name](self.tracked, metrics.update)
                self._sink.log(scalars(metrics, timing), metrics.update)
        except Exception as error:
            self._over = True
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            say(
                f"{self.tracked.stage}: {self.name} failed ({reason}) and is told no more; training goes on, metrics.jsonl has all"
            )

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *error: object) -> None:
        if self._sink is not None:
            with _aside(), contextlib.suppress(Exception):  # what there was to say has been said
                self._sink.close()


def _aside() -> contextlib.AbstractContextManager[object]:
    """What a tracker prints is not a result: it goes where progress goes."""
    return contextlib.redirect_stdout(sys.stderr)


class _TensorBoard:
    """Event files in the run folder, written without torch."""

    def __init__(self, tracked: Tracked, first: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = Event, Summary
        self._writer = EventFileWriter(str(tracked.folder / "tensorboard"))
        # A session that starts at an update says that what an earlier one told of it, or of later ones, is void.
        start = SessionLog(status=SessionLog.START)
        self._writer.add_event(Event(wall_time=time.time(), step=first, session_log=start))

    def log(self, values: Values, update: int) -> None:
        summary = self._summary(
            value=[self._summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        )
        self._writer.add_event(self._event(wall_time=time.time(), step=update, summary=summary))
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _Trackio:
    """Local unless its environment variables name a server or a Space."""

    def __init__(self, tracked: Tracked, first: int) -> None:
        import trackio

        self._run = trackio.init(
            os.environ.get("TRACKIO_PROJECT") or PROJECT,
            name=tracked.id,
            group=tracked.run,
            config=dict(tracked.config),
            resume="allow",
            embed=False,
        )
        self._known = int(getattr(self._run, "_next_step", 0))  # the one place that tells, for a server too

    def log(self, values: Values, update: int) -> None:
        if update >= self._known:
            self._run.log(dict(values), step=update)

    def close(self) -> None:
        self._run.finish()


class _Wandb:
    """Its own files go in the run folder. It is not told of the machine, the command or the code."""

    def __init__(self, tracked: Tracked, first: int) -> None:
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id=tracked.id,
            name=tracked.name,
            group=tracked.run,
            config=dict(tracked.config),
            dir=str(tracked.folder),
            resume="allow",
            settings=wandb.Settings(
                console="off",
                disable_code=True,
                disable_git=True,
                x_disable_meta=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
            ),
        )
        self._known = int(self._run.step)

    def log(self, values: Values, update: int) -> None:
        if update >= self._known:
            self._run.log(dict(values), step=update)

    def close(self) -> None:
        self._run.finish()


_OPEN: Mapping[str, Callable[[Tracked, int], Sink]] = {
    "tensorboard": _TensorBoard,
    "trackio": _Trackio,
    "wandb": _Wandb,
}
"""Each takes what it is told, and the first update there will be."""
