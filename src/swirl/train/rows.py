"""The rows of an update: (context, action) pairs, each with the weights of its log-probability and of its KL in the loss.

The weights hold the one global denominator of the update (the actions of a state that count, then the states that have some), so the loss
is a plain sum over rows: cut into micro-batches of any size, in any order, it has the same gradient. Equal pairs are merged by adding
their weights, which is exact too, and saves most of the work once the policy is sure of itself.

Not here: tensors (`swirl.train.loss`).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from swirl.train.advantages import Advantages

Ids = tuple[int, ...]


class Row(NamedTuple):
    """One pair; its part of the loss is `kl_weight * KL - weight * log-probability`."""

    context: Ids
    action: Ids
    weight: float = 0.0
    kl_weight: float = 0.0

    @property
    def num_tokens(self) -> int:
        """Length of the row before padding."""
        return len(self.context) + len(self.action)


def policy_rows(
    contexts_B: Sequence[Ids], actions_B_G: Sequence[Sequence[Ids]], advantages: Advantages, kl_weight: float
) -> list[Row]:
    """The rows of a policy-gradient update. The KL is over every action sampled, since it needs no verdict.

    >>> import torch
    >>> advantages = Advantages(torch.tensor([[1.0, -1.0], [0.0, 0.0]]), torch.tensor([[True, True], [False, False]]))
    >>> rows = policy_rows([(1,), (2,)], [[(3,), (4,)], [(3,), (3,)]], advantages, kl_weight=0.4)
    >>> [(row.weight, row.kl_weight) for row in rows]
    [(0.5, 0.1), (-0.5, 0.1), (0.0, 0.1), (0.0, 0.1)]
    """
    num_counted_B = [int(count) for count in advantages.mask_BG.sum(dim=1)]
    num_states = sum(count > 0 for count in num_counted_B)
    values_B_G: list[list[float]] = advantages.values_BG.tolist()
    return [
        Row(
            context,
            action,
            value / (num_counted * num_states) if num_counted else 0.0,
            kl_weight / (len(actions_G) * len(contexts_B)),
        )
        for context, actions_G, values_G, num_counted in zip(
            contexts_B, actions_B_G, values_B_G, num_counted_B, strict=True
        )
        for action, value in zip(actions_G, values_G, strict=True)
    ]


def imitation_rows(pairs: Sequence[tuple[Ids, Ids]]) -> list[Row]:
    """The rows of a supervised update: the mean negative log-probability of the actions' tokens.

    >>> imitation_rows([((1, 2), (3,)), ((1,), (4, 5, 6))])
    [Row(context=(1, 2), action=(3,), weight=0.25, kl_weight=0.0), Row(context=(1,), action=(4, 5, 6), weight=0.25, kl_weight=0.0)]
    """
    num_tokens = sum(len(action) for _, action in pairs)
    return [Row(context, action, 1 / num_tokens) for context, action in pairs]


def merge(rows: Sequence[Row]) -> list[Row]:
    """Each distinct pair once, its weights added up; a pair whose weights are both zero has no gradient and is dropped.

    >>> merge([Row((1,), (2,), 0.5), Row((1,), (3,), 0.0), Row((1,), (2,), 0.25)])
    [Row(context=(1,), action=(2,), weight=0.75, kl_weight=0.0)]
    """
    merged: dict[tuple[Ids, Ids], Row] = {}
    for row in rows:
        known = merged.get((row.context, row.action), Row(row.context, row.action))
        merged[row.context, row.action] = Row(
            row.context, row.action, known.weight + row.weight, known.kl_weight + row.kl_weight
        )
    return [row for row in merged.values() if row.weight or row.kl_weight]


def micro_batches(rows: Sequence[Row], max_tokens: int) -> Iterator[list[Row]]:
    """Rows of similar length together, each batch of at most `max_tokens` tokens once padded; a longer row goes alone.

    >>> rows = [Row((1,) * n, (2,)) for n in (5, 1, 9, 2)]
    >>> [[row.num_tokens for row in batch] for batch in micro_batches(rows, 12)]
    [[2, 3], [6], [10]]
    """
    batch: list[Row] = []
    for row in sorted(rows, key=lambda row: (row.num_tokens, len(row.action))):
        if batch and row.num_tokens * (len(batch) + 1) > max_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
