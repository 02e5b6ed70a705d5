"""Which side of the train/test divide a thing falls on: a function of the thing alone, so no two draws disagree."""

from swirl.seeds import derive
from swirl.tasks import Split


def split_of(*key: str | int) -> Split:
    """The side of a key; about half of all keys fall on each.

    >>> split_of("chain", "Ada Quill", "Port Lumen") == split_of("chain", "Ada Quill", "Port Lumen")
    True
    """
    return "test" if derive(0, "partition", *key) % 2 else "train"
