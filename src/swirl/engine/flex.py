"""FlexAttention over a packed tree, for CUDA: one kernel for all blocks, told by a predicate who sees whom.

The predicate is `Tree.sees`, token by token. Sequences are padded up to a few sizes, because each size is compiled once.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from torch.nn.functional import pad

from swirl.engine.tree import Tree

_LEAST_WIDTH = 16
"""Of a head, for the kernel; narrower ones are padded with zeros, which changes no product."""
_KERNELS = 1024
"""Most sizes and kinds of attention that are compiled. torch's own limit is 8, after which it would read without the kernel."""


def serves(device: torch.device) -> bool:
    """Whether the kernel can be had on a device."""
    return device.type == "cuda" and find_spec("triton") is not None


def bucket(length: int) -> int:
    """The size that a packed sequence is padded to: at most a quarter more, and few different ones.

    >>> [bucket(length) for length in (1, 128, 129, 1000, 1025, 5000)]
    [128, 128, 256, 1024, 1280, 5120]
    """
    step = max(128, 1 << max(0, (length - 1).bit_length() - 3))
    return -(-length // step) * step


def padded(tree: Tree, size: int) -> Tree:
    """The tree with tokens at its end that see themselves alone and are seen by no other; its blocks are left as they were."""
    count = len(tree.ids_N)
    zeros, alone = np.zeros(size - count, dtype=np.int64), np.arange(count, size)
    return replace(
        tree,
        ids_N=np.concatenate([tree.ids_N, zeros]),
        positions_N=np.concatenate([tree.positions_N, zeros]),
        enter_N=np.concatenate([tree.enter_N, alone]),
        leave_N=np.concatenate([tree.leave_N, alone + 1]),
    )


def block_mask(tree: Tree, window: int | None, device: torch.device) -> BlockMask:
    """Who sees whom, of the last `window` positions alone where there is one."""
    enter, leave, positions = (
        torch.from_numpy(part).to(device) for part in (tree.enter_N, tree.leave_N, tree.positions_N)
    )
    size, reach = len(tree.ids_N), len(tree.ids_N) if window is None else window
    return create_block_mask(
        lambda batch, head, query, key: (
            (enter[key] <= enter[query]) & (enter[query] < leave[key]) & (positions[query] - positions[key] < reach)
        ),
        B=None,
        H=None,
        Q_LEN=size,
        KV_LEN=size,
        device=device,
    )


def attend(
    query: Float[Tensor, "1 heads nodes width"],
    key: Float[Tensor, "1 key_heads nodes width"],
    value: Float[Tensor, "1 key_heads nodes width"],
    mask: BlockMask,
    scaling: float,
    softcap: float | None,
) -> Float[Tensor, "1 heads nodes width"]:
    """Attention under a block mask; compiled where there is a compiler for it."""
    kernel: Any = _compiled() if serves(query.device) else flex_attention
    width = query.shape[-1]
    if width < _LEAST_WIDTH:
        query, key, value = (pad(part, (0, _LEAST_WIDTH - width)) for part in (query, key, value))
    output: Tensor = kernel(
        query, key, value, score_mod=_capping(softcap), block_mask=mask, scale=scaling, enable_gqa=True
    )
    return output[..., :width]


@cache
def _compiled() -> Callable[..., Any]:
    limits: Any = torch._dynamo.config
    limits.recompile_limit = limits.accumulated_recompile_limit = _KERNELS
    return torch.compile(flex_attention, dynamic=False)


@cache
def _capping(softcap: float | None) -> Callable[..., Tensor] | None:
    if softcap is None:
        return None
    return lambda score, batch, head, query, key: torch.tanh(score / softcap) * softcap
