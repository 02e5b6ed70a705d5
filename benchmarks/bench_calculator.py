"""How long the calculator takes over each of the hostile inputs of the tests: `python benchmarks/bench_calculator.py`. Bound: 50 ms."""

import sys
from pathlib import Path
from statistics import median
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from hostile_expressions import hostile_expressions
from swirl.tools import ToolInput
from swirl.tools.calculator import Calculator

BOUND_MS = 50.0


def milliseconds(expression: str, repeats: int = 3) -> float:
    """Best of some runs, so that a busy machine does not count."""
    times = []
    for _ in range(repeats):
        start = perf_counter()
        Calculator().run([ToolInput(expression)])
        times.append((perf_counter() - start) * 1000)
    return min(times)


if __name__ == "__main__":
    taken = {expression: milliseconds(expression) for expression in hostile_expressions()}
    slowest = max(taken, key=lambda expression: taken[expression])
    print(
        f"{len(taken)} inputs, median {median(taken.values()):.3f} ms, slowest {taken[slowest]:.3f} ms: {slowest[:40]!r}"
    )
    sys.exit(taken[slowest] > BOUND_MS)
