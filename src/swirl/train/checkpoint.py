"""Checkpoints: all that training needs to go on as if it had never stopped.

    checkpoints/update-000050/
      weights.safetensors     what is trained, in single precision
      optimiser.safetensors   AdamW's moments, by weight
      checkpoint.json         how many updates were applied, and the run they belong to

Everything else (learning rate, which states come next, the seed of every sample) is a function of the run's settings and the update's
number. A checkpoint is written beside its place and takes it in one rename, so whatever is there is whole; older ones are deleted.
The files of several processes are those of one, and any number may go on from them.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from swirl.errors import ModelError, RunFolderError
from swirl.records import disk_error, flush
from swirl.train.engines import fill, whole
from swirl.train.learner import Learner
from swirl.train.ranks import leading, rank

KEEP = 2
"""Checkpoints kept."""

_WEIGHTS, _OPTIMISER, _ABOUT = "weights.safetensors", "optimiser.safetensors", "checkpoint.json"


class About(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="swirl.checkpoint/1", tag_field="schema"
):
    """What a checkpoint belongs to."""

    updates: int
    """Updates applied."""
    run: dict[str, Any]
    """The settings, seed and data of the run: going on with others would not be the same run."""


def write(folder: Path, learner: Learner, about: About) -> None:
    """Write a checkpoint, and delete all but the newest. Raises `RunFolderError` where the disk is full."""
    weights, moments = _gathered(learner.weights), _gathered(_moments(learner))
    leading(lambda: _write(folder, weights, moments, about))


def _gathered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The whole tensors; only the first of several processes keeps them."""
    gathered = {}
    for name, tensor in tensors.items():
        found = whole(tensor.detach())
        if rank() == 0:
            gathered[name] = found.contiguous()
    return gathered


def _write(folder: Path, weights: Mapping[str, Tensor], moments: Mapping[str, Tensor], about: About) -> None:
    target = folder / f"update-{about.updates:06d}"
    part = target.with_name(target.name + ".part")
    try:
        part.mkdir(parents=True)
        save_file(dict(weights), part / _WEIGHTS)
        save_file(dict(moments), part / _OPTIMISER)
        (part / _ABOUT).write_bytes(msgspec.json.encode(about, order="sorted") + b"\n")
        for path in (*part.iterdir(), part):
            flush(path)
        os.replace(part, target)
        flush(folder)
    except (OSError, safetensors.SafetensorError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise disk_error(target, error if isinstance(error, OSError) else OSError(None, str(error))) from error
    _tidy(folder)


def restore(folder: Path, learner: Learner, run: Mapping[str, Any]) -> int:
    """Put the newest checkpoint's weights and moments into a learner; how many updates they are the result of, 0 where there is none.

    Raises `RunFolderError` where it belongs to a run of other settings, `ModelError` where it belongs to another network.
    """
    leading(lambda: _tidy(folder))
    checkpoints = _complete(folder)
    if not checkpoints:
        return 0
    newest = checkpoints[-1]
    about = _about(newest)
    _require_same_run(newest, about.run, run)
    _put(newest / _WEIGHTS, {name: weight.data for name, weight in learner.weights.items()})
    learner.engine.publish()
    moments = {name: torch.zeros_like(value) for name, value in _moments(learner, fresh=True).items()}
    _put(newest / _OPTIMISER, moments)
    for name, weight in learner.weights.items():
        learner.optimiser.state[weight] = {key: moments[f"{name}/{key}"] for key in ("step", "exp_avg", "exp_avg_sq")}
    return about.updates


def _moments(learner: Learner, fresh: bool = False) -> dict[str, Tensor]:
    if fresh:
        empty = {
            weight: {"step": torch.tensor(0.0), "exp_avg": weight, "exp_avg_sq": weight}
            for weight in learner.weights.values()
        }
    state = empty if fresh else learner.optimiser.state
    return {f"{name}/{key}": value for name, weight in learner.weights.items() for key, value in state[weight].items()}


def _put(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Fill tensors from a file that must have exactly these."""
    try:
        stored = load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(
            f"expected a checkpoint's tensors in {path}, but they cannot be read ({error}); delete its folder"
        ) from error
    for name in sorted(stored.keys() | tensors.keys()):
        here, there = (list(group[name].shape) if name in group else "none" for group in (tensors, stored))
        if here != there:
            raise ModelError(
                f"{path} belongs to another architecture: {name} is {there} there and {here} in this model; "
                "use the model it was written with, or another folder"
            )
    for name, tensor in tensors.items():
        fill(tensor, stored[name])


def _about(checkpoint: Path) -> About:
    try:
        return msgspec.json.decode((checkpoint / _ABOUT).read_bytes(), type=About)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RunFolderError(
            f"expected a checkpoint of this version of swirl at {checkpoint} ({error}); delete it, or use another folder"
        ) from error


def _require_same_run(checkpoint: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    for key in sorted(there.keys() | here.keys()):
        if there.get(key) != here.get(key):
            raise RunFolderError(
                f"{checkpoint} belongs to another run: {key} is {there.get(key)!r} there and {here.get(key)!r} now; "
                "use the same settings, or another folder"
            )


def _complete(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(path for path in folder.glob("update-*") if not path.name.endswith(".part"))


def _tidy(folder: Path) -> None:
    """Delete what was cut off, and all but the newest. A half-deleted checkpoint must not pass for a whole one."""
    for old in _complete(folder)[:-KEEP]:
        os.replace(old, old.with_name(old.name + ".part"))
    for part in folder.glob("*.part"):
        shutil.rmtree(part)
