"""Run a benchmark and keep what it prints: `python benchmarks/record.py NAME SCRIPT [FLAG ...]`

The script is given `--json`, and its one line goes into `benchmarks/results/NAME.json` with the command, the date and the hardware. A file
holds one record for each shape of the work and model (`shape.py`). `python benchmarks/readme_table.py` makes the README's table from them.

    python benchmarks/record.py step_update benchmarks/bench_step_update.py
    python benchmarks/record.py step_update benchmarks/bench_step_update.py --states 10
    python benchmarks/record.py compare_trl benchmarks/compare_trl.py
"""

import json
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

from shape import MODEL, SHAPE

RESULTS = Path(__file__).parent / "results"


def kept(name: str) -> list[dict[str, Any]]:
    """The records of a benchmark; none where it was not run."""
    path = RESULTS / f"{name}.json"
    found = json.loads(path.read_text()) if path.exists() else []
    return found if isinstance(found, list) else [found]


def shape(each: dict[str, Any]) -> list[int | str | None]:
    """Of what work a record is, and with what model."""
    model = [each.get(name, default) for name, (default, *_) in MODEL.items()]
    return [*(each.get(name) for name in SHAPE), *model]


def stamp(command: str, gpu: str = "no GPU") -> dict[str, str]:
    """Where figures are from."""
    return {"command": command, "date": date.today().isoformat(), "hardware": f"{processor()}, {gpu}"}


def processor() -> str:
    """As far as the system tells."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def main() -> int:
    name, script, *flags = sys.argv[1:]
    done = subprocess.run([sys.executable, script, *flags, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout.strip():
        return done.returncode or 1
    found = json.loads(done.stdout.strip().splitlines()[-1])
    new = {**stamp(" ".join(["python", script, *flags]), found.get("gpu", "no GPU")), **found}
    records = [each for each in kept(name) if shape(each) != shape(new)]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps([*records, new], indent=2) + "\n")
    return done.returncode


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main())
