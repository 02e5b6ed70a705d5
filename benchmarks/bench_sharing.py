"""What sharing is worth, over how much there is to share: a training step for K states and G actions a state.

For each cell, seconds of the step that reads every distinct token once and of the one that reads every row whole (both as in
`bench_step_update.py`, here with fewer layers), in turn, medians; and how many tokens each has to read. On the
processor one warm-up is shared by all cells; on a GPU, where kernels are compiled for each cell's sizes, each has its own. Where the
rows hold more than 100,000 tokens, the naive step is left out and their number alone is told.

    python benchmarks/bench_sharing.py --json
    python benchmarks/bench_sharing.py --states 1,2,4 --samples 2,8 --layers 2        # small and quick
"""

import argparse
import json
from typing import Any

from bench_step_update import Work, alternated, language_model
from shape import SHAPE, add_model, add_shape, model_of, versions

from swirl.engine.model import LanguageModel

STATES = (1, 2, 4, 8, 16)
SAMPLES = (2, 4, 8, 16, 32)
MOST_TOKENS = 100_000
"""Rows that hold more are not read whole."""
SIZES = [name for name in SHAPE if name not in ("states", "samples")]


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers between commas.

    >>> numbers("1,2,4")
    (1, 2, 4)
    """
    found = tuple(int(word) if word.strip().isdigit() else 0 for word in text.split(","))
    if not all(found):
        raise argparse.ArgumentTypeError(f"expected numbers from 1 between commas, such as 1,2,4, found {text!r}")
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=numbers, default=STATES, help="K, between commas (default 1,2,4,8,16)")
    parser.add_argument("--samples", type=numbers, default=SAMPLES, help="G, between commas (default 2,4,8,16,32)")
    add_shape(parser, SIZES, layers=4)
    add_model(parser)
    parser.add_argument("--steps", type=int, default=3, help="timed repetitions of a cell (default 3)")
    parser.add_argument("--json", action="store_true", help="print one JSON line and nothing else")
    args = parser.parse_args()
    if args.steps < 1:
        parser.error(f"--steps must be at least 1, found {args.steps}")
    return args


def work(args: argparse.Namespace, lm: LanguageModel, states: int, samples: int) -> Work:
    """The update of a cell, with the model that all cells share."""
    return Work(argparse.Namespace(**{**vars(args), "states": states, "samples": samples}), lm)


def cell(args: argparse.Namespace, lm: LanguageModel, states: int, samples: int) -> dict[str, Any]:
    """What a cell came to; without naive seconds where the rows hold too many tokens."""
    update = work(args, lm, states, samples)
    parts = {"train_tree": update.train_tree}
    if update.tokens["naive"] <= MOST_TOKENS:
        parts["train_naive"] = update.train_naive
    seconds = alternated(parts, args.steps, warm_up=int(args.device == "cuda"))
    naive = seconds.get("train_naive")
    return {
        "states": states,
        "samples": samples,
        "tokens": update.tokens,
        "tokens_ratio": round(update.tokens["naive"] / update.tokens["distinct"], 2),
        "seconds": seconds,
        "time_ratio": None if naive is None else round(naive / seconds["train_tree"], 2),
    }


def table(cells: list[dict[str, Any]]) -> list[str]:
    """The cells as lines."""
    lines = ["   K    G   tokens: naive  distinct  ratio   seconds: naive    tree  ratio"]
    for one in cells:
        naive, ratio = one["seconds"].get("train_naive"), one["time_ratio"]
        lines.append(
            f"{one['states']:>4} {one['samples']:>4} {one['tokens']['naive']:>15,} {one['tokens']['distinct']:>9,} "
            f"{one['tokens_ratio']:>6.2f} {'-' if naive is None else f'{naive:.3f}':>16} "
            f"{one['seconds']['train_tree']:>7.3f} {'-' if ratio is None else f'{ratio:.2f}':>6}"
        )
    if any(one["time_ratio"] is None for one in cells):
        lines.append(f"-: not run, the rows hold more than {MOST_TOKENS:,} tokens")
    return lines


def main() -> None:
    args = arguments()
    lm = language_model(args)
    first = work(args, lm, min(args.states), min(args.samples))
    first.train_tree()
    first.train_naive()
    cells = [cell(args, lm, states, samples) for states in args.states for samples in args.samples]
    if not args.json:
        print("\n".join(table(cells)))
        return
    about = {
        **{name: getattr(args, name) for name in SIZES},
        **model_of(args),
        "steps": args.steps,
        **versions(),
    }
    print(json.dumps({"cells": cells, **about}))


if __name__ == "__main__":
    main()
