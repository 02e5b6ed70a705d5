"""One step-wise RL update, TRL's against ours: the same work, one after the other, with the same threads.

TRL has an environment of its own in `.trl-env/`, made by pip at the first call and used again (TRL is not a dependency of swirl), or the
one that `--python` names. Each side does its update once to warm up, then `--steps` times; the figures are medians.

`ratio` is TRL's seconds for an optimiser step over those of our whole update. Part of TRL's time is where it scores: TRL 1.16 computes
log-probabilities at every position, the prompt's too, on all devices but CUDA and XPU with Triton, where it scores completion tokens
alone. So the ratio on a processor says more of TRL's than a GPU would show. `ratio_naive` leaves that out: against the best one gets
without sharing (transformers' `generate` on the K x G whole sequences, then our training step reading every row whole, logits at actions
only), as `bench_step_update.py` measures it.

    python benchmarks/compare_trl.py --json
    python benchmarks/compare_trl.py --states 2 --layers 2 --steps 1        # small and quick

A TRL step of the full shape takes about eight minutes on two cores. Where pip would bring a CUDA build of torch that is not wanted, set
PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu first.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from shape import add_shape, shape_of

HERE = Path(__file__).parent
TRL = "trl==1.16.0"
ENVIRONMENT = HERE.parent / ".trl-env"
OURS = ("update", "sample_naive", "train_naive")
REMARK = (
    "part of TRL's time on a processor is that it scores every position, the prompt's too, as on all devices but CUDA and XPU with Triton; "
    "the ratio to `generate` with naive training is free of that"
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shape(parser)
    parser.add_argument("--steps", type=int, default=1, help="timed steps of each, after one that is not (default 1)")
    parser.add_argument(
        "--yardstick", type=Path, default=HERE / "trl_step.py", help="a script with its flags and output"
    )
    parser.add_argument("--python", type=Path, help="of an environment that has TRL; without it, one is made")
    parser.add_argument("--json", action="store_true", help="print one JSON line and nothing else")
    args = parser.parse_args()
    if args.steps < 1:
        parser.error(f"--steps must be at least 1, found {args.steps}")
    if args.python and not args.python.is_file():
        parser.error(f"--python: expected the Python of an environment that has {TRL}, found no file {args.python}")
    return args


def environment() -> Path:
    """The Python that has TRL; made where it is not there yet; one that was left half made is made again."""
    python, ready = ENVIRONMENT / "bin" / "python", ENVIRONMENT / f".{TRL}"
    if not ready.exists():
        print(f"setting up {TRL} in {ENVIRONMENT.name}; this takes some minutes", file=sys.stderr)
        constraints = HERE.parent / "constraints.txt"
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", constraints, TRL]
        for command in ([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], install):
            if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
                sys.exit(
                    f"error: {TRL} could not be installed, see above; name an environment that has it: --python PATH"
                )
        ready.touch()
    return python


def settings(threads: int) -> dict[str, str]:
    """The process settings of both sides."""
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "1000")}


def measured(script: Path, python: Path | str, flags: list[str], process: dict[str, str]) -> dict[str, Any]:
    """The last line that a script prints, as JSON; exits with what it said where there is none."""
    done = subprocess.run([python, script, *flags], env=process, capture_output=True, text=True, check=False)
    try:
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        sys.exit(f"{done.stderr}\nerror: expected {script.name} to print one JSON line, found none; see above")
    return found


def main() -> None:
    args = arguments()
    shape = [word for name, value in shape_of(args).items() for word in (f"--{name}", str(value))]
    process = settings(args.threads)
    alone = {name: value for name, value in process.items() if name != "PYTHONPATH"}
    python = args.python or environment()
    theirs = measured(args.yardstick, python, [*shape, "--steps", str(args.steps + 1)], alone)
    parts = ["--steps", str(args.steps), "--parts", ",".join(OURS), "--no-memory", "--json"]
    ours = measured(HERE / "bench_step_update.py", sys.executable, [*shape, *parts], process)
    seconds = {"trl": round(median(theirs["seconds"][1:]), 3), **ours["seconds"]}
    naive = seconds["sample_naive"] + seconds["train_naive"]
    result = {
        "ratio": round(seconds["trl"] / seconds["update"], 2),
        "ratio_naive": round(naive / seconds["update"], 2),
        "seconds": seconds,
        "trl_steps": theirs["seconds"],
        **shape_of(args),
        "steps": args.steps,
        "engine": theirs["engine"],
        "torch": {"trl": theirs.get("torch"), "swirl": ours["torch"]},
        "transformers": {"trl": theirs.get("transformers"), "swirl": ours["transformers"]},
        "machine": ours["machine"],
        "remark": REMARK,
    }
    if args.json:
        print(json.dumps(result))
        return
    for name, value in seconds.items():
        print(f"{name:<14} {value:8.2f} s")
    print(f"{theirs['engine']} against our update: {result['ratio']:.2f} ({REMARK})")
    print(f"generate and naive training against our update: {result['ratio_naive']:.2f}")


if __name__ == "__main__":
    main()
