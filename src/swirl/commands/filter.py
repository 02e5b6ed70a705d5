"""`swirl filter`: which trajectories training sees, and why one of them is kept or dropped."""

from collections.abc import Sequence
from dataclasses import dataclass

from swirl import stages
from swirl.commands.stages import StageCommand, over_run
from swirl.commands.words import Command
from swirl.explain import explain
from swirl.terminal import results


@dataclass(frozen=True, kw_only=True)
class FilterCommand(StageCommand):
    """Write selection.json: which trajectories training sees, and why the rest fell. Nothing is judged again.

    Example: swirl filter runs/mine --filter.rule both --redo
    Example: swirl filter runs/mine --explain arithmetic-1-7/3
    """

    explain: str = ""
    """Print what each rule says of one trajectory, named by its id or how that begins, and filter nothing; works while a run goes on."""


def _filter(name: str, words: Sequence[str]) -> None:
    path, command = over_run(name, words, FilterCommand)
    if command.explain:
        return results().print(explain(path, command.config, command.explain))
    stages.run_stage("filter", path, command.config, redo=command.redo)


COMMANDS = {"filter": Command(FilterCommand, _filter)}
