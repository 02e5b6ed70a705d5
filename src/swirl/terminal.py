"""What a person sees while a stage works: a progress bar with ETA on a terminal, plain lines elsewhere or with NO_COLOR set."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Advance = Callable[[int], None]
"""Called with the number of items done since the last call."""


def console() -> Console:
    """Where notes and progress go: standard error, so that results on standard output can be piped."""
    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """One plain line for the person at the terminal."""
    console().print(text, markup=False, soft_wrap=True)


@contextmanager
def progress(label: str, total: int, done: int = 0, unit: str = "") -> Iterator[Advance]:
    """Show how far a stage is; `done` items were there already.

    >>> with progress("generate", total=2) as advance:
    ...     advance(1)
    """
    if total <= done:
        yield lambda count: None
        return
    if not sys.stderr.isatty() or os.environ.get("NO_COLOR"):
        say(f"{label}: {total - done} {unit or 'items'}{f', {done} were there already' if done else ''}")
        yield lambda count: None
        return
    columns = [
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=console()) as bar:
        task = bar.add_task(label, total=total, completed=done)
        yield lambda count: bar.advance(task, count)
