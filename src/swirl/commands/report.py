"""`swirl report`: the page people read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swirl import stages
from swirl.commands.results import show
from swirl.commands.stages import StageCommand
from swirl.commands.words import Command, parse, take
from swirl.run import Run
from swirl.settings import RunConfig


@dataclass(frozen=True, kw_only=True)
class ReportCommand(StageCommand):
    """Write report.html: one page that needs no network.

    Example: swirl report runs/mine
    """


def _report(name: str, words: Sequence[str]) -> None:
    usage = f"{name} RUN"
    first, flags = take(words, usage)
    path = Path(first)
    command = parse(usage, flags, ReportCommand(config=Run.open(path).config if first else RunConfig()))
    stages.run_stage("report", path, command.config, redo=command.redo)
    show(path)


COMMANDS = {"report": Command(ReportCommand, _report)}
