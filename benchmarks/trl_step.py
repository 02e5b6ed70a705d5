"""The update of `bench_step_update.py` as TRL does it: its GRPOTrainer, on the same machine. Needs TRL, and nothing of swirl.

TRL has no states that share a trajectory: it is given the K states as K prompts, samples G completions of exactly A tokens for each, and
takes one optimiser step (AdamW, beta = 0) over all K x G of them. Rewards are random.

Prints one JSON line: `seconds` has a figure for each optimiser step, with all that TRL does in it; the first includes warm-up. A step of
the full shape takes about eight minutes on two cores.

    python benchmarks/trl_step.py --states 2 --layers 2 --steps 1        # small and quick
"""

import argparse
import json
import random
import tempfile
from time import perf_counter
from typing import Any

import torch
import trl
from datasets import Dataset
from shape import add_shape, context_lengths, model_config, shape_of, versions, word_tokenizer
from transformers import LlamaForCausalLM, TrainerCallback
from trl import GRPOConfig, GRPOTrainer


class Clock(TrainerCallback):
    """How long each optimiser step took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self.start = perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.seconds.append(perf_counter() - self.start)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shape(parser)
    parser.add_argument("--steps", type=int, default=2, help="optimiser steps (default 2)")
    return parser.parse_args()


def config(args: argparse.Namespace, folder: str) -> GRPOConfig:
    return GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=args.samples,
        gradient_accumulation_steps=args.states,
        num_generations=args.samples,
        max_completion_length=args.action,
        generation_kwargs={"min_new_tokens": args.action},
        max_steps=args.steps,
        temperature=1.0,
        beta=0.0,
        learning_rate=1e-6,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
    )


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    random.seed(0)
    lengths = context_lengths(args.states, args.prompt, args.action, args.observation)
    words = [f"t{random.randrange(1000, 40000)}" for _ in range(lengths[-1])]
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            model=LlamaForCausalLM(model_config(args.layers, end=1)).float(),
            reward_funcs=lambda completions, **_: [random.random() for _ in completions],
            args=config(args, folder),
            train_dataset=Dataset.from_dict({"prompt": [" ".join(words[:length]) for length in lengths]}),
            processing_class=word_tokenizer(),
        )
        trainer.add_callback(clock)
        trainer.train()
    result = {
        "engine": f"trl {trl.__version__}",
        "seconds": clock.seconds,
        **shape_of(args),
        "context_tokens": lengths,
        "tokens_trained": sum(args.samples * (length + args.action) for length in lengths),
        **versions(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
