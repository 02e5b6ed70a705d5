"""`swirl show`: trajectories, readably."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from swirl.commands.looking import Conditions, Of, looked_at, told
from swirl.commands.words import Command
from swirl.errors import ConfigError
from swirl.known import Known, named
from swirl.terminal import results, say
from swirl.transcript import transcript


@dataclass(frozen=True, kw_only=True)
class ShowCommand:
    """Print trajectories: question, gold answer, each step with its result and verdicts, how it ended, and why it was kept or not.

    What --where understands is in docs/data.md, e.g. task=world, stop=answered, 'steps>=3', verdict=bad, kept=no, correct=yes, tool=search,
    judge:solver=good, 'text~"born in"'. Nothing is written, and a run may go on meanwhile.

    Example: swirl show runs/mine --where verdict=bad correct=yes
    Example: swirl show runs/mine --where 'steps>=3' --limit 0 --json
    """

    where: Conditions = ()
    """Conditions that have to hold, all of them."""
    limit: int = 5
    """Most trajectories to print; 0: all."""
    id: str = ""
    """The one trajectory to print, by its id or how that begins; of an evaluation, all answers of that id."""
    of: Of = "trajectories"
    """trajectories, or evaluation: the answers to held-out questions."""
    json: bool = False
    """Print one JSON object a line, with all that is on record."""

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise ConfigError(f"--limit must be 0 (all) or above, found {self.limit}")


def _show(name: str, words: Sequence[str]) -> None:
    path, command = told(f"{name} RUN", words, ShowCommand())
    found = looked_at(path, command.of, command.where, bar=bool(command.limit))
    if command.id:
        found = _of_id(found, path, command)
    some: Iterator[Known] | list[Known] = list(islice(found, command.limit)) if command.limit else found
    shown = _print(some, command.json)
    if not shown and command.id:
        besides = " for which the conditions hold" if command.where else ""
        raise ConfigError(
            f"expected a trajectory {command.id!r} in {path}{besides}, found none; `swirl show {path}` prints some with their ids"
        )
    if not shown:
        which = f" for which {' and '.join(command.where)}" if command.where else " yet"
        say(f"no trajectory in {path}{which}")
    elif shown == command.limit and not command.id and next(found, None) is not None:
        say(f"these are the first {shown}: --limit 0 prints all, --where 'FIELD=VALUE' finds others")


def _of_id(found: Iterator[Known], path: Path, command: ShowCommand) -> Iterator[Known]:
    """The one that is meant; nothing is read after it. Policies answer the same question, so an evaluation may hold several."""
    if command.of == "evaluation":
        return (known for known in found if known.trajectory.id == command.id)
    wanted = named(path, command.id, "--id").id
    return islice((known for known in found if known.trajectory.id == wanted), 1)


def _print(found: Iterator[Known] | list[Known], as_json: bool) -> int:
    """How many were printed."""
    console, shown = results(), 0
    for known in found:
        shown += 1
        if as_json:
            sys.stdout.write(msgspec.json.encode(known).decode() + "\n")
            continue
        for line in transcript(known, console):
            console.print(line, soft_wrap=True)
        console.print()
    return shown


COMMANDS = {"show": Command(ShowCommand, _show)}
