"""What is remembered of rows that were read."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from swirl.engine.cache import Keys, Memory, Remembered

IDS = st.lists(st.integers(0, 2), min_size=1, max_size=6).map(tuple)


def keys(count: int, start: int = 0) -> Keys:
    numbers = torch.arange(start, start + count, dtype=torch.float32)[None, :, None]
    return Keys(((numbers, -numbers), (numbers + 100, -numbers - 100)))


def test_keys_are_taken_and_joined_layer_by_layer():
    taken = keys(5).take(np.array([4, 0, 0]))
    assert taken.layers[1][0][0, :, 0].tolist() == [104, 100, 100]
    joined = Keys.joined([keys(2), Keys(()), keys(3, start=7)])
    assert (joined.count, joined.layers[0][1][0, :, 0].tolist()) == (5, [0, -1, -7, -8, -9])
    assert Keys.joined([]).count == Keys(()).take(np.array([], dtype=np.int64)).count == 0


@given(st.lists(IDS, max_size=6), IDS)
def test_a_context_is_known_as_far_as_any_row_goes_with_it_but_for_its_last_token(rows, context):
    memory, start, parts = Memory(), 0, []
    for row in rows:
        parts.append(Remembered(((row, np.arange(len(row))),), keys(len(row), start)))
        start += len(row)
    memory.replace(parts)
    known = memory.known(context)
    agreeing = [
        next((n for n, (a, b) in enumerate(zip(row, context, strict=False)) if a != b), min(len(row), len(context)))
        for row in rows
    ]
    assert len(known) == min(max(agreeing, default=0), len(context) - 1)
    everything = [token for row in rows for token in row]
    assert tuple(everything[place] for place in known) == context[: len(known)]


def test_what_was_remembered_before_is_forgotten():
    memory = Memory()
    memory.replace([Remembered((((1, 2, 3), np.arange(3)),), keys(3))])
    memory.replace([Remembered((((5, 6), np.arange(2)),), keys(2))])
    assert (len(memory.known((1, 2, 3, 4))), len(memory.known((5, 6, 7))), memory.keys.count) == (0, 2, 2)
