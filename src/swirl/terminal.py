"""What a person sees: results on standard output; while a stage works, on standard error, a bar with ETA on a terminal, a plain line now
and then elsewhere or with NO_COLOR set. Text from outside does nothing to a terminal but to be read.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any, Protocol, runtime_checkable

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from swirl.processes import leads


@runtime_checkable
class Advance(Protocol):
    """Called with the number of items done since the last call, and how they went, where there is something to say."""

    def __call__(self, count: int, note: str = "") -> None: ...


_SECONDS_A_LINE = 30.0
"""Plain lines come no closer than this."""
_WIDE = 72
"""Columns from which on a bar has room."""
_JOINERS = "\u200c\u200d"
"""Invisible, but part of how some scripts are written."""


def console() -> Console:
    """Where notes and progress go: standard error, so that results on standard output can be piped."""
    return Console(stderr=True, highlight=False)


class _Results(Console):
    """Standard output. Whoever reads it may have seen enough: the command line's to know, not rich's."""

    def print(self, *objects: Any, **how: Any) -> None:
        """What is wider than the terminal goes on in its next line, and is not cut off."""
        super().print(*objects, **{"crop": False, **how})

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def results() -> Console:
    """Where results go: standard output, without any colour or style where it is no terminal or NO_COLOR is set."""
    return _Results(highlight=False, color_system=None if os.environ.get("NO_COLOR") else "auto")


def harmless(text: str) -> str:
    """Text from outside as it can be shown in a terminal: line breaks stay, and whatever else would move the cursor, change colours, hide
    text or turn it around is written out.

    >>> harmless("a\\x1b[31m b\\u202e\\tc")
    'a\\\\x1b[31m b\\\\u202e    c'
    """
    lines = text.replace("\r\n", "\n").replace("\t", "    ")
    if lines.isprintable():
        return lines
    return "".join(each if each.isprintable() or each in "\n" + _JOINERS else _written_out(each) for each in lines)


def _written_out(character: str) -> str:
    return " " if character.isspace() and ord(character) >= 0xA0 else character.encode("unicode_escape").decode()


def table_of(above: Sequence[str], below: Iterable[Sequence[str]], widths: Sequence[int] = ()) -> Table:
    """Whatever is in a row is shown as it is; a row has nothing beyond the last heading. Where room is short, headings and names of rows
    are wrapped between words, and no figure is cut: lines get longer than the terminal first."""
    shown = [[harmless(cell) for cell in row[: len(above)]] for row in below]
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for place, heading in enumerate(above):
        cells = [row[place] for row in shown if place < len(row)]
        least = max(map(cell_len, [*heading.split(), *(cells if place else " ".join(cells).split())]), default=1)
        named = widths[place] if widths else 1
        table.add_column(heading, justify="right" if place else "left", min_width=max(least, named))
    for row in shown:
        table.add_row(*map(Text, row))
    return table


_shown: list[Console] = []
"""Where a bar is shown now: what is said meanwhile stands above it."""


def say(text: str) -> None:
    """One plain line for the person at the terminal; of several processes, the first speaks for all."""
    if leads():
        (_shown[-1] if _shown else console()).print(text, markup=False, soft_wrap=True)


def _moves() -> bool:
    """Whether standard error can show what moves."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in ("dumb", "unknown")


@contextmanager
def _shows(bar: Progress) -> Iterator[None]:
    with bar:
        _shown.append(bar.console)
        try:
            yield
        finally:
            _shown.pop()


@contextmanager
def busy(label: str) -> Iterator[None]:
    """Show that something of unknown length goes on, and since when; it leaves nothing behind. Nothing is shown where nothing can move, or
    a bar does already.

    >>> with busy("load the policy"):
    ...     pass
    """
    if _shown or not leads() or not _moves():
        yield
        return
    columns = [SpinnerColumn("line"), TextColumn("{task.description}"), TimeElapsedColumn()]
    bar = Progress(*columns, console=console(), transient=True, redirect_stdout=False, redirect_stderr=False)
    bar.add_task(label, total=None)
    with _shows(bar):
        yield


@contextmanager
def progress(label: str, total: int, done: int = 0, unit: str = "") -> Iterator[Advance]:
    """Show how far a stage is; `done` items were there already. Where the terminal is narrow, the bar gives way to the figures.

    >>> with progress("generate", total=2) as advance:
    ...     advance(1)
    ...     advance(1, "all of it good")
    """
    if total <= done or not leads():
        yield lambda count, note="": None
        return
    if not _moves():
        say(f"{label}: {total - done} {unit or 'items'}{f', {done} were there already' if done else ''}")
        yield _lines(label, total, done, unit)
        return
    shown = console()
    bar = Progress(*_columns(shown.width, unit), console=shown)
    task = bar.add_task(label, total=total, completed=done, note="")
    with _shows(bar):
        yield lambda count, note="": bar.update(task, advance=count, note=note)


def _columns(width: int, unit: str) -> list[ProgressColumn]:
    """What a bar tells in a terminal: where it is narrow, how far it is, how long it took, and how the last items went."""
    whole = partial(Column, no_wrap=True)
    wide = width >= _WIDE
    return [
        TextColumn("{task.description:<14}" if wide else "{task.description}", table_column=whole()),
        *([BarColumn()] if wide else []),
        MofNCompleteColumn(table_column=whole()),
        *([TextColumn(unit)] if wide else []),
        TimeElapsedColumn(table_column=whole()),
        *([TextColumn("ETA"), TimeRemainingColumn(table_column=whole())] if wide else []),
        TextColumn("{task.fields[note]}", table_column=whole()),
    ]


def _lines(label: str, total: int, done: int, unit: str) -> Advance:
    """Tells in plain lines how far it is, where it got further."""
    start = said = monotonic()
    fresh = told = 0

    def advance(count: int, note: str = "") -> None:
        nonlocal said, fresh, told
        fresh, now = fresh + count, monotonic()
        if fresh == told or now - said < _SECONDS_A_LINE or done + fresh >= total:
            return
        left = (now - start) / fresh * (total - done - fresh)
        so_far = f"{_clock(now - start)} so far, about {_clock(left)} to go"
        say(f"{label}: {done + fresh} of {total} {unit}, {so_far}{note and f'; {note}'}")
        said, told = now, fresh

    return advance


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> _clock(3725.4)
    '1:02:05'
    """
    return str(timedelta(seconds=round(seconds)))
