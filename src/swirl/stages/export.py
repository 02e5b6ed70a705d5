"""Export: a run's trajectories and verdicts as a file that other tools read.

It reads alone, takes no lock, and works while a run goes on. One trajectory is in memory at a time.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from swirl.errors import ConfigError, RunFolderError
from swirl.exports import Format, Item, Row, Written
from swirl.exports.files import write_rows
from swirl.grades import grader
from swirl.records import num_lines, read_document, write_atomically
from swirl.run import Run
from swirl.selection import Selection
from swirl.shards import judged, shards
from swirl.terminal import Advance, progress, say
from swirl.types import Trajectory


def place(run: Run, fmt: Format, out: Path | None) -> Path:
    """Where an export goes: the file, or the folder for a format of several files; None: named after run and format, in the current folder.
    A folder that is there takes the file of a format of one. Raises `ConfigError` where the name says that it is something else."""
    name = f"{run.path.resolve().name}-{fmt.name}"
    ending = f".{fmt.kind}"
    if fmt.beside:
        if out and out.suffix == ending and not out.is_dir():
            files = ", ".join([f"data{ending}", *fmt.beside])
            raise ConfigError(
                f"--out: the format {fmt.name} is a folder of {files}; expected a folder's name, found {out}"
            )
        return out or Path(name)
    if out is None or out.is_dir():
        return (out or Path()) / f"{name}{ending}"
    if out.suffix != ending:
        raise ConfigError(
            f"--out: the format {fmt.name} is a file that ends in {ending}, or a folder for it, found {out}"
        )
    return out


def export(run: Run, fmt: Format, out: Path, *, every: bool = False, plain: bool = False, force: bool = False) -> None:
    """Write an export of the trajectories that the filter keeps, or of all: `every`, a format that is made of the dropped ones, too, or a
    run that was not filtered yet. `out` is a file, or a folder for a format of several files. With `plain`, the column `swirl` is left out.

    Raises `ConfigError` where a file is there already and `force` is not set, or where `out` is in a run folder, and `RunFolderError` where
    nothing was generated, or where the filter has decided on other trajectories.
    """
    run.require(run.trajectories, "generate")
    data = out / f"data.{fmt.kind}" if fmt.beside else out
    _require_free(out, [data, *(data.with_name(name) for name in fmt.beside)], force)
    decided = _decided(run)
    if decided is None and not every and not fmt.dropped:
        say(f"export: `filter` has not run in {run.path}, so all trajectories are exported")
    source = _Source(run, decided or {}, kept=decided is not None and not every and not fmt.dropped)
    with progress("export", sum(map(num_lines, shards(run.trajectories))), unit="trajectories") as advance:
        rows = fmt.rows(source.items(advance))
        num_rows = write_rows(fmt, map(_without_ours, rows) if plain else rows, data)
    name = run.path.resolve().name
    written = Written(name, data.name, num_rows, source.num_items, source.kept, _origin(run, source))
    for beside, text in fmt.beside.items():
        write_atomically(data.with_name(beside), text(written).encode())
    which = "kept trajectories" if source.kept else "trajectories"
    say(f"export ({fmt.name}): {num_rows:,} rows of {source.num_items:,} {which} are in {out}")


class _Source:
    """The trajectories that are wanted, with what is known of each."""

    def __init__(self, run: Run, decided: Mapping[str, bool], *, kept: bool) -> None:
        self.kept = kept
        self.num_items = 0
        """How many were handed out so far."""
        self.policies: dict[str, None] = {}
        """Names of the policies that wrote them."""
        self._run = run
        self._decided = decided
        self._right = grader(run.config)

    def items(self, advance: Advance) -> Iterator[Item]:
        """In the order of the files."""
        own = self._run.verdicts(self._run.config.judge.name).stem
        for each in judged(self._run.path, [own]):
            trajectory, verdicts = each.trajectory, each.verdicts[own]
            if self._is_wanted(trajectory):
                self.num_items += 1
                self.policies[trajectory.policy] = None
                known = verdicts if any(verdict is not None for verdict in verdicts) else ()
                yield Item(trajectory, known, self._decided.get(trajectory.id), self._right(trajectory))
            advance(1)

    def _is_wanted(self, trajectory: Trajectory) -> bool:
        if self.kept and trajectory.id not in self._decided:
            raise RunFolderError(
                f"`filter` is out of date: expected a decision on trajectory {trajectory.id!r} in {self._run.selection}, found none; run "
                f"`swirl filter {self._run.path}` first, or export all with --all"
            )
        return not self.kept or self._decided[trajectory.id]


def _decided(run: Run) -> dict[str, bool] | None:
    """Whether the filter keeps each trajectory; None where it has not run."""
    if not run.selection.exists():
        return None
    selection = read_document(run.selection, Selection, f"swirl filter {run.path}")
    return {decision.trajectory: decision.kept for decision in selection.decisions}


def _require_free(out: Path, targets: Sequence[Path], force: bool) -> None:
    """Raise `ConfigError` where writing would take the place of something."""
    for target in targets:
        if (target.parent / "run.toml").exists():
            raise ConfigError(
                f"{target} would stand among the files of a run; name a file or folder elsewhere as --out, e.g. {target.name}"
            )
        if target.is_dir():
            raise ConfigError(f"expected a file to write at {target}, found a folder; name another --out")
        if target.exists() and not force:
            raise ConfigError(f"{target} is there already; add --force to replace it, or name another --out")
    if len(targets) > 1 and out.exists() and not out.is_dir():
        raise ConfigError(f"expected a folder to write in at {out}, found a file; name another --out")


def _without_ours(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "swirl"}


def _origin(run: Run, source: _Source) -> dict[str, str]:
    """Where the rows come from, for people to read."""
    config, made = run.config, tomllib.loads((run.path / "run.toml").read_text("utf-8")).get("provenance", {})
    return {
        "run": run.path.resolve().name,
        "swirl": f"{made.get('versions', {}).get('swirl-rl', 'unknown')} {made.get('git_commit', '')}".strip(),
        "seed": str(config.seed),
        "tasks": ", ".join(config.generate.tasks),
        "policy": ", ".join(source.policies),
        "judge": config.judge.name,
        "filter": config.filter.rule.value if run.selection.exists() else "none yet",
    }
