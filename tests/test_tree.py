"""Packed rows: each distinct token once, seeing what it sees in its rows; from the definition, token by token."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl.engine import tree as trees
from swirl.engine.tree import Pair, Tree, grow, num_distinct, packs

TOKENS = st.integers(0, 2)
IDS = st.lists(TOKENS, min_size=1, max_size=6).map(tuple)
ROWS = st.lists(st.tuples(IDS, IDS), min_size=1, max_size=12)


@st.composite
def trajectories(draw: st.DrawFn) -> list[Pair]:
    """Some trajectories, cut into states with some actions each, as training has them; unlikely rows come from `ROWS`."""
    rows = []
    for _ in range(draw(st.integers(1, 3))):
        context = draw(IDS)
        for _ in range(draw(st.integers(1, 4))):
            actions = draw(st.lists(IDS, min_size=1, max_size=5))
            rows += [(context, action) for action in actions]
            context = (*context, *actions[0], *draw(IDS))
    return rows


def read(row: Pair) -> tuple[int, ...]:
    return (*row[0], *row[1][:-1])


def prefixes(rows: list[Pair]) -> set[tuple[int, ...]]:
    return {read(row)[:n] for row in rows for n in range(1, len(read(row)) + 1)}


def prefix_of_each(tree: Tree) -> list[tuple[int, ...]]:
    """For each packed token, the tokens that it sees, by position."""
    everything = np.arange(len(tree.ids_N))
    found = []
    for seen in tree.sees(everything, everything):
        order = np.flatnonzero(seen)
        order = order[np.argsort(tree.positions_N[order])]
        assert tree.positions_N[order].tolist() == list(range(len(order)))
        found.append(tuple(tree.ids_N[order].tolist()))
    return found


@settings(deadline=None)
@given(st.one_of(ROWS, trajectories()))
def test_every_distinct_token_stands_once_and_sees_its_own_prefix(rows: list[Pair]) -> None:
    found = prefix_of_each(grow(rows))
    assert len(found) == len(set(found)) == num_distinct(rows)
    assert set(found) == prefixes(rows)


@settings(deadline=None)
@given(st.one_of(ROWS, trajectories()))
def test_an_action_is_predicted_after_the_tokens_before_it(rows: list[Pair]) -> None:
    tree = grow(rows)
    found = prefix_of_each(tree)
    for (context, action), nodes in zip(rows, tree.predicting, strict=True):
        assert [found[node] for node in nodes] == [(*context, *action[:n]) for n in range(len(action))]


@pytest.mark.parametrize("limits", [(1, 1), (2, 3), (1024, 256)])
@settings(deadline=None)
@given(rows=st.one_of(ROWS, trajectories()))
def test_a_block_is_given_all_that_its_tokens_see(limits: tuple[int, int], rows: list[Pair]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trees, "_TRUNK", limits[0])
        patch.setattr(trees, "_BRANCHES", limits[1])
        tree = grow(rows)
    everything = np.arange(len(tree.ids_N))
    visible = tree.sees(everything, everything)
    assert [0, *(block.stop for block in tree.blocks)] == [*(block.start for block in tree.blocks), len(everything)]
    starts = {block.start for block in tree.blocks}
    for block in tree.blocks:
        assert all(starts.isdisjoint(range(part.start + 1, part.stop)) for part in block.seen)
        given_to_it = [*(place for part in block.seen for place in everything[part]), *range(block.start, block.stop)]
        outside = np.setdiff1d(everything, given_to_it)
        assert not visible[block.start : block.stop, outside].any()
        before = [tree.positions_N[part] for part in block.seen]
        assert np.concatenate([np.empty(0, int), *before]).tolist() == list(range(sum(map(len, before))))


def test_a_trajectory_with_two_actions_a_state_looks_like_this() -> None:
    """Prompt 1 2; action 3 4 and observation 5; the other action of the first state is 3 6 7, those of the second 8 9 and 8 8 8."""
    tree = grow([((1, 2), (3, 4)), ((1, 2), (3, 6, 7)), ((1, 2, 3, 4, 5), (8, 9)), ((1, 2, 3, 4, 5), (8, 8, 8))])
    assert tree.ids_N.tolist() == [1, 2, 3, 4, 5, 6, 8, 8]
    assert tree.positions_N.tolist() == [0, 1, 2, 3, 4, 3, 5, 6]
    picture = ["".join("x" if sees else "." for sees in row) for row in tree.sees(np.arange(8), np.arange(8))]
    assert picture == [
        "x.......",
        "xx......",
        "xxx.....",
        "xxxx....",
        "xxxxx...",
        "xxx..x..",
        "xxxxx.x.",
        "xxxxx.xx",
    ]
    assert [nodes.tolist() for nodes in tree.predicting] == [[1, 2], [1, 2, 5], [4, 6], [4, 6, 7]]


def test_five_states_with_eight_actions_each_are_an_eighth_of_their_rows() -> None:
    """A prompt of 150, five states, actions of 40 and observations of 100, eight actions a state: 2,270 tokens to read in place of
    18,600, and none of them in a block that sees much more than it has to."""
    trunk = tuple(range(1000, 1000 + 150 + 4 * 140))
    fresh = iter(range(10_000, 100_000))
    rows = [(trunk[: 150 + 140 * k], tuple(next(fresh) for _ in range(40))) for k in range(5) for _ in range(8)]
    tree = grow(rows)
    assert num_distinct(rows) == len(tree.ids_N) == 710 + 40 * 39
    assert sum(len(read(row)) for row in rows) == 18_800 - 40
    seen = sum(
        (block.stop - block.start) * (sum(s.stop - s.start for s in block.seen) + block.stop - block.start)
        for block in tree.blocks
    )
    needed = 710 * 711 // 2 + sum((len(row[0]) + 20) * 39 for row in rows)
    assert seen < 2 * needed


@settings(deadline=None)
@given(rows=st.one_of(ROWS, trajectories()), budget=st.integers(1, 30))
def test_packs_keep_their_budget_and_lose_no_row(rows: list[Pair], budget: int) -> None:
    found = list(packs(rows, budget))
    assert sorted(i for pack in found for i in pack) == list(range(len(rows)))
    sizes = [num_distinct([rows[i] for i in pack]) for pack in found]
    assert all(size <= budget or len(pack) == 1 for size, pack in zip(sizes, found, strict=True))
    joined = [num_distinct([rows[i] for i in [*one, other[0]]]) for one, other in pairwise(found)]
    assert all(size > budget for size in joined)


def test_an_empty_action_is_a_programmers_mistake() -> None:
    with pytest.raises(AssertionError, match="at least one token each"):
        grow([((1,), ())])
