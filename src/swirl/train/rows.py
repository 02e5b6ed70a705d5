"""The rows of an update: (context, action) pairs, each with the weights of its log-probability and of its KL in the loss.

The weights hold the one global denominator of the update (the actions of a state that count, then the states that have some), so the loss
is a plain sum over rows: cut into micro-batches of any size, in any order, it has the same gradient. Equal pairs are merged by adding
their weights, which is exact too, and saves most of the work once the policy is sure of itself.

Not here: tensors (`swirl.train.loss`).
"""

from collections.abc import Sequence
from typing import NamedTuple

from swirl.engine.tree import Ids


class Row(NamedTuple):
    """One pair; its part of the loss is `kl_weight * KL - weight * log-probability`, or `- weight * ratio` at each of its tokens where it
    is known how likely these were when they were sampled."""

    context: Ids
    action: Ids
    weight: float = 0.0
    kl_weight: float = 0.0
    logprobs: tuple[float, ...] = ()
    """Log-probability of each of the action's tokens when it was sampled; empty where only what it is now counts."""


def policy_rows(
    contexts_B: Sequence[Ids],
    actions_B_G: Sequence[Sequence[Ids]],
    weights_B_G: Sequence[Sequence[float]],
    kl_weight: float,
) -> list[Row]:
    """The rows of an update on sampled actions. The KL is over every action, since it needs no verdict.

    >>> rows = policy_rows([(1,), (2,)], [[(3,), (4,)], [(3,), (3,)]], [[0.5, -0.5], [0.0, 0.0]], kl_weight=0.4)
    >>> [(row.weight, row.kl_weight) for row in rows]
    [(0.5, 0.1), (-0.5, 0.1), (0.0, 0.1), (0.0, 0.1)]
    """
    return [
        Row(context, action, weight, kl_weight / (len(actions_G) * len(contexts_B)))
        for context, actions_G, weights_G in zip(contexts_B, actions_B_G, weights_B_G, strict=True)
        for action, weight in zip(actions_G, weights_G, strict=True)
    ]


def imitation_rows(pairs: Sequence[tuple[Ids, Ids]]) -> list[Row]:
    """The rows of a supervised update: the mean negative log-probability of the actions' tokens.

    >>> [row.weight for row in imitation_rows([((1, 2), (3,)), ((1,), (4, 5, 6))])]
    [0.25, 0.25]
    """
    num_tokens = sum(len(action) for _, action in pairs)
    return [Row(context, action, 1 / num_tokens) for context, action in pairs]


def merge(rows: Sequence[Row]) -> list[Row]:
    """Each distinct pair once, its weights added up; a pair whose weights are both zero has no gradient and is dropped. Weights of
    different sign are kept apart where a ratio is clipped, which depends on it.

    >>> merge([Row((1,), (2,), 0.5), Row((1,), (3,), 0.0), Row((1,), (2,), 0.25)]) == [Row((1,), (2,), 0.75)]
    True
    """
    merged: dict[tuple[object, ...], Row] = {}
    for row in rows:
        key = (row.context, row.action, row.logprobs, bool(row.logprobs) and row.weight < 0)
        known = merged.get(key, row._replace(weight=0.0, kl_weight=0.0))
        merged[key] = row._replace(weight=known.weight + row.weight, kl_weight=known.kl_weight + row.kl_weight)
    return [row for row in merged.values() if row.weight or row.kl_weight]
