"""Rollouts of many steps: the cache kept between steps, against dialogues that are sent again, and against the bound.

Questions of P tokens, some trajectories of each; in every step an action of exactly A tokens is sampled, and an observation of O tokens
comes back. The model has the shape of SmolLM2-135M, or another that is named, and random weights.

*resend* is transformers' `generate` on the whole dialogues, step by step. *kept* is our sampler with its memory: a question is read once
for all its trajectories, an observation once, an action never again after it was sampled. *bound* is the bare network, run once over
every distinct context token, and once over every sampled one at the same batch size, with transformers' own cache and attention: the
likeliest token is taken, nothing is drawn, and nothing looked at. A better cache may beat it. *resend* and *bound* may take any kernel,
*kept* those alone that give the same bits again.

    python benchmarks/bench_rollout.py --json
    python benchmarks/bench_rollout.py --layers 4 --steps 2        # small and quick
    python benchmarks/bench_rollout.py --shape qwen2.5-0.5b --device cuda --dtype bfloat16
"""

import argparse
import json
import random
import sys

import torch
from bench_step_update import alternated, any_kernel, language_model
from shape import MODEL, SHAPE, add_model, add_shape, model_of, versions
from transformers import DynamicCache

from swirl.engine import Sampling
from swirl.engine.cache import Memory
from swirl.engine.sampler import sample

FULL = {"questions": 4, "trajectories": 4, "steps": 5}
"""With the other flags as they are, the work that the limits are for."""
LEAST_GAIN, MOST_OVERHEAD = 2.0, 1.3
_SHAPE = ("prompt", "action", "observation", "layers", "threads")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in FULL.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"(default {default})")
    add_shape(parser, _SHAPE)
    add_model(parser)
    parser.add_argument("--repeats", type=int, default=3, help="timed repetitions, after one that is not (default 3)")
    parser.add_argument("--json", action="store_true", help="print one JSON line and nothing else")
    return parser.parse_args()


class Work:
    """The rollouts, and the ways to do them."""

    def __init__(self, args: argparse.Namespace) -> None:
        random.seed(0)
        self.args = args
        self.count = args.questions * args.trajectories
        self.questions = [words(args.prompt) for _ in range(args.questions)]
        self.observations = [[words(args.observation) for _ in range(self.count)] for _ in range(args.steps - 1)]
        self.lm = language_model(args)

    def dialogues(self) -> list[tuple[int, ...]]:
        """Every trajectory's first context."""
        return [question for question in self.questions for _ in range(self.args.trajectories)]

    def longer(
        self, dialogues: list[tuple[int, ...]], actions: list[tuple[int, ...]], step: int
    ) -> list[tuple[int, ...]]:
        """The contexts of the next step; after the last there is none."""
        assert all(len(action) == self.args.action for action in actions)
        if step == len(self.observations):
            return dialogues
        return [
            (*each, *more, *seen) for each, more, seen in zip(dialogues, actions, self.observations[step], strict=True)
        ]

    def kept(self) -> None:
        memory, dialogues = Memory(), self.dialogues()
        sampling = Sampling(max_tokens=self.args.action, max_context=8192, stop=())
        for step in range(self.args.steps):
            seeds = [[step * self.count + i] for i in range(self.count)]
            sampled = sample(self.lm, dialogues, sampling, seeds, memory)
            dialogues = self.longer(dialogues, [one.ids for [one] in sampled], step)

    @any_kernel()
    @torch.inference_mode()
    def resend(self) -> None:
        dialogues = self.dialogues()
        for step in range(self.args.steps):
            ids = torch.tensor(dialogues, device=self.lm.device)
            output = self.lm.network.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                top_k=0,
                min_new_tokens=self.args.action,
                max_new_tokens=self.args.action,
                pad_token_id=0,
            )
            dialogues = self.longer(dialogues, [tuple(row) for row in output[:, ids.shape[1] :].tolist()], step)

    @any_kernel()
    @torch.inference_mode()
    def bound(self) -> None:
        cache = DynamicCache()
        said = self._read(self.questions, cache)
        cache.batch_repeat_interleave(self.args.trajectories)
        said = said.repeat_interleave(self.args.trajectories, dim=0)
        for step in range(self.args.steps):
            for _ in range(self.args.action - 1):
                said = self._read(said.argmax(-1), cache)
            if step < len(self.observations):
                last = said.argmax(-1).tolist()
                said = self._read([(*a, *b) for a, b in zip(last, self.observations[step], strict=True)], cache)

    def _read(self, ids: torch.Tensor | list[tuple[int, ...]], cache: DynamicCache) -> torch.Tensor:
        ids = torch.as_tensor(ids, device=self.lm.device)
        return self.lm.network(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits


def words(count: int) -> tuple[int, ...]:
    return tuple(random.randrange(1000, 40000) for _ in range(count))


def main() -> None:
    args = arguments()
    work = Work(args)
    seconds = alternated({name: getattr(work, name) for name in ("resend", "kept", "bound")}, args.repeats)
    gain, overhead = seconds["resend"] / seconds["kept"], seconds["kept"] / seconds["bound"]
    context = args.prompt + (args.steps - 1) * (args.action + args.observation)
    tokens = {
        "resend": work.count * args.steps * (args.prompt + context) // 2,
        "kept": args.questions * args.prompt + work.count * (args.steps - 1) * args.observation,
        "sampled": work.count * args.steps * args.action,
    }
    shape = {**{name: getattr(args, name) for name in (*FULL, *_SHAPE)}, **model_of(args)}
    result = {
        "seconds": seconds,
        "gain": round(gain, 2),
        "overhead": round(overhead, 2),
        "context_tokens": tokens,
        **shape,
        "repeats": args.repeats,
        **versions(),
    }
    if args.json:
        print(json.dumps(result))
    else:
        for name, each in seconds.items():
            print(f"{name:<8} {each:8.2f} s")
        print(f"{gain:.2f} times faster than sending dialogues again; {overhead:.2f} times the bound")
    full = {
        **FULL,
        **{name: SHAPE[name][0] for name in _SHAPE},
        **{name: default for name, (default, *_) in MODEL.items()},
    }
    if shape == full and (gain < LEAST_GAIN or overhead > MOST_OVERHEAD):
        sys.exit(
            f"expected a gain of {LEAST_GAIN} and at most {MOST_OVERHEAD} times the bound, found {gain:.2f} and {overhead:.2f}"
        )


if __name__ == "__main__":
    main()
