"""The log-probability a network gives to actions, computed the plain way: one padded row for each (context, action) pair.

Nothing is shared between rows, so this is what every faster path is checked against.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class ActionLogits(NamedTuple):
    """Rows are (context, action) pairs; actions are padded on the right to the longest of them."""

    logits_BTV: Float[Tensor, "rows tokens vocabulary"]
    """What the network says before each action token, at temperature 1."""
    mask_BT: Bool[Tensor, "rows tokens"]
    """True where there is an action token."""
    tokens_BT: Int[Tensor, "rows tokens"]
    """The action tokens, 0 where there is none."""


def action_logits(
    network: Any, contexts: Sequence[Sequence[int]], actions: Sequence[Sequence[int]], device: torch.device
) -> ActionLogits:
    """Logits that predict each token of `actions[i]` after `contexts[i]`; none of these may be empty.

    Padding stands on the right, where causal attention never sees it.
    """
    rows = [[*context, *action] for context, action in zip(contexts, actions, strict=True)]
    assert all([*contexts, *actions]), "a context and an action have at least one token each"
    tokens_BT = _padded(actions, device)
    lengths_B1 = torch.tensor([[len(action)] for action in actions], device=device)
    starts_B1 = torch.tensor([[len(context)] for context in contexts], device=device)
    offsets_1T = torch.arange(tokens_BT.shape[1], device=device)[None]
    # Past the end of an action any position will do; its logits are masked.
    predicting_BT = starts_B1 - 1 + torch.minimum(offsets_1T, lengths_B1 - 1)
    output = network(input_ids=_padded(rows, device), use_cache=False, logits_to_keep=predicting_BT)
    return ActionLogits(output.logits, offsets_1T < lengths_B1, tokens_BT)


def token_logprobs(scored: ActionLogits, temperature: float = 1.0) -> Float[Tensor, "rows tokens"]:
    """Natural-log probability of each action token in float32, 0 where there is none. `temperature` as in sampling; 0 counts as 1."""
    logits_BTV = scored.logits_BTV.float() / (temperature or 1.0)
    chosen_BT = logits_BTV.gather(-1, scored.tokens_BT[..., None])[..., 0] - logits_BTV.logsumexp(-1)
    return chosen_BT.masked_fill(~scored.mask_BT, 0.0)


def _padded(rows: Sequence[Sequence[int]], device: torch.device) -> Int[Tensor, "rows length"]:
    length = max(len(row) for row in rows)
    return torch.tensor([[*row, *[0] * (length - len(row))] for row in rows], device=device)
