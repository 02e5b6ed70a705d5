"""Work in chunks that are committed whole, and where to go on after a chunk that was not."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from swirl.errors import RunFolderError
from swirl.records import Appender
from swirl.terminal import say

T = TypeVar("T", bound=msgspec.Struct)


def resume(out: "Appender[T]", sizes: Sequence[int]) -> int:
    """The first chunk that is not there whole; what is there of it is dropped."""
    if out.torn_bytes:
        say(f"{out.path.name}: {out.torn_bytes} bytes of an unfinished line were cut off")
    total = 0
    for number, size in enumerate(sizes):
        if total + size > len(out):
            out.rewind(total)
            return number
        total += size
    if total < len(out):
        raise RunFolderError(
            f"expected {total} records in {out.path}, found {len(out)}: it was written with other settings"
        )
    return len(sizes)
