"""Which of several processes this is, as `torchrun` tells it in the environment. One alone is the first of one.

What they do together is in `swirl.train.ranks`.
"""

import os


def count() -> int:
    """How many processes do the same work.

    >>> count()
    1
    """
    return int(os.environ.get("WORLD_SIZE", "1"))


def leads() -> bool:
    """Whether this is the first of them: the one that writes, and speaks.

    >>> leads()
    True
    """
    return os.environ.get("RANK", "0") == "0"
