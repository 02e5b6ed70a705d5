"""`swirl export`: a run in the formats of other tools."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swirl.commands.words import Command, parse, take
from swirl.errors import ConfigError
from swirl.exports.formats import EXPORTS
from swirl.run import Run
from swirl.settings import nearest
from swirl.stages.export import export, place


@dataclass(frozen=True, kw_only=True)
class ExportCommand:
    """Write trajectories and verdicts in the format of another tool.

    RUN is a run folder, which may be at work meanwhile; nothing in it is changed. The formats:
    FORMATS

    Example: swirl export runs/mine --to openai
    Example: swirl export runs/mine --to parquet --all --out mine-table
    """

    to: str = ""
    """The format, one of those above."""
    out: Path = Path("RUN-FORMAT")
    """The file to write, or a folder to write it in; for a format of several files, their folder."""
    all: bool = False
    """All trajectories; without it, those that the filter keeps, where it has run."""
    plain: bool = False
    """Leave out the column `swirl`, for a service that refuses what it does not know; an import then knows less."""
    force: bool = False
    """Replace what is there."""


def _told() -> str:
    """What the command says of itself, with a line for each format."""
    lines = [f"  {name:<22} {each.about}" for name, each in EXPORTS.items()]
    return (ExportCommand.__doc__ or "").replace("    FORMATS", "\n".join(f"    {line}" for line in lines))


ExportCommand.__doc__ = _told()


def _export(name: str, words: Sequence[str]) -> None:
    usage = f"{name} RUN"
    first, flags = take(words, usage)
    command = parse(usage, flags, ExportCommand())
    if command.to not in EXPORTS:
        found = f"found {command.to!r}" if command.to else "found none"
        raise ConfigError(f"--to: expected one of {', '.join(EXPORTS)}, {found}{nearest(command.to, EXPORTS)}")
    fmt, run = EXPORTS[command.to], Run.open(Path(first))
    out = place(run, fmt, None if command.out == ExportCommand.out else command.out)
    export(run, fmt, out, every=command.all, plain=command.plain, force=command.force)


COMMANDS = {"export": Command(ExportCommand, _export)}
