"""`make crash-test`: kill `swirl demo` 20 times at random moments, go on with the same command, compare every byte of content.

Four run folders, five kills each at seeded moments spread over the length of a run; then each run is let finish and compared with an
undisturbed one. Prints one JSON line. Takes about ten minutes on two cores.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from killing import content, run_and_kill, run_swirl
from swirl.seeds import derive

FOLDERS, KILLS = 4, 5


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        start = time.monotonic()
        run_swirl(["demo", "--out", f"{scratch}/undisturbed"])
        length = time.monotonic() - start
        expected = content(Path(scratch, "undisturbed"))
        moments: list[float] = []
        different: list[str] = []
        for folder in range(FOLDERS):
            command = ["demo", "--out", f"{scratch}/killed{folder}"]
            for kill in range(KILLS):
                moment = (0.1 + 0.9 * (derive(11, folder, kill) % 1000) / 1000) * length / 2
                if run_and_kill(command, lambda seconds, moment=moment: seconds >= moment):
                    moments.append(round(moment, 2))
                print(f"folder {folder}: kill {kill + 1} at {moment:.1f} s", file=sys.stderr)
            run_swirl(command)
            found = content(Path(scratch, f"killed{folder}"))
            different += [f"{folder}/{name}" for name in expected if found.get(name) != expected[name]]
    print(
        json.dumps(
            {"undisturbed_seconds": round(length, 1), "kills": len(moments), "moments": moments, "different": different}
        )
    )
    return 1 if different or len(moments) < FOLDERS * KILLS else 0


if __name__ == "__main__":
    sys.exit(main())
