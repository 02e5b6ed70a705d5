"""What of the passages found a result shows: as much as fits, cut after a sentence, each with its title.

Passages come in their order. The one in which the room ends is cut, and says so by `[...]`; those after it are left out. The first is cut
after a word only where not even its first sentence fits.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

from swirl.types import Passage

Count = Callable[[str], int]
"""How many tokens a text has; asked only for texts of more bytes than there is room, because a token is at least a byte."""

_SENTENCE_END = re.compile(
    r"""(?<!\b[A-Z])(?<!\bDr)(?<!\bMr)(?<!\bMs)(?<!\bSt)(?<!\bMrs)(?<!\bvs)   # not after an initial or a title
        [.!?。！？]["'”’)\]]*(?=\s|$)""",
    re.VERBOSE,
)
_MORE = " [...]"


class Excerpt(NamedTuple):
    """What is shown, and the passages that are in it."""

    text: str
    passages: tuple[str, ...]


def excerpt(passages: Sequence[Passage], room: int, count: Count) -> Excerpt:
    """The passages as one text of at most `room` tokens, one a line.

    >>> towns = [Passage("p1", "Port Lumen", "A harbour town. It has a light."), Passage("p2", "Fenn", "A marsh.")]
    >>> excerpt(towns, 100, len)
    Excerpt(text='Port Lumen: A harbour town. It has a light.\\nFenn: A marsh.', passages=('p1', 'p2'))
    >>> excerpt(towns, 40, len)
    Excerpt(text='Port Lumen: A harbour town. [...]', passages=('p1',))
    """
    lines = [line(passage) for passage in passages]
    fit = _most(range(len(lines) + 1), lambda number: "\n".join(lines[:number]), room, count)
    shown = lines[:fit]
    if fit < len(lines):
        shown += _cut(lines[:fit], passages[fit], room, count)
    return Excerpt("\n".join(shown), tuple(passage.id for passage in passages[: len(shown)]))


def line(passage: Passage) -> str:
    """A passage on one line, its title first where it has one."""
    text = " ".join(passage.text.split())
    return f"{passage.title}: {text}" if passage.title else text


def _cut(before: Sequence[str], passage: Passage, room: int, count: Count) -> list[str]:
    """As much of a passage as fits after these lines: sentences, nothing where none of them fits; of the first passage then words, or
    characters, so that there is something to see."""
    whole = line(passage)
    text_from = len(whole) - len(" ".join(passage.text.split()))
    ways: list[Sequence[int]] = [[match.end() for match in _SENTENCE_END.finditer(whole, text_from)]]
    if not before:
        ways += [[match.end() for match in re.finditer(r"\S+", whole)], range(1, len(whole))]
    for ends in ways:
        if end := _last_end(before, whole, ends, room, count):
            return [whole[:end] + _MORE]
    return [] if before else [whole[:1]]


def _last_end(before: Sequence[str], whole: str, ends: Sequence[int], room: int, count: Count) -> int:
    """The last of some places at which a passage can end so that it fits after these lines; 0 where it fits with none."""
    cuts = (0, *ends)
    return cuts[
        _most(range(len(cuts)), lambda number: "\n".join([*before, whole[: cuts[number]] + _MORE]), room, count)
    ]


def _most(numbers: range, text: Callable[[int], str], room: int, count: Count) -> int:
    """The largest number whose text fits; 0 where none does."""

    def exceeds(number: int) -> bool:
        shown = text(number)
        return len(shown.encode()) > room and count(shown) > room

    return max(0, bisect_right(numbers, False, key=exceeds) - 1)
