"""Ancestral sampling, many sequences at once.

What contexts share is read once, and so is what a `Memory` holds from the step before (`swirl.engine.decoder`). Sequences that ended make
room for contexts that wait, in the order of a dictionary, by a schedule that is a function of the call alone.

Every sequence draws from a counter-based stream of uniforms keyed by its own seed, and picks a token by the inverse of its cumulative
distribution, so what it draws depends on its context and its seed, up to floating-point rounding, not on what it is batched with.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from swirl.engine import Finish, Sampling
from swirl.engine.attention import obstacle
from swirl.engine.cache import Memory
from swirl.engine.decoder import Decoder
from swirl.engine.model import LanguageModel
from swirl.engine.plain import PlainDecoder
from swirl.engine.seating import families, similar
from swirl.engine.stopping import Sequence as Writing
from swirl.engine.stopping import Stopping
from swirl.engine.tree import Ids
from swirl.errors import PolicyFailure

_SCALE = 2.0**40
"""Probabilities are rounded to multiples of 1 / _SCALE, because whole numbers add up exactly, in any order, on any device."""
_BLOCK = 256
"""Tokens whose probabilities are added up before one of them is looked for."""
_DRAWN = 2**24
"""Most probabilities that are worked on at once."""

_MEMORY = {"cpu": 2**31, "mps": 2**31, "cuda": 2**34}
"""Bytes that the keys and values of all that is being sampled may take, and what is remembered of it once more."""
_REFILL = 0.25
"""Share of it that has to be free before contexts that wait enter."""


@dataclass(frozen=True)
class Sampled:
    """What was sampled after one context with one seed."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Natural-log probability of each id under the distribution it was drawn from; at temperature 0, at temperature 1."""
    finish: Finish


class _Request(NamedTuple):
    """One sequence to sample: its place in the result, and its seed."""

    place: tuple[int, int]
    seed: int


class _Work(NamedTuple):
    """A distinct context, and what is asked for after it."""

    context: Ids
    requests: list[_Request]

    def cost(self, max_tokens: int) -> int:
        """Tokens it may take: its context twice, as it was read and as it is laid out, and its sequences at their longest."""
        return 2 * len(self.context) + len(self.requests) * max_tokens


@dataclass(frozen=True)
class _Going:
    """One sequence under way."""

    work: _Work
    request: _Request
    uniforms_T: Float[np.ndarray, " tokens"]
    written: Writing


def sample(
    lm: LanguageModel,
    contexts: Sequence[Sequence[int]],
    sampling: Sampling,
    seeds: Sequence[Sequence[int]],
    memory: Memory | None = None,
) -> list[list[Sampled]]:
    """Continue every context once for each of its seeds: `result[i][j]` continues `contexts[i]` with `seeds[i][j]`.

    A context that leaves no room for `sampling.max_tokens` in `sampling.max_context`, or in the positions the network was built for, gives
    `Finish.CONTEXT` and no ids: no action is ever cut short by its context. A context that begins as rows in `memory` do is read from where
    it differs; afterwards `memory` holds the rows of this call. Raises `PolicyFailure` where the network's distribution is not finite.
    """
    room = min(sampling.max_context, lm.max_positions) - sampling.max_tokens
    results = [[Sampled((), (), Finish.CONTEXT) for _ in own] for own in seeds]
    fitting = [i for i, context in enumerate(contexts) if len(context) <= room]
    with torch.inference_mode():
        for (i, j), one in _sampled(lm, _merged(fitting, contexts, seeds), sampling, memory):
            results[i][j] = one
    return results


def _merged(fitting: Sequence[int], contexts: Sequence[Sequence[int]], seeds: Sequence[Sequence[int]]) -> list[_Work]:
    """Each distinct context once, with all that is asked of it: what begins alike stands together."""
    merged: dict[Ids, list[_Request]] = {}
    for i in fitting:
        merged.setdefault(tuple(contexts[i]), []).extend(_Request((i, j), seed) for j, seed in enumerate(seeds[i]))
    return [_Work(context, requests) for context, requests in sorted(merged.items()) if requests]


def _sampled(
    lm: LanguageModel, work: Sequence[_Work], sampling: Sampling, memory: Memory | None
) -> Iterator[tuple[tuple[int, int], Sampled]]:
    """What was sampled, in the order in which it ended."""
    capacity = _MEMORY[lm.device.type] // _cache_bytes(lm.network.config, lm.network.dtype)
    decoder = (
        Decoder(lm.network, lm.device, memory, capacity)
        if obstacle(lm.network) is None
        else PlainDecoder(lm.network, lm.device)
    )
    stopping = Stopping(lm, sampling)
    waiting, going = deque(work), list[_Going]()
    logits = list[Tensor]()
    while waiting or going:
        for entering in _alike(
            _entering(waiting, capacity, decoder.held + len(going) * sampling.max_tokens, sampling.max_tokens)
        ):
            logits.append(decoder.enter([one.context for one in entering], [len(one.requests) for one in entering]))
            going += [_begun(one, request, stopping) for one in entering for request in one.requests]
        uniforms_A = np.array([one.uniforms_T[len(one.written.ids)] for one in going])
        tokens_A, logprobs_A = _chosen(torch.cat(logits), uniforms_A, sampling.temperature)
        for one, token, logprob in zip(going, tokens_A.tolist(), logprobs_A.tolist(), strict=True):
            stopping.append(one.written, token, logprob)
        ended_A = np.array([one.written.finish is not None for one in going])
        for one in going:
            if one.written.finish is not None:
                yield one.request.place, _finished(one.written)
        if ended_A.any():
            decoder.leave(ended_A)
        going = [one for one in going if one.written.finish is None]
        logits = [decoder.step(tokens_A[~ended_A])] if going else []
    decoder.close()


def _begun(work: _Work, request: _Request, stopping: Stopping) -> _Going:
    """Uniforms in [0, 1), from the counter-based generator Philox keyed by the seed."""
    uniforms_T = np.random.Generator(np.random.Philox(key=request.seed)).random(stopping.max_tokens)
    return _Going(work, request, uniforms_T, stopping.sequence())


def _entering(waiting: deque[_Work], capacity: int, taken: int, max_tokens: int) -> list[_Work]:
    """The first of those that wait, as far as they fit beside the tokens that are taken, once much is free; if nothing is taken, at least
    one."""
    free = capacity - taken
    if taken and free < _REFILL * capacity:
        return []
    entering: list[_Work] = []
    while waiting and (waiting[0].cost(max_tokens) <= free or not (taken or entering)):
        entering.append(waiting.popleft())
        free -= entering[-1].cost(max_tokens)
    return entering


def _alike(entering: Sequence[_Work]) -> list[list[_Work]]:
    """In parts of similar length, families of contexts kept together."""
    lines = families([one.context for one in entering])
    parts = similar([len(entering[line[-1]].context) for line in lines]) if lines else []
    return [[entering[i] for i in sorted(i for line in part for i in lines[line])] for part in parts]


def _finished(written: Writing) -> Sampled:
    assert written.finish is not None
    if not np.isfinite(written.logprobs).all():
        raise PolicyFailure("the network's distribution over the next token is not finite; its weights are broken")
    return Sampled(tuple(written.ids), tuple(written.logprobs), written.finish)


def _cache_bytes(config: Any, dtype: torch.dtype) -> int:
    """Bytes of keys and values a token takes."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * width * dtype.itemsize)


def _chosen(
    logits_AV: Float[Tensor, "going vocabulary"], uniforms_A: Float[np.ndarray, " going"], temperature: float
) -> tuple[Int[np.ndarray, " going"], Float[np.ndarray, " going"]]:
    """A token for each sequence, and its log-probability. Where there are no float64 numbers (Apple's GPUs), drawing happens on the
    processor."""
    tokens, logprobs = [], []
    rows = max(1, _DRAWN // logits_AV.shape[1])
    for start in range(0, len(logits_AV), rows):
        part_BV = logits_AV[start : start + rows]
        part_BV = part_BV.cpu() if part_BV.device.type == "mps" else part_BV
        logprobs_BV = torch.log_softmax(part_BV.float() / (temperature or 1.0), dim=-1)
        tokens_B = _draw(logprobs_BV, uniforms_A[start : start + rows], temperature)
        tokens.append(tokens_B)
        logprobs.append(logprobs_BV.gather(-1, tokens_B[:, None])[:, 0])
    return torch.cat(tokens).cpu().numpy(), torch.cat(logprobs).cpu().numpy()


def _draw(
    logprobs_BV: Float[Tensor, "rows vocabulary"], uniforms_B: Float[np.ndarray, " rows"], temperature: float
) -> Int[Tensor, " rows"]:
    """The token at which the cumulative distribution passes the uniform; the likeliest one at temperature 0."""
    if temperature == 0:
        return logprobs_BV.argmax(-1)
    weights_BV = (logprobs_BV.exp() * _SCALE).round().long()
    padded_BV = torch.nn.functional.pad(weights_BV, (0, -weights_BV.shape[1] % _BLOCK))
    blocks_BNK = padded_BV.view(len(padded_BV), -1, _BLOCK)
    cumulative_BN = blocks_BNK.sum(-1).cumsum(-1)
    target_B1 = (torch.from_numpy(uniforms_B).to(logprobs_BV.device) * cumulative_BN[:, -1]).long()[:, None]
    block_B1 = torch.searchsorted(cumulative_BN, target_B1, right=True).clamp(max=cumulative_BN.shape[1] - 1)
    chosen_BK = blocks_BNK[torch.arange(len(blocks_BNK), device=block_B1.device), block_B1[:, 0]]
    before_B1 = cumulative_BN.gather(-1, block_B1) - chosen_BK.sum(-1, keepdim=True)
    inside_B1 = torch.searchsorted(chosen_BK.cumsum(-1), target_B1 - before_B1, right=True)
    return (block_B1 * _BLOCK + inside_B1)[:, 0].clamp(max=logprobs_BV.shape[-1] - 1)
