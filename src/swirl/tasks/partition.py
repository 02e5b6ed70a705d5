"""Which side of the train/test divide a thing falls on, a function of the thing alone, so no two draws disagree; and in what order
questions are drawn."""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Protocol, TypeVar

from swirl.seeds import derive
from swirl.tasks import Split
from swirl.types import Question


def split_of(*key: str | int) -> Split:
    """The side of a key; about half of all keys fall on each.

    >>> split_of("chain", "Ada Quill", "Port Lumen") == split_of("chain", "Ada Quill", "Port Lumen")
    True
    """
    return "test" if derive(0, "partition", *key) % 2 else "train"


class Told(Protocol):
    """Something drawn that has the text of its question."""

    @property
    def text(self) -> str:
        """The question, as it is asked."""
        ...


T = TypeVar("T", bound=Told)


def distinct(task: str, split: Split, seed: int | None, draw: Callable[[random.Random], T]) -> Iterator[tuple[str, T]]:
    """Draws without end, no two of the same text, each with the id of its question."""
    seen: set[str] = set()
    for place in count():
        rng = random.Random(derive(seed or 0, task, split, place))
        while (drawn := draw(rng)).text in seen:
            pass
        seen.add(drawn.text)
        yield f"{task}-{split}-{seed or 0}-{place:05}", drawn


def shuffled(questions: Sequence[Question], seed: int | None) -> list[Question]:
    """The questions in an order of the seed's; None keeps the order they are in."""
    if seed is None:
        return list(questions)
    return sorted(questions, key=lambda question: derive(seed, "order", question.id))
