"""Which side of the train/test divide a thing falls on, a function of the thing alone, so no two draws disagree; and in what order
questions are drawn."""

from collections.abc import Sequence

from swirl.seeds import derive
from swirl.tasks import Split
from swirl.types import Question


def split_of(*key: str | int) -> Split:
    """The side of a key; about half of all keys fall on each.

    >>> split_of("chain", "Ada Quill", "Port Lumen") == split_of("chain", "Ada Quill", "Port Lumen")
    True
    """
    return "test" if derive(0, "partition", *key) % 2 else "train"


def shuffled(questions: Sequence[Question], seed: int | None) -> list[Question]:
    """The questions in an order of the seed's; None keeps the order they are in."""
    if seed is None:
        return list(questions)
    return sorted(questions, key=lambda question: derive(seed, "order", question.id))
