"""How long `import swirl` takes in a fresh interpreter: `python benchmarks/bench_import.py`.

Prints one JSON line; exit status 1 where the median is over the bound.
"""

import json
import platform
import statistics
import subprocess
import sys

RUNS = 15
BOUND = 0.2
MEASURE = "import time; start = time.perf_counter(); import swirl; print(time.perf_counter() - start)"


def main() -> int:
    measured = [float(subprocess.check_output([sys.executable, "-c", MEASURE])) for _ in range(RUNS)]
    median = statistics.median(measured)
    print(
        json.dumps(
            {
                "benchmark": "import",
                "seconds": {"median": round(median, 4), "min": round(min(measured), 4), "max": round(max(measured), 4)},
                "runs": RUNS,
                "bound": BOUND,
                "python": platform.python_version(),
            }
        )
    )
    return int(median > BOUND)


if __name__ == "__main__":
    sys.exit(main())
