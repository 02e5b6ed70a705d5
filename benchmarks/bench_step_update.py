"""One step-wise RL update: every distinct token once, against every row whole.

One recorded trajectory with K states (a prompt of P tokens; each step adds an action of A and an observation of O), at every state G fresh
actions of exactly A tokens, one AdamW step over all of them, no KL term. The model has the shape of SmolLM2-135M, or another that is named,
and random weights.

*Naive* is the best that one gets without sharing: a batch of G equally long rows for each state, no padding, logits at actions only and a
few at a time, transformers' own attention; for sampling, transformers' `generate` on the same batches. It may take any kernel; our side
takes those alone that give the same bits again, as a run does.

At the full shape, on the processor, exit status 1 where a bound is missed: training 5 times faster than naive at K = 5 and 9 times at K =
10, the whole update 4 times faster than naive sampling and training, and no more memory than naive training. Other shapes have no bounds.

    python benchmarks/bench_step_update.py --json
    python benchmarks/bench_step_update.py --states 3 --layers 4        # small and quick
    python benchmarks/bench_step_update.py --shape qwen2.5-0.5b --device cuda --dtype bfloat16
"""

import argparse
import json
import math
import random
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from shape import (
    MODEL,
    SHAPE,
    add_model,
    add_shape,
    context_lengths,
    model_config,
    model_of,
    shape_of,
    versions,
    word_tokenizer,
)
from transformers import AutoModelForCausalLM

from swirl.engine import PolicyConfig, Sampling
from swirl.engine.chat import ChatFormat
from swirl.engine.model import LanguageModel, on_device, set_up
from swirl.engine.sampler import sample
from swirl.engine.tree import num_distinct
from swirl.train import TrainConfig
from swirl.train.learner import Learner
from swirl.train.rows import Row

BUDGET = 8192
"""Tokens a micro-batch, on either path."""
TRAINING_BOUND = {5: 5.0, 10: 9.0}
"""K -> how many times faster training has to be than naive."""
UPDATE_BOUND = 4.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shape(parser)
    add_model(parser)
    parser.add_argument("--steps", type=int, default=3, help="timed repetitions, after one that is not (default 3)")
    parser.add_argument(
        "--parts", default="train_naive,train_tree,sample_naive,sample_reused,update", help="which to time"
    )
    parser.add_argument(
        "--no-memory", action="store_true", help="leave out peak memory, measured in processes of its own"
    )
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print one JSON line and nothing else")
    args = parser.parse_args()
    if args.steps < 1:
        parser.error(f"--steps must be at least 1, found {args.steps}")
    return args


@contextmanager
def any_kernel() -> Iterator[None]:
    """Kernels that need not give the same bits again, as torch has them of itself."""
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(True)


class Work:
    """The update, and the ways to do it."""

    def __init__(self, args: argparse.Namespace, lm: LanguageModel | None = None) -> None:
        random.seed(0)
        self.args = args
        lengths = context_lengths(args.states, args.prompt, args.action, args.observation)
        trunk = tuple(random.randrange(1000, 40000) for _ in range(lengths[-1]))
        self.contexts = [trunk[:length] for length in lengths]
        self.groups = [
            [Row(context, self._action(), random.uniform(-1, 1)) for _ in range(args.samples)]
            for context in self.contexts
        ]
        self.rows = [row for group in self.groups for row in group]
        self.lm = lm or language_model(args)
        self.learner = Learner(self.lm, TrainConfig(learning_rate=1e-6, kl_weight=0.0, tokens_per_batch=BUDGET))
        pairs = [(row.context, row.action) for row in self.rows]
        self.tokens = {"naive": sum(len(c) + len(a) for c, a in pairs), "distinct": num_distinct(pairs)}
        self.seeds = [[k * args.samples + g for g in range(args.samples)] for k in range(args.states)]

    def _action(self) -> tuple[int, ...]:
        return tuple(random.randrange(1000, 40000) for _ in range(self.args.action))

    def train_tree(self) -> None:
        self.learner.accumulate(self.rows)

    @any_kernel()
    def train_naive(self) -> None:
        self.learner.reader.packed = False
        for weight in self.learner.weights.values():
            weight.grad = torch.zeros_like(weight)
        for group in self.groups:
            self.learner.engine.module(group, with_kl=False).loss.backward()
        self.learner.reader.packed = True

    def sample_reused(self) -> list[tuple[int, ...]]:
        size = self.args.action
        sampled = sample(self.lm, self.contexts, Sampling(max_tokens=size, max_context=8192, stop=()), self.seeds)
        assert all(len(one.ids) == size for own in sampled for one in own)
        return [one.ids for own in sampled for one in own]

    @any_kernel()
    @torch.inference_mode()
    def sample_naive(self) -> None:
        for context in self.contexts:
            self.lm.network.generate(
                torch.tensor([context] * self.args.samples, device=self.lm.device),
                attention_mask=torch.ones(self.args.samples, len(context), dtype=torch.long, device=self.lm.device),
                do_sample=True,
                top_k=0,
                min_new_tokens=self.args.action,
                max_new_tokens=self.args.action,
                pad_token_id=0,
            )

    def update(self) -> None:
        actions = self.sample_reused()
        rows = [row._replace(action=action) for row, action in zip(self.rows, actions, strict=True)]
        self.learner.learn(rows, 0)


def language_model(args: argparse.Namespace) -> LanguageModel:
    """The random model of `shape.py`, set up as a run sets it up. No token ends a turn, so that lengths are exact."""
    set_up(args.threads)
    torch.manual_seed(0)
    device, dtype = on_device(args.device), getattr(torch, args.dtype)
    with device:
        network = AutoModelForCausalLM.from_config(model_config(args.layers, shape=args.shape), dtype=dtype)
    return LanguageModel(
        name="random",
        network=network.eval(),
        tokenizer=word_tokenizer(),
        chat=ChatFormat((), (), (), (), encode=lambda text: []),
        device=device,
        config=PolicyConfig(dtype=args.dtype),
        folder=Path("nowhere"),
        end_ids=frozenset(),
        max_positions=8192,
    )


def alternated(parts: dict[str, Callable[[], object]], steps: int, warm_up: int = 1) -> dict[str, float]:
    """Median seconds of each, in turn, after some rounds that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(warm_up + steps):
        for name, part in parts.items():
            start = finished()
            part()
            seconds[name].append(finished() - start)
    return {name: round(median(each[warm_up:]), 4) for name, each in seconds.items()}


def finished() -> float:
    """The time, once a GPU has done all that it was given."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return perf_counter()


def highest_memory() -> float:
    """MiB this process had at most: on a GPU if it used one. Where the kernel does not tell by program, what the parent had at its start
    counts too."""
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 1024**2
    status = Path("/proc/self/status")
    if status.exists():
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def peak_memory(name: str) -> float:
    """MiB of a process that does this part once and nothing else."""
    command = [sys.executable, __file__, *sys.argv[1:], "--memory-of", name]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def missed(result: dict[str, Any]) -> list[str]:
    """The bounds that a result misses, as sentences; none but at the full shape, and none about a part that was not measured."""
    full = {name: default for name, (default, *_) in {**SHAPE, **MODEL}.items() if name not in ("states", "threads")}
    if result["states"] not in TRAINING_BOUND or any(result.get(name, value) != value for name, value in full.items()):
        return []
    seconds, memory = result["seconds"], result["peak_memory_mb"]
    bounds = [
        ("train_tree", ("train_naive",), TRAINING_BOUND[result["states"]]),
        ("update", ("sample_naive", "train_naive"), UPDATE_BOUND),
    ]
    said = []
    for ours, naive, bound in bounds:
        if {ours, *naive} <= set(seconds) and sum(seconds[name] for name in naive) < bound * seconds[ours]:
            ratio = sum(seconds[name] for name in naive) / seconds[ours]
            said.append(
                f"{ours}: expected it at least {bound} times faster than {' and '.join(naive)}, found {ratio:.2f}"
            )
    for ours in ("train_tree", "update"):
        if memory.get(ours, 0) > memory.get("train_naive", math.inf):
            said.append(
                f"{ours}: expected at most the {memory['train_naive']} MB of train_naive, found {memory[ours]} MB"
            )
    return said


def main() -> int:
    args = arguments()
    if args.memory_of:
        getattr(Work(args), args.memory_of)()
        print(highest_memory())
        return 0
    names = args.parts.split(",")
    work = Work(args)
    seconds = alternated({name: getattr(work, name) for name in names}, args.steps)
    result = {
        "seconds": seconds,
        "tokens": work.tokens,
        "peak_memory_mb": {} if args.no_memory else {name: round(peak_memory(name)) for name in names},
        **shape_of(args),
        **model_of(args),
        "steps": args.steps,
        **versions(),
    }
    if args.json:
        print(json.dumps(result))
    else:
        show(result)
    for sentence in missed(result):
        print(f"error: {sentence}", file=sys.stderr)
    return int(bool(missed(result)))


def show(result: dict[str, Any]) -> None:
    """The result as lines."""
    seconds = result["seconds"]
    for name in seconds:
        print(f"{name:<14} {seconds[name]:8.3f} s  {result['peak_memory_mb'].get(name, 0):6.0f} MB")
    if {"train_naive", "train_tree"} <= set(seconds):
        print(f"training step: {seconds['train_naive'] / seconds['train_tree']:.2f} times faster")


if __name__ == "__main__":
    sys.exit(main())
