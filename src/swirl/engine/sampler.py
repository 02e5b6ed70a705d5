"""Batched ancestral sampling with a key-value cache.

Equal contexts, and all samples of a context, share one prefill. Every sequence draws from a counter-based stream of uniforms keyed by its
own seed, and picks a token by the inverse of its cumulative distribution, so what it draws depends on its context and its seed, up to
floating-point rounding, not on what it is batched with.

What each sequence does next (end, stop tags, thinking) is in `swirl.engine.stopping`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from swirl.engine import Finish, Sampling
from swirl.engine.cache import grown_cache
from swirl.engine.model import LanguageModel
from swirl.engine.stopping import Stopping
from swirl.errors import PolicyFailure

_SCALE = 2.0**40
"""Probabilities are rounded to multiples of 1 / _SCALE, because whole numbers add up exactly, in any order, on any device."""

_MEMORY = {"cpu": 2**30, "mps": 2**31, "cuda": 2**33}
"""Bytes a batch may take for its cache and its prefill; weights not included."""


@dataclass(frozen=True)
class Sampled:
    """What was sampled after one context with one seed."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Natural-log probability of each id under the distribution it was drawn from; at temperature 0, at temperature 1."""
    finish: Finish


@dataclass(frozen=True)
class _Batch:
    """Distinct contexts, and for each of them the places and seeds of its samples."""

    contexts: list[Sequence[int]]
    samples: list[list[tuple[tuple[int, int], int]]]


def sample(
    lm: LanguageModel, contexts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[Sequence[int]]
) -> list[list[Sampled]]:
    """Continue every context once for each of its seeds: `result[i][j]` continues `contexts[i]` with `seeds[i][j]`.

    A context that leaves no room for `sampling.max_tokens` in `sampling.max_context`, or in the positions the network was built for, gives
    `Finish.CONTEXT` and no ids: no action is ever cut short by its context. Raises `PolicyFailure` where the network's distribution is not
    finite.
    """
    room = min(sampling.max_context, lm.max_positions) - sampling.max_tokens
    results = [[Sampled((), (), Finish.CONTEXT) for _ in own] for own in seeds]
    fitting = [i for i, context in enumerate(contexts) if len(context) <= room]
    stopping = Stopping(lm, sampling)
    for batch in _batches(lm, fitting, contexts, seeds, sampling.max_tokens):
        places = [place for own in batch.samples for place, _ in own]
        for (i, j), one in zip(places, _sample_batch(lm, batch, sampling, stopping), strict=True):
            results[i][j] = one
    return results


def _batches(
    lm: LanguageModel,
    fitting: Sequence[int],
    contexts: Sequence[Sequence[int]],
    seeds: Sequence[Sequence[int]],
    max_tokens: int,
) -> Iterator[_Batch]:
    """Cut the work by memory: a function of the input and the network's shape alone."""
    merged: dict[tuple[int, ...], list[tuple[tuple[int, int], int]]] = {}
    for i in fitting:
        merged.setdefault(tuple(contexts[i]), []).extend(((i, j), seed) for j, seed in enumerate(seeds[i]))
    limit, cached, active = _MEMORY[lm.device.type], _cache_bytes(lm.network.config), _prefill_bytes(lm.network.config)
    batch, rows = _Batch([], []), 0
    for context, samples in sorted(merged.items(), key=lambda item: len(item[0])):
        grown = rows + len(samples)
        cost = grown * (len(context) + max_tokens) * cached + (len(batch.contexts) + 1) * len(context) * active
        if batch.contexts and cost > limit:
            yield batch
            batch, grown = _Batch([], []), len(samples)
        batch.contexts.append(context)
        batch.samples.append(samples)
        rows = grown
    if batch.contexts:
        yield batch


def _cache_bytes(config: Any) -> int:
    """Bytes of keys and values a token takes."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * width * config.dtype.itemsize)


def _prefill_bytes(config: Any) -> int:
    """Bytes of activations a token takes, roughly."""
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    return int((4 * config.hidden_size + 3 * inner) * config.dtype.itemsize)


@torch.inference_mode()
def _sample_batch(lm: LanguageModel, batch: _Batch, sampling: Sampling, stopping: Stopping) -> list[Sampled]:
    uniforms_NT = _uniforms([seed for own in batch.samples for _, seed in own], sampling.max_tokens)
    state = _prefill(lm, batch)
    rows = [stopping.row() for _ in range(len(uniforms_NT))]
    alive = list(range(len(rows)))
    """Which of the rows each line of the network's batch belongs to; finished rows stay until the batch is compacted."""
    for step in range(sampling.max_tokens):
        logprobs_BV = _logprobs(state.logits_BV, sampling.temperature)
        tokens_B = _draw(logprobs_BV, uniforms_NT[alive, step], sampling.temperature)
        chosen_B = logprobs_BV.gather(-1, tokens_B[:, None])[:, 0]
        stopping.advance([rows[i] for i in alive], tokens_B, chosen_B)
        going = [k for k, i in enumerate(alive) if rows[i].finish is None]
        if not going or step + 1 == sampling.max_tokens:
            break
        if len(going) <= 0.75 * len(alive):
            keep = torch.tensor(going, device=lm.device)
            state.keep(keep)
            tokens_B, alive = tokens_B[keep.to(tokens_B.device)], [alive[k] for k in going]
        state.step(tokens_B.to(lm.device))
    return [_finished(row.ids, row.logprobs, row.finish or Finish.LENGTH) for row in rows]


def _finished(ids: list[int], logprobs: list[float], finish: Finish) -> Sampled:
    if not np.isfinite(logprobs).all():
        raise PolicyFailure("the network's distribution over the next token is not finite; its weights are broken")
    return Sampled(tuple(ids), tuple(logprobs), finish)


class _State:
    """The network after what it has read so far."""

    def __init__(self, network: Any, cache: Any, mask_BT: Tensor, logits_BV: Tensor) -> None:
        self.network = network
        self.cache = cache
        self.mask_BT = mask_BT
        self.positions_B1 = mask_BT.sum(-1, keepdim=True)
        self.logits_BV = logits_BV

    def step(self, tokens_B: Tensor) -> None:
        """Read one more token in every row."""
        self.mask_BT = torch.cat([self.mask_BT, self.mask_BT.new_ones(len(self.mask_BT), 1)], dim=1)
        output = self.network(
            input_ids=tokens_B[:, None],
            attention_mask=self.mask_BT,
            position_ids=self.positions_B1,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.positions_B1 = self.positions_B1 + 1
        self.logits_BV = output.logits[:, -1]

    def keep(self, rows: Tensor) -> None:
        """Leave the other rows."""
        self.cache.batch_select_indices(rows)
        self.mask_BT, self.positions_B1 = self.mask_BT[rows], self.positions_B1[rows]


def _prefill(lm: LanguageModel, batch: _Batch) -> _State:
    """Read every distinct context once, then give each of its samples a copy of the result."""
    longest = max(len(context) for context in batch.contexts)
    padded = [[0] * (longest - len(context)) + [*context] for context in batch.contexts]
    mask = [[0] * (longest - len(context)) + [1] * len(context) for context in batch.contexts]
    mask_UT = torch.tensor(mask, device=lm.device)
    cache = grown_cache(lm.network.config)
    output = lm.network(
        input_ids=torch.tensor(padded, device=lm.device),
        attention_mask=mask_UT,
        position_ids=(mask_UT.cumsum(-1) - 1).clamp(min=0),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    counts = torch.tensor([len(own) for own in batch.samples], device=lm.device)
    copies = torch.arange(len(counts), device=lm.device).repeat_interleave(counts)
    cache.batch_select_indices(copies)
    return _State(lm.network, cache, mask_UT[copies], output.logits[:, -1][copies])


def _uniforms(seeds: Sequence[int], count: int) -> Float[np.ndarray, "sequences tokens"]:
    """A row of uniforms in [0, 1) for every seed, from the counter-based generator Philox keyed by it."""
    return np.stack([np.random.Generator(np.random.Philox(key=seed)).random(count) for seed in seeds])


def _logprobs(logits_BV: Float[Tensor, "rows vocabulary"], temperature: float) -> Float[Tensor, "rows vocabulary"]:
    """Where there are no float64 numbers (Apple's GPUs), drawing happens on the processor."""
    logits_BV = logits_BV.cpu() if logits_BV.device.type == "mps" else logits_BV
    return torch.log_softmax(logits_BV.float() / (temperature or 1.0), dim=-1)


def _draw(
    logprobs_BV: Float[Tensor, "rows vocabulary"], uniforms_B: Float[np.ndarray, "rows"], temperature: float
) -> Int[Tensor, "rows"]:
    """The token at which the cumulative distribution passes the uniform; the likeliest one at temperature 0."""
    if temperature == 0:
        return logprobs_BV.argmax(-1)
    weights_BV = (logprobs_BV.exp().double() * _SCALE).round().long()
    cumulative_BV = weights_BV.cumsum(-1)
    target_B = (torch.from_numpy(uniforms_B).to(logprobs_BV.device) * cumulative_BV[:, -1]).long()
    tokens_B = torch.searchsorted(cumulative_BV, target_B[:, None], right=True)[:, 0]
    return tokens_B.clamp(max=logprobs_BV.shape[-1] - 1)
