"""Where the rounds of a run lie. Each is a run folder; the first is the run's own, the others stand in it:

    runs/NAME/             round 1
    runs/NAME/rounds/2/    round 2, whose policy is what round 1 has trained
    runs/NAME/rounds/3/    round 3, and so on

What a round starts from is found by its place, so that a run may be moved as a whole.
"""

from collections.abc import Iterator
from pathlib import Path

ROUNDS = "rounds"


def folder(home: Path, number: int) -> Path:
    """The folder of a round, given that of the run.

    >>> folder(Path("runs/mine"), 1).as_posix(), folder(Path("runs/mine"), 3).as_posix()
    ('runs/mine', 'runs/mine/rounds/3')
    """
    return home if number == 1 else home / ROUNDS / str(number)


def home(path: Path, number: int) -> Path:
    """The folder of the run, given that of a round.

    >>> home(Path("runs/mine/rounds/3"), 3).as_posix()
    'runs/mine'
    """
    if number == 1:
        return path
    whole = path.resolve() if ".." in path.parts or len(path.parts) < 3 else path
    return whole.parent.parent


def start(path: Path, number: int) -> Path:
    """Where the model lies that a round after the first starts from, given the round's folder.

    >>> start(Path("runs/mine/rounds/3"), 3).as_posix()
    'runs/mine/rounds/2/train/model'
    """
    return folder(home(path, number), number - 1) / "train" / "model"


def is_at_home(path: Path, number: int) -> bool:
    """Whether a round's folder is where it belongs."""
    return number in (1, number_of(path))


def number_of(path: Path) -> int:
    """Which round a folder holds, by its place.

    >>> number_of(Path("runs/mine/rounds/3")), number_of(Path("runs/mine"))
    (3, 1)
    """
    whole = path.resolve()
    return int(whole.name) if whole.parent.name == ROUNDS and whole.name.isdecimal() else 1


def everything(path: Path, number: int) -> Iterator[Path]:
    """The folders of all rounds of the run that a round belongs to, as far as they are there, in order.

    >>> [each.as_posix() for each in everything(Path("no/such/run"), 1)]
    ['no/such/run']
    """
    first = home(path, number)
    yield first
    there = (int(each.name) for each in (first / ROUNDS).glob("*") if each.name.isdecimal())
    yield from (folder(first, each) for each in sorted(there))


def label(path: Path, number: int) -> str:
    """What a round is called: by its run, and by its number after the first.

    >>> label(Path("runs/mine"), 1), label(Path("runs/mine/rounds/3"), 3)
    ('mine', 'mine, round 3')
    """
    name = home(path.resolve(), number).name
    return name if number == 1 else f"{name}, round {number}"
