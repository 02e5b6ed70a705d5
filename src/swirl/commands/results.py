"""What people are shown when a command has ended."""

import shlex
from pathlib import Path

from swirl.round_tables import terminal
from swirl.summary import read_summary
from swirl.tables import terminal_figures, terminal_table
from swirl.terminal import results, say


def show(path: Path, every: bool = False) -> None:
    """What the run in a folder came to, every figure where that is asked for, and where to read on; as much of it as is there."""
    if (path / "summary.json").exists():
        summary, console = read_summary(path), results()
        if every:
            console.print(terminal_figures(summary))
        rounds = summary.get("rounds")
        if rounds:
            console.print("Round 1", style="bold")
        console.print(terminal_table(summary))
        if rounds:
            console.print(terminal(rounds))
    if (path / "report.html").exists():
        say(f"report: {path / 'report.html'}")
        look_closer(path)


def look_closer(path: Path) -> None:
    """Say how all that a run or a study did can be looked at."""
    say(f"every step: swirl view {shlex.quote(str(path))}")
