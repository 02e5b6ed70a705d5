"""Seeds that depend on what they are for, never on what ran before.

One running generator makes two runs of one seed differ as soon as one of them is resumed. Here every random decision has a seed of its own,
derived from (run seed, stage, item).
"""

import hashlib


def derive(seed: int, *item: str | int) -> int:
    """A 63-bit seed for one item; equal arguments give equal seeds on every machine and Python version.

    >>> derive(1, "generate", "q7/0", 2) == derive(1, "generate", "q7/0", 2)
    True
    >>> derive(1, "generate", "q7/0", 2) == derive(2, "generate", "q7/0", 2)
    False
    """
    key = "\x1f".join(f"{type(part).__name__}:{part}" for part in (seed, *item))
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) >> 1
