"""`make crash-test`: kill `swirl demo` 20 times at random moments, go on with the same command, compare every byte of content.

A run folder takes up to five kills at seeded moments, spread over half the length of an undisturbed run, since a run that goes on has less
to do; then it is let finish and compared with an undisturbed one. New folders are begun until 20 kills have hit. Prints one JSON line.
Takes about a quarter of an hour on two cores.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from killing import content, run_and_kill, run_swirl
from swirl.seeds import derive

KILLS, MOST_OF_A_FOLDER = 20, 5


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        start = time.monotonic()
        run_swirl(["demo", "--out", f"{scratch}/undisturbed"])
        length = time.monotonic() - start
        expected = content(Path(scratch, "undisturbed"))
        moments: list[list[float]] = []
        different: list[str] = []
        while sum(map(len, moments)) < KILLS:
            folder = Path(scratch, f"killed{len(moments)}")
            moments.append(killed(folder, len(moments), length / 2, KILLS - sum(map(len, moments))))
            run_swirl(["demo", "--out", str(folder)])
            found = content(folder)
            different += [f"{folder.name}/{name}" for name in expected if found.get(name) != expected[name]]
    told = {"undisturbed_seconds": round(length, 1), "kills": sum(map(len, moments)), "files": len(expected)}
    print(json.dumps({**told, "moments_by_folder": moments, "different": different}))
    return 1 if different else 0


def killed(folder: Path, number: int, longest: float, most: int) -> list[float]:
    """Kill the runs of a folder until one comes to its end; the moments at which a kill hit."""
    moments: list[float] = []
    for kill in range(min(most, MOST_OF_A_FOLDER)):
        moment = (0.1 + 0.9 * (derive(11, number, kill) % 1000) / 1000) * longest
        if not run_and_kill(["demo", "--out", str(folder)], lambda seconds, moment=moment: seconds >= moment):
            break
        moments.append(round(moment, 2))
        print(f"{folder.name}: kill {kill + 1} at {moment:.1f} s", file=sys.stderr)
    return moments


if __name__ == "__main__":
    sys.exit(main())
