"""`swirl report`: the page people read."""

from collections.abc import Sequence
from dataclasses import dataclass

from swirl import stages
from swirl.commands.results import show
from swirl.commands.stages import StageCommand, over_run
from swirl.commands.words import Command


@dataclass(frozen=True, kw_only=True)
class ReportCommand(StageCommand):
    """Write report.html: one page that needs no network.

    Example: swirl report runs/mine
    """


def _report(name: str, words: Sequence[str]) -> None:
    path, command = over_run(name, words, ReportCommand)
    stages.run_stage("report", path, command.config, redo=command.redo)
    show(path)


COMMANDS = {"report": Command(ReportCommand, _report)}
