"""What looking at a large run costs: 50,000 trajectories of 5 steps with a verdict on each step, as `bench_data.py` makes them.

`swirl view` is started on the folder and asked for pages of its table as by a browser. *start* is the time until it says where it is;
*first page* how long it then takes to show the first trajectories, while it goes on reading; *while indexing* the first page again and
again until all is read; *indexed* the time until it is. Then each kind of question is asked several times, with other words and pages each
time; an answer with another number of trajectories than there are ends the measurement. Memory is the highest of the server.

Where there is no `swirl view`, or with `--direct`, the index alone is measured, in a process of its own and without HTTP.

    python benchmarks/bench_view.py --json
    python benchmarks/bench_view.py --trajectories 500      # quick
"""

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from bench_data import BYTES, CORES, FULL, SAMPLES, WORDS, measured, memory_mb

from swirl.errors import SwirlError
from swirl.grades import grader
from swirl.run import Run
from swirl.viewer.index import Index
from swirl.viewer.search import Found, Query

MOST_SECONDS, MOST_MB = 1.0, 300.0
SLICE = 0.5
"""Seconds of reading between two looks, where the index is measured alone."""
PATIENCE = 1800.0
"""Seconds to wait until all is read."""
Address = Mapping[str, str]


class Table(NamedTuple):
    """What is asked for pages."""

    page: Callable[[Address], object]
    """What is timed."""
    total: Callable[[Address], int]
    """How many trajectories there are on all pages."""


def questions(size: int, draw: random.Random) -> dict[str, Address]:
    """One of each kind, with words and pages by chance."""
    start = draw.randrange(len(WORDS) - 40)
    _, first, second, third, *_ = WORDS[start : start + 40].split()
    page = str(draw.randint(1, max(1, size // 50)))
    return {
        "a page": {"page": page},
        "the last page": {"page": str(max(1, -(-size // 50)))},
        "the last page, sorted": {"page": str(max(1, -(-size // 50))), "sort": draw.choice(["-bad", "length"])},
        "a word": {"q": first},
        "two letters": {"q": (first + "th")[:2]},
        "two words": {"q": f"{first} {third}"},
        "a phrase": {"q": f'"{first} {second}"'},
        "an id": {"q": f"q{draw.randrange(size // SAMPLES):06}/{draw.randrange(SAMPLES)}"},
        "a word that is nowhere": {"q": f"nowhere{page}"},
        "a word in a filter, sorted": {"q": second, "verdict": "bad", "sort": "-bad"},
        "a verdict": {"verdict": "bad", "page": page},
        "a rule": {"rule": draw.choice(["process", "both"]), "page": page},
        "several filters, sorted": {
            "steps": ">=3",
            "correct": "yes",
            "tool": "search",
            "sort": "-length",
            "page": page,
        },
    }


def timed(table: Table, address: Address) -> float:
    """Seconds that a page takes."""
    start = time.perf_counter()
    table.page(address)
    return time.perf_counter() - start


def figures(seconds: list[float]) -> dict[str, Any]:
    """Of one kind of question."""
    return {"median": round(statistics.median(seconds), 4), "worst": round(max(seconds), 4), "n": len(seconds)}


def answers(table: Table, size: int, repeats: int) -> dict[str, Any]:
    """All that is measured of a table, from its first moment on."""
    start = time.perf_counter()
    meanwhile = [timed(table, {})]
    while (shown := table.total({})) == 0:
        meanwhile.append(timed(table, {}))
        time.sleep(0.01)
    first = time.perf_counter() - start
    while table.total({}) < size or table.total({"verdict": "missing"}):
        if time.perf_counter() - start > PATIENCE:
            sys.exit(f"error: expected {size} trajectories to be read in {PATIENCE:g} s, found {table.total({})}")
        meanwhile.append(timed(table, {}))
        time.sleep(0.2)
    return {
        "first_page_seconds": round(first, 3),
        "first_page_of": shown,
        "indexed_seconds": round(time.perf_counter() - start, 1),
        "while_indexing": figures(meanwhile),
        "questions": asked(table, size, repeats),
    }


def asked(table: Table, size: int, repeats: int) -> dict[str, Any]:
    """How long each kind of question takes, once all is read."""
    took: dict[str, list[float]] = {}
    for repeat in range(repeats):
        for name, address in questions(size, random.Random(repeat)).items():
            took.setdefault(name, []).append(timed(table, address))
            total = table.total(address)
            everything = not {"q", "verdict", "rule"} & set(address)
            if (everything and total != size) or (name == "an id" and total != 1) or ("nowhere" in name and total):
                sys.exit(f"error: expected another number of trajectories for {name}, {dict(address)}, found {total}")
    return {name: figures(seconds) for name, seconds in took.items()}


# The real server, over HTTP.


def viewed(run: Path, size: int, repeats: int) -> dict[str, Any]:
    """All that is measured of `swirl view` on a run."""
    command = [sys.executable, "-m", "swirl", "view", str(run), "--no-browser", "--port", "0"]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, watched(process.pid) as memory:
        try:
            assert process.stdout is not None
            found = re.search(r"https?://\S+", process.stdout.readline())
            if found is None:
                sys.exit("error: expected the address on the first line of `swirl view`, found none; see above")
            ready = time.perf_counter() - start
            with httpx2.Client(follow_redirects=True, timeout=60.0) as client:
                result = answers(table_at(client, found[0]), size, repeats)
        finally:
            process.terminate()
    return {"how": "swirl view", "start_seconds": round(ready, 3), **result, "peak_memory_mb": round(max(memory), 1)}


def table_at(client: httpx2.Client, address: str) -> Table:
    """The table of the only run that a server shows. Its address, which has the token, makes the client known to it."""
    home = client.get(address).raise_for_status().url
    path = home.copy_with(path=f"{home.path.rstrip('/')}/trajectories", query=None, fragment=None)

    def page(asks: Address) -> httpx2.Response:
        return client.get(path, params=dict(asks)).raise_for_status()

    return Table(page, lambda asks: total_in(page({**asks, "format": "json"}).json()))


def total_in(told: Any) -> int:
    """How many trajectories a page says that there are, wherever it says so."""
    if isinstance(told, dict) and isinstance(told.get("total"), int):
        return int(told["total"])
    inside = told.values() if isinstance(told, dict) else told if isinstance(told, list) else ()
    return max((total_in(each) for each in inside), default=-1)


# The index alone.


def direct(run_folder: Path, size: int, repeats: int) -> dict[str, Any]:
    """The same of the index, which a thread keeps up with the folder."""
    run = Run.open(run_folder)
    with tempfile.TemporaryDirectory() as own, watched(os.getpid()) as memory:
        file = Path(own, "index.sqlite")
        index = Index(run.path, run.config.judge.name, grader(run.config), file, config=run.config.filter)
        over = threading.Event()

        def keep() -> None:
            while not over.is_set():
                if not index.refresh(SLICE):
                    over.wait(0.05)

        def find(address: Address) -> Found:
            return index.find(Query.read(address))

        keeping = threading.Thread(target=keep)
        keeping.start()
        try:
            result = answers(Table(find, lambda address: find(address).total), size, repeats)
        finally:
            over.set()
            keeping.join()
            index.close()
    return {"how": "index alone", **result, "peak_memory_mb": round(max(memory), 1)}


@contextmanager
def watched(pid: int) -> Iterator[list[float]]:
    """A process's memory in MB, looked at every 20 ms while the block runs."""
    seen, over = [0.0], threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            seen.append(memory_mb(pid))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        over.set()
        looking.join()


# What runs them.


def missed(result: Mapping[str, Any]) -> list[str]:
    """The bounds that are not kept; those of smaller work are not looked at."""
    if result["trajectories"] < FULL:
        return []
    slow = {name: found["worst"] for name, found in result["questions"].items()}
    slow |= {"the first page": result["first_page_seconds"], "a page while it reads": result["while_indexing"]["worst"]}
    wrong = [
        f"{name}: expected under {MOST_SECONDS} s, found {took}" for name, took in slow.items() if took >= MOST_SECONDS
    ]
    if result["peak_memory_mb"] >= MOST_MB:
        wrong.append(f"memory: expected under {MOST_MB} MB, found {result['peak_memory_mb']}")
    return wrong


def has_view() -> bool:
    """Whether there is a server to measure."""
    return find_spec("swirl.commands.view") is not None


def measure(folder: Path, size: int, args: argparse.Namespace) -> dict[str, Any]:
    """A run of so many trajectories is made and looked at; what it leaves on disk is removed."""
    room = shutil.disk_usage(folder).free
    if room < size * BYTES:
        sys.exit(
            f"error: {size:,} trajectories need {size * BYTES / 1e9:.1f} GB in {folder}; name another --folder, or fewer"
        )
    made = measured("make", folder / "data", size, args.workers)
    run = folder / "data" / "run"
    look = viewed if has_view() and not args.direct else apart
    result = look(run, size, args.repeats)
    return {"trajectories": size, **result, "made": made}


def apart(run: Path, size: int, repeats: int) -> dict[str, Any]:
    """The index, measured in a process of its own."""
    command = [sys.executable, __file__, "--part", str(run), "--trajectories", str(size), "--repeats", str(repeats)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode or not done.stdout:
        sys.exit("error: expected one JSON line of the index's own process, found none; see above")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trajectories", type=int, default=FULL, help=f"how many (default {FULL})")
    parser.add_argument("--repeats", type=int, default=5, help="questions of each kind (default 5)")
    parser.add_argument("--workers", type=int, default=CORES, help=f"processes that make the data (default {CORES})")
    parser.add_argument("--folder", type=Path, help="where to put the data (default: a temporary folder)")
    parser.add_argument("--direct", action="store_true", help="measure the index alone")
    parser.add_argument("--part", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print one JSON line and nothing else")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    size = args.trajectories // SAMPLES * SAMPLES
    if args.part:
        print(json.dumps(direct(args.part, size, args.repeats)))
        return 0
    with tempfile.TemporaryDirectory(dir=args.folder) as scratch:
        result = measure(Path(scratch), size, args)
    wrong = missed(result)
    if args.json:
        print(json.dumps({**result, "missed": wrong}))
    else:
        print("\n".join(f"{name:<26} {value}" for name, value in {**result, **result.pop("questions")}.items()))
    for sentence in wrong:
        print(f"error: {sentence}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SwirlError as error:
        sys.exit(f"error: {error}")
