"""Make the bundled policy from nothing: `python pretraining/pretrain.py OUT [--steps N] [--seed S]`, about ten minutes on two cores.

A Llama of 390 thousand weights learns imperfect demonstrations (`habits`): actions count fully in the loss, observations a little (their
echoed query teaches copying), the question hardly. Muon updates the matrices, AdamW the rest.
"""

import argparse
import random
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from habits import Dialogue, dialogues
from muon import Muon
from tokenizer import make_tokenizer
from torch import Tensor
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from swirl.engine.chat import ChatFormat, chat_format

ACTION, OBSERVATION, PROMPT = 1.0, 0.3, 0.1
BATCH = 16
LENGTH = 448
"""Longer dialogues are left out."""


def encode(dialogue: Dialogue, chat: ChatFormat, end: int) -> tuple[list[int], list[float]]:
    """Token ids of a dialogue, and how much each counts."""
    ids = [*chat.open, *chat.encode(dialogue.question), *chat.generate]
    weights = [PROMPT] * len(ids)
    for role, text in dialogue.turns:
        if role == "assistant":
            body, ended, _ = text.partition("<|end|>")
            added = [*chat.encode(body), *([end] if ended else [])]
        else:
            added = [*chat.close, *chat.encode(text), *chat.generate]
        ids += added
        weights += [ACTION if role == "assistant" else OBSERVATION] * len(added)
    return ids, weights


def batches(source: Iterator[Dialogue], chat: ChatFormat, end: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Padded ids and weights; dialogues of like length go together."""
    while True:
        encoded = [encode(dialogue, chat, end) for dialogue in islice(source, 16 * BATCH)]
        encoded = sorted((item for item in encoded if len(item[0]) <= LENGTH), key=lambda item: len(item[0]))
        groups = [encoded[i : i + BATCH] for i in range(0, len(encoded), BATCH)]
        random.Random(len(encoded)).shuffle(groups)
        for group in groups:
            yield _pad([ids for ids, _ in group], end, torch.long), _pad([w for _, w in group], 0.0, torch.float)


def _pad(rows: Sequence[Sequence[float]], filler: float, dtype: torch.dtype) -> Tensor:
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows], dtype=dtype)


def make_model(vocabulary: int, end: int) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=None,
    )
    return LlamaForCausalLM(config)


def optimisers(model: torch.nn.Module) -> list[torch.optim.Optimizer]:
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [Muon(matrices, lr=0.003), torch.optim.AdamW(others, lr=3e-3, betas=(0.9, 0.95))]


def pretrain(model: LlamaForCausalLM, data: Iterator[tuple[Tensor, Tensor]], steps: int) -> None:
    """Train with a short warm-up and a linear decay."""
    optimisers_ = optimisers(model)
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(o, lambda step: min((step + 1) / 50, 1.0, (steps - step) / (0.6 * steps)))
        for o in optimisers_
    ]
    for step, (ids, weights) in enumerate(islice(data, steps), start=1):
        logits: Any = model(input_ids=ids[:, :-1]).logits
        losses = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        weight = weights[:, 1:].flatten()
        loss = (losses * weight).sum() / weight.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for thing in (*optimisers_, *schedules):
            thing.step()
        model.zero_grad()
        if step % 100 == 0:
            print(f"step {step}/{steps}, loss {loss.item():.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    sample = list(islice(dialogues(arguments.seed), 4000))
    tokenizer = make_tokenizer(
        text for d in sample for text in (d.question, *(t.replace("<|end|>", "") for _, t in d.turns))
    )
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    model = make_model(len(tokenizer), end)
    print(f"{len(tokenizer)} words, {sum(p.numel() for p in model.parameters()):,} weights", flush=True)
    pretrain(model, batches(dialogues(arguments.seed), chat_format(tokenizer), end), arguments.steps)
    model.save_pretrained(arguments.out)
    tokenizer.save_pretrained(arguments.out)


if __name__ == "__main__":
    main()
