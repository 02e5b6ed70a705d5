"""`make crash-test`: for a minute two processes append to two shards of one run and three read it; no reader ever sees a torn record, none
is lost, and a second appender is refused. Prints one JSON line."""

import json
import sys
import tempfile
from pathlib import Path

from appending import appended

SECONDS = 60.0


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        found = appended(Path(folder), SECONDS)
    print(json.dumps(found))
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
