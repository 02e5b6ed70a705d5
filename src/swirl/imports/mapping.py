"""A trace as a trajectory: one that we wrote ourselves as it was, any other by its messages."""

from swirl.imports import Reading, Trace
from swirl.imports.messages import trajectory
from swirl.imports.restored import recorded, restored
from swirl.types import Trajectory


def mapped(trace: Trace, reading: Reading) -> Trajectory:
    """The trajectory of a trace; raises `CannotMap` where it is none.

    >>> messages = [{"role": "user", "content": "2 * 3?"}, {"role": "assistant", "content": "<answer>6</answer>"}]
    >>> mapped(Trace("a.jsonl:1", messages), Reading()).answer
    '6'
    """
    if trace.record is not None:
        return recorded(trace.record)
    return restored(trace) if trace.restored else trajectory(trace, reading)
