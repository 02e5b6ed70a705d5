"""What a network says where actions are predicted: the plain way, row by row, and the packed way, every distinct token once.

Both give the same `Predictions`, up to rounding. The plain way shares nothing, so it is what the packed way is checked against; it also
serves the networks that cannot read a packed tree (`swirl.engine.attention.obstacle`).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from swirl.engine.attention import causal, logits, obstacle
from swirl.engine.sights import read
from swirl.engine.tree import Pair, grow, packs

_LOGIT_BYTES = 2**26
"""Most bytes of logits in single precision that are worked on at once."""


class Part(NamedTuple):
    """Some of the places, few enough for their logits to fit."""

    places: slice
    tokens: Int[Tensor, " tokens"]
    """Which of the N tokens are predicted at these places."""


class Predictions(NamedTuple):
    """P places where something is predicted, and the N action tokens that are. A place may predict many: all actions of a state begin at
    one place."""

    features_PX: Float[Tensor, "places width"]
    """What the logits are made of, with gradient."""
    head: Callable[[Tensor], Tensor]
    """Some places' features -> their logits over the vocabulary, at temperature 1."""
    head_weights: tuple[Tensor, ...]
    """The weights in it that are trained."""
    places_N: Int[Tensor, " tokens"]
    """Where each token is predicted."""
    tokens_N: Int[Tensor, " tokens"]
    rows_N: Int[Tensor, " tokens"]
    """Whose action each token belongs to."""
    vocabulary: int
    num_read: int
    """Tokens the network read for it, padding left out."""

    def parts(self) -> Iterator[Part]:
        """All places, cut so that no tensor of logits grows large."""
        size = max(1, _LOGIT_BYTES // (4 * self.vocabulary))
        for start in range(0, len(self.features_PX), size):
            stop = min(start + size, len(self.features_PX))
            inside = (self.places_N >= start) & (self.places_N < stop)
            yield Part(slice(start, stop), inside.nonzero()[:, 0])


class Reader:
    """How a network reads rows: packed where it can."""

    def __init__(self, network: Any, device: torch.device) -> None:
        self.device = device
        self.packed = obstacle(network) is None

    def batches(self, pairs: Sequence[Pair], max_tokens: int) -> Iterator[list[int]]:
        """Cut rows into micro-batches of at most `max_tokens` tokens, those counted that the network has to read; a longer row goes
        alone. Gives the indices of each batch's rows."""
        return packs(pairs, max_tokens) if self.packed else padded_batches(pairs, max_tokens)

    def predict(self, network: Any, pairs: Sequence[Pair]) -> Predictions:
        """Read some rows."""
        return predict_packed(network, pairs, self.device) if self.packed else predict_rows(network, pairs, self.device)


def predict_packed(network: Any, pairs: Sequence[Pair], device: torch.device) -> Predictions:
    """Every distinct token once."""
    tree = grow(pairs)
    nodes_P, places_N = np.unique(np.concatenate(tree.predicting), return_inverse=True)
    hidden_NX = read(network, tree, device)
    return _predictions(
        pairs,
        hidden_NX.index_select(0, torch.from_numpy(nodes_P).to(device)),
        lambda features_PX: logits(network, features_PX),
        tuple(weight for weight in causal(network).lm_head.parameters() if weight.requires_grad),
        torch.from_numpy(places_N).to(device),
        network.config.vocab_size,
        len(tree.ids_N),
    )


def predict_rows(network: Any, pairs: Sequence[Pair], device: torch.device) -> Predictions:
    """One padded row for each pair. Padding stands on the right, where causal attention never sees it."""
    assert all(context and action for context, action in pairs), "a context and an action have at least one token each"
    lengths_B1 = torch.tensor([[len(action)] for _, action in pairs], device=device)
    starts_B1 = torch.tensor([[len(context)] for context, _ in pairs], device=device)
    offsets_1T = torch.arange(int(lengths_B1.max()), device=device)[None]
    # Past the end of an action any position will do; nothing is taken from there.
    predicting_BT = starts_B1 - 1 + torch.minimum(offsets_1T, lengths_B1 - 1)
    output = network(
        input_ids=_padded([[*context, *action] for context, action in pairs], device),
        use_cache=False,
        logits_to_keep=predicting_BT,
    )
    logits_NV = output.logits[offsets_1T < lengths_B1]
    places_N = torch.arange(len(logits_NV), device=device)
    num_read = num_tokens(pairs)
    return _predictions(pairs, logits_NV, lambda features_PX: features_PX, (), places_N, logits_NV.shape[-1], num_read)


def num_tokens(pairs: Sequence[Pair]) -> int:
    """Tokens of all rows, one by one, that are read or predicted from."""
    return sum(len(context) + len(action) - 1 for context, action in pairs)


def _predictions(
    pairs: Sequence[Pair],
    features_PX: Tensor,
    head: Callable[[Tensor], Tensor],
    head_weights: tuple[Tensor, ...],
    places_N: Tensor,
    vocabulary: int,
    num_read: int,
) -> Predictions:
    device = places_N.device
    rows = [row for row, (_, action) in enumerate(pairs) for _ in action]
    return Predictions(
        features_PX=features_PX,
        head=head,
        head_weights=head_weights,
        places_N=places_N,
        tokens_N=torch.tensor([token for _, action in pairs for token in action], device=device),
        rows_N=torch.tensor(rows, device=device),
        vocabulary=vocabulary,
        num_read=num_read,
    )


def token_logprobs(said: Predictions, temperature: float = 1.0) -> list[list[float]]:
    """Natural-log probability of each action token in single precision at least, row by row. `temperature` as in sampling; 0 counts
    as 1."""
    found_N = torch.zeros(len(said.tokens_N), dtype=torch.float64)
    for places, tokens in said.parts():
        logits_PV = said.head(said.features_PX[places])
        precise_PV = (logits_PV if logits_PV.dtype == torch.float64 else logits_PV.float()) / (temperature or 1.0)
        at_N = said.places_N[tokens] - places.start
        found_N[tokens.cpu()] = (
            (precise_PV[at_N, said.tokens_N[tokens]] - precise_PV.logsumexp(-1)[at_N]).double().cpu()
        )
    return [part.tolist() for part in torch.split(found_N, said.rows_N.bincount().tolist())]


def padded_batches(pairs: Sequence[Pair], max_tokens: int) -> Iterator[list[int]]:
    """Rows of similar length together, padding counted.

    >>> list(padded_batches([((1,) * n, (2,)) for n in (5, 1, 9, 2)], 12))
    [[1, 3], [0], [2]]
    """
    sizes = [len(context) + len(action) for context, action in pairs]
    batch: list[int] = []
    for i in sorted(range(len(pairs)), key=lambda i: (sizes[i], len(pairs[i][1]))):
        if batch and sizes[i] * (len(batch) + 1) > max_tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _padded(rows: Sequence[Sequence[int]], device: torch.device) -> Int[Tensor, "rows length"]:
    length = max(len(row) for row in rows)
    return torch.tensor([[*row, *[0] * (length - len(row))] for row in rows], device=device)
