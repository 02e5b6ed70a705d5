"""Batched ancestral sampling with a key-value cache.

Equal contexts, and all samples of a context, share one prefill. Every sequence draws from a counter-based stream of uniforms keyed by its
own seed, and picks a token by the inverse of its cumulative distribution, so what it draws depends on its context and its seed, up to
floating-point rounding, not on what it is batched with.

How the network reads is in `decoder`, which sequence sits where in `seating`, when one ends in `stopping`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from swirl.engine import Finish, Sampling
from swirl.engine.decoder import Decoder
from swirl.engine.model import LanguageModel
from swirl.engine.seating import Seating
from swirl.engine.stopping import Stopping
from swirl.errors import PolicyFailure

_SCALE = 2.0**40
"""Probabilities are rounded to multiples of 1 / _SCALE, because whole numbers add up exactly, in any order, on any device."""

_MEMORY = {"cpu": 2**30, "mps": 2**31, "cuda": 2**33}
"""Bytes the cache of a batch may take."""


@dataclass(frozen=True)
class Sampled:
    """What was sampled after one context with one seed."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Natural-log probability of each id under the distribution it was drawn from; at temperature 0, at temperature 1."""
    finish: Finish


@dataclass(frozen=True)
class _Request:
    """One sequence to sample: its place in the result, and its seed."""

    place: tuple[int, int]
    seed: int


@dataclass(frozen=True)
class _Batch:
    """Distinct contexts, and for each of them what is asked for."""

    contexts: list[Sequence[int]]
    requests: list[list[_Request]]


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
    for batch in _batches(lm, _merged(fitting, contexts, seeds), sampling.max_tokens):
        for request, one in _sample_batch(lm, batch, sampling, stopping):
            i, j = request.place
            results[i][j] = one
    return results


def _merged(
    fitting: Sequence[int], contexts: Sequence[Sequence[int]], seeds: Sequence[Sequence[int]]
) -> list[tuple[Sequence[int], list[_Request]]]:
    """Each distinct context once, with all that is asked of it, the shortest first."""
    merged: dict[tuple[int, ...], list[_Request]] = {}
    for i in fitting:
        merged.setdefault(tuple(contexts[i]), []).extend(_Request((i, j), seed) for j, seed in enumerate(seeds[i]))
    return sorted(((context, asked) for context, asked in merged.items() if asked), key=lambda item: len(item[0]))


def _batches(
    lm: LanguageModel, work: Sequence[tuple[Sequence[int], list[_Request]]], max_tokens: int
) -> Iterator[_Batch]:
    """Cut the work by memory: a function of the input and the network's shape alone. A single context is never cut."""
    limit = _MEMORY[lm.device.type] // _cache_bytes(lm.network.config, lm.network.dtype)
    batch, sequences = _Batch([], []), 0
    for context, asked in work:
        sequences += len(asked)
        if batch.contexts and sequences * (len(context) + max_tokens) > limit:
            yield batch
            batch, sequences = _Batch([], []), len(asked)
        batch.contexts.append(context)
        batch.requests.append(asked)
    if batch.contexts:
        yield batch


def _cache_bytes(config: Any, dtype: torch.dtype) -> int:
    """Bytes of keys and values a token takes."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * width * dtype.itemsize)


@torch.inference_mode()
def _sample_batch(
    lm: LanguageModel, batch: _Batch, sampling: Sampling, stopping: Stopping
) -> Iterator[tuple[_Request, Sampled]]:
    requests = [request for asked in batch.requests for request in asked]
    uniforms_NT = _uniforms([request.seed for request in requests], sampling.max_tokens)
    sequences = [stopping.sequence() for _ in requests]
    decoder = Decoder(lm.network, batch.contexts, lm.device)
    seating = Seating([len(asked) for asked in batch.requests])
    logits_AV = decoder.logits_CV[torch.from_numpy(seating.contexts_N).to(lm.device)]
    decoder.seat(seating.context_of_row)
    for step in range(sampling.max_tokens):
        logprobs_AV = _logprobs(logits_AV, sampling.temperature)
        tokens_A = _draw(logprobs_AV, uniforms_NT[seating.alive_A, step], sampling.temperature)
        chosen_A = logprobs_AV.gather(-1, tokens_A[:, None])[:, 0]
        tokens = tokens_A.tolist()
        for n, token, logprob in zip(seating.alive_A.tolist(), tokens, chosen_A.tolist(), strict=True):
            stopping.append(sequences[n], token, logprob)
        going_A = np.array([sequences[n].finish is None for n in seating.alive_A])
        if not going_A.any() or step + 1 == sampling.max_tokens:
            break
        rows = seating.leave(~going_A)
        if rows is not None:
            decoder.keep(rows)
        logits_RSV = decoder.step(*seating.seats(np.array(tokens)[going_A]))
        logits_AV = logits_RSV[seating.at()]
    for request, one in zip(requests, sequences, strict=True):
        yield request, _finished(one.ids, one.logprobs, one.finish or Finish.LENGTH)


def _finished(ids: list[int], logprobs: list[float], finish: Finish) -> Sampled:
    if not np.isfinite(logprobs).all():
        raise PolicyFailure("the network's distribution over the next token is not finite; its weights are broken")
    return Sampled(tuple(ids), tuple(logprobs), finish)


def _uniforms(seeds: Sequence[int], count: int) -> Float[np.ndarray, "sequences tokens"]:
    """A row of uniforms in [0, 1) for every seed, from the counter-based generator Philox keyed by it."""
    return np.stack([np.random.Generator(np.random.Philox(key=seed)).random(count) for seed in seeds])


def _logprobs(logits_BV: Float[Tensor, "rows vocabulary"], temperature: float) -> Float[Tensor, "rows vocabulary"]:
    """Where there are no float64 numbers (Apple's GPUs), drawing happens on the processor."""
    logits_BV = logits_BV.cpu() if logits_BV.device.type == "mps" else logits_BV
    return torch.log_softmax(logits_BV.float() / (temperature or 1.0), dim=-1)


def _draw(
    logprobs_BV: Float[Tensor, "rows vocabulary"], uniforms_B: Float[np.ndarray, " rows"], temperature: float
) -> Int[Tensor, " rows"]:
    """The token at which the cumulative distribution passes the uniform; the likeliest one at temperature 0."""
    if temperature == 0:
        return logprobs_BV.argmax(-1)
    weights_BV = (logprobs_BV.exp().double() * _SCALE).round().long()
    cumulative_BV = weights_BV.cumsum(-1)
    target_B = (torch.from_numpy(uniforms_B).to(logprobs_BV.device) * cumulative_BV[:, -1]).long()
    tokens_B = torch.searchsorted(cumulative_BV, target_B[:, None], right=True)[:, 0]
    return tokens_B.clamp(max=logprobs_BV.shape[-1] - 1)
