"""Decomposition written out: the states of what the filter keeps, or of all trajectories, a file a shard."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from swirl.exports.states import lines
from swirl.records import read_document, write_parts
from swirl.run import Run
from swirl.selection import Selection
from swirl.settings import RunConfig
from swirl.shards import shard
from swirl.stages.outline import Shard, outline, trajectories_in
from swirl.terminal import progress
from swirl.types import Trajectory
from swirl.workers import Advance, spread

FILE = "states.jsonl"


def write_states(run: Run, folder: Path, *, every: bool = False) -> int:
    """Write the states of what the filter keeps, or of every trajectory, into a folder as `states.jsonl`, `states-00001.jsonl` and
    so on, each whole or not at all; returns how many there are. The shards are those of the run, worked on by `workers` processes."""
    if not every:
        run.require(run.selection, "filter")
    shards = outline(run)
    work = partial(_write_shard, run.path, run.config, folder, every)
    with progress("states", sum(map(_size, shards)), 0, "trajectories") as advance:
        return sum(spread(work, shards, run.config.workers, advance=advance, size=_size))


def _size(own: Shard) -> int:
    return own.num_trajectories


def _write_shard(path: Path, config: RunConfig, folder: Path, every: bool, own: Shard, advance: Advance) -> int:
    run, count = Run(path, config), 0
    keep = _keep(run, every)

    def parts() -> Iterator[bytes]:
        nonlocal count
        for found in lines(filter(keep, trajectories_in(run, own))):
            count += len(found)
            yield b"".join(found)

    write_parts(shard(folder / FILE, own.number), parts())
    advance(own.num_trajectories)
    return count


def _keep(run: Run, every: bool) -> Callable[[Trajectory], bool]:
    if every:
        return lambda trajectory: True
    kept = read_document(run.selection, Selection, f"swirl filter {run.path}").kept
    return lambda trajectory: trajectory.id in kept
