"""Search over real passages and more: what an index costs to make, to open and to ask, side by side with bm25s and rank-bm25.

The corpus is `--corpus`, or the Wikipedia passages in the folder that SWIRL_DATA names, or the bundled world's. Above its own size it is
recombined: titles and sentences of its passages, drawn by a seed. Every part has a process of its own, so that memory is that part's:

    build      seconds and peak memory from a file of JSON lines to an index on disk, and its size
    search     seconds to open it, every byte checked, and to its first result; queries a second, one by one and in batches of 64;
               anonymous memory after all queries (Linux)
    bm25s      the same work by bm25s called directly: rows read, words stemmed, saved with its passages, loaded by mapping; and,
               as the yardstick of queries, all of it in memory and without the passages, so that it gives their places alone
    rank_bm25  up to 100,000 passages, in an environment of its own that pip makes (`--rank-python` names another; `no` leaves it out)

Where ours answers faster than bm25s, it is because bm25s (0.3) looks for the best among all scores, most of them 0, at which NumPy's
partition is slow; ours looks among those above 0.

Bounds, for sizes from 10,000: ours takes at most 1.2 times as long as bm25s to build and to answer; from 1,000,000: under 5 s to open, and
anonymous memory under a quarter of the index. Exit status 1 where one is missed.

    python benchmarks/bench_search.py --json
    python benchmarks/bench_search.py --sizes 0,100000,1000000 --json      # 0: the corpus as it is
    python benchmarks/bench_search.py --sizes 500 --queries 20 --rank-python no
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from swirl.retrieval.sources import passage
from swirl.rows import read_rows
from swirl.types import Passage

HERE = Path(__file__).parent
RANK = "rank-bm25==0.2.2"
ENVIRONMENT = HERE.parent / ".rank-env"
BATCH, TOP, REPEATS = 64, 10, 3
RANK_MOST = 100_000
OVERHEAD, OPEN_SECONDS, ANONYMOUS_SHARE = 1.2, 5.0, 0.25


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="JSON lines with id, title and text; .gz too")
    parser.add_argument("--sizes", default="0", help="passages, by commas; 0: the corpus as it is (default)")
    parser.add_argument("--queries", type=int, default=1000, help="how many are asked (default 1000)")
    parser.add_argument("--rank-python", default="", help="a Python that has rank-bm25, or `no`; empty: one is made")
    parser.add_argument("--folder", type=Path, help="where to work; empty: a temporary folder")
    parser.add_argument("--json", action="store_true", help="print one JSON line and nothing else")
    parser.add_argument("--part", choices=sorted(PARTS), help=argparse.SUPPRESS)
    return parser.parse_args()


# What is searched, and for what.


def real_passages(named: Path | None) -> list[Passage]:
    """The corpus to start from."""
    path = named or Path(os.environ.get("SWIRL_DATA") or "missing", "wiki_corpus", "passages.jsonl.gz")
    if named or path.is_file():
        return [passage(row, position) for position, row in enumerate(read_rows(path))]
    from swirl.tasks.world import World

    return list(World().passages())


def questions(count: int) -> list[str]:
    """What is asked: HotPotQA's questions, for their words alone, or the bundled world's."""
    path = Path(os.environ.get("SWIRL_DATA") or "missing", "hotpotqa", "dev_qa_7405.jsonl")
    if path.is_file():
        return [row.text("question") for row in islice(read_rows(path), count)]
    from swirl.tasks.world import World

    return [question.text for question in islice(World().questions("test", 0), count)]


def recombined(passages: Sequence[Passage], size: int, seed: int = 0) -> Iterator[Passage]:
    """`size` passages, each as many sentences as one of these has, drawn from all of theirs.

    >>> [made] = recombined([Passage("p1", "Fenn", "A marsh. It has boats.")], 1)
    >>> made.id, made.title, sorted({*re.findall("marsh|boats", made.text)} | {"boats", "marsh"})
    ('r0', 'Fenn', ['boats', 'marsh'])
    """
    rng = random.Random(seed)
    each = [re.split(r"(?<=[.!?])\s+", one.text) for one in passages]
    sentences = [sentence for own in each for sentence in own]
    for number in range(size):
        text = " ".join(rng.choices(sentences, k=len(rng.choice(each))))
        yield Passage(f"r{number}", rng.choice(passages).title, text)


def write_corpus(passages: Iterator[Passage], path: Path) -> int:
    """One JSON line a passage; how many there are."""
    count = 0
    with path.open("w") as file:
        for one in passages:
            file.write(json.dumps({"id": one.id, "title": one.title, "text": one.text}, ensure_ascii=False) + "\n")
            count += 1
    return count


# The parts: each is given a folder with corpus.jsonl and queries.json, and runs in a process of its own.


def build(folder: Path) -> dict[str, Any]:
    from swirl.retrieval.index import build as build_index
    from swirl.retrieval.sources import read_corpus

    start = time.perf_counter()
    made = build_index(read_corpus(str(folder / "corpus.jsonl")), folder / "index")
    return {"seconds": round(time.perf_counter() - start, 3), "index_mb": round(made.bytes / 1e6, 1)}


def search(folder: Path) -> dict[str, Any]:
    start = time.perf_counter()
    from swirl.retrieval.index import open_index

    queries = asked(folder)
    opening = time.perf_counter()
    index = open_index(folder / "index", "bm25", lambda model: sys.exit("no encoder"))
    opened = time.perf_counter()
    index.retrieve(queries[:1], TOP, [()])
    first = time.perf_counter()
    speeds = rates(queries, lambda some: index.retrieve(some, TOP, [()] * len(some)))
    return {
        "open_seconds": round(opened - opening, 3),
        "first_result_seconds": round(first - start, 3),
        **speeds,
        "anonymous_mb": anonymous_mb(),
    }


def bm25s_build(folder: Path) -> dict[str, Any]:
    import bm25s
    import Stemmer

    start = time.perf_counter()
    with (folder / "corpus.jsonl").open() as file:
        rows = [json.loads(line) for line in file]
    texts = [f"{row['title']} {row['title']} {row['text']}" for row in rows]
    words = bm25s.tokenize(texts, stopwords="en", stemmer=Stemmer.Stemmer("english"), show_progress=False)
    index = bm25s.BM25()
    index.index(words, show_progress=False)
    index.save(str(folder / "bm25s"), corpus=rows)
    return {"seconds": round(time.perf_counter() - start, 3)}


def bm25s_search(folder: Path, *, passages: bool = True) -> dict[str, Any]:
    start = time.perf_counter()
    import bm25s
    import Stemmer

    queries, stemmer = asked(folder), Stemmer.Stemmer("english")
    opening = time.perf_counter()
    index = bm25s.BM25.load(str(folder / "bm25s"), load_corpus=passages, mmap=passages)
    opened = time.perf_counter()

    def answer(some: Sequence[str]) -> None:
        words = bm25s.tokenize(list(some), stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False)
        index.retrieve(words, k=min(TOP, index.scores["num_docs"]), show_progress=False)

    answer(queries[:1])
    first = time.perf_counter()
    return {
        "open_seconds": round(opened - opening, 3),
        "first_result_seconds": round(first - start, 3),
        **rates(queries, answer),
        "anonymous_mb": anonymous_mb(),
    }


def bm25s_places(folder: Path) -> dict[str, Any]:
    return bm25s_search(folder, passages=False)


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "build": build,
    "search": search,
    "bm25s_build": bm25s_build,
    "bm25s_search": bm25s_search,
    "bm25s_places": bm25s_places,
}

RANK_SCRIPT = """
import json, re, resource, sys, time
from rank_bm25 import BM25Okapi
folder, top, most = sys.argv[1], int(sys.argv[2]), 100
words = re.compile(r"\\\\b\\\\w\\\\w+\\\\b").findall
start = time.perf_counter()
rows = [json.loads(line) for line in open(folder + "/corpus.jsonl")]
index = BM25Okapi([words(f"{row['title']} {row['title']} {row['text']}".lower()) for row in rows])
built = time.perf_counter()
queries = json.load(open(folder + "/queries.json"))[:most]
for query in queries:
    index.get_top_n(words(query.lower()), rows, n=top)
done = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"build_seconds": round(built - start, 3), "one_by_one": round(len(queries) / (done - built), 2), "peak_mb": round(peak)}))
""".replace("\\\\", "\\")
"""Needs nothing but rank-bm25. It has no stemmer and no stop words of its own, and answers at most 100 queries."""


def asked(folder: Path) -> list[str]:
    """The queries."""
    found: list[str] = json.loads((folder / "queries.json").read_text())
    return found


def rates(queries: Sequence[str], answer: Callable[[Sequence[str]], object]) -> dict[str, float]:
    """Queries a second, one by one and in batches: the best of some passes, because other programs share the processor."""
    found = {}
    for name, size in (("one_by_one", 1), ("batches", BATCH)):
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            for place in range(0, len(queries), size):
                answer(queries[place : place + size])
            seconds.append(time.perf_counter() - start)
        found[name] = round(len(queries) / min(seconds), 2)
    return found


def anonymous_mb() -> float | None:
    """Memory that no file stands behind, in MB; None where the system does not tell."""
    status = Path("/proc/self/status")
    found = re.search(r"RssAnon:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return round(int(found[1]) / 1024, 1) if found else None


# What runs them, and what they come to.


def measured(command: Sequence[str | Path]) -> dict[str, Any]:
    """The last line that a part prints, as JSON; exits with what it said where there is none."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        sys.exit(
            f"{done.stderr}\nerror: expected one JSON line of `{' '.join(map(str, command[:4]))} ...`, found none; see above"
        )
    return found


def rank_python(named: str) -> str | None:
    """The Python that has rank-bm25; made where it is not there yet, None where it cannot be."""
    if named:
        return None if named == "no" else named
    python, ready = ENVIRONMENT / "bin" / "python", ENVIRONMENT / f".{RANK}"
    if not ready.exists():
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", RANK]
        for command in ([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], install):
            if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
                return None
        ready.touch()
    return str(python)


def measure(folder: Path, size: int, python: str | None) -> dict[str, Any]:
    """Every part, one after the other."""
    found: dict[str, Any] = {"passages": size}
    for part in PARTS:
        found[part] = measured([sys.executable, __file__, "--part", part, "--folder", folder])
    if python is None or size > RANK_MOST:
        reason = "it is measured up to 100,000 passages" if size > RANK_MOST else "left out, or could not be installed"
        found["rank_bm25"] = {"skipped": reason}
    else:
        found["rank_bm25"] = measured([python, "-c", RANK_SCRIPT, folder, str(TOP)])
    found["overhead"] = {
        "build": round(found["build"]["seconds"] / found["bm25s_build"]["seconds"], 3),
        **{way: round(found["bm25s_places"][way] / found["search"][way], 3) for way in ("one_by_one", "batches")},
    }
    return found


def missed(found: dict[str, Any]) -> list[str]:
    """The bounds that a size does not keep."""
    size, wrong = found["passages"], []
    if size >= 10_000:
        for what, ratio in found["overhead"].items():
            if ratio > OVERHEAD:
                wrong.append(
                    f"{size:,} passages, {what}: expected at most {OVERHEAD} times as long as bm25s, found {ratio}"
                )
    if size >= 1_000_000:
        seconds, anonymous = found["search"]["open_seconds"], found["search"]["anonymous_mb"]
        if seconds >= OPEN_SECONDS:
            wrong.append(f"{size:,} passages: expected to open under {OPEN_SECONDS} s, found {seconds}")
        if anonymous is not None and anonymous >= ANONYMOUS_SHARE * found["build"]["index_mb"]:
            wrong.append(
                f"{size:,} passages: expected anonymous memory under a quarter of the index, found {anonymous} MB"
            )
    return wrong


def work(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """All sizes, smallest first as they are named."""
    passages, python = real_passages(args.corpus), rank_python(args.rank_python)
    results = []
    for size in map(int, args.sizes.split(",")):
        own = folder / f"{size}"
        own.mkdir(parents=True, exist_ok=True)
        made = iter(passages) if size in (0, len(passages)) else recombined(passages, size)
        count = write_corpus(made, own / "corpus.jsonl")
        (own / "queries.json").write_text(json.dumps(questions(args.queries)))
        results.append(measure(own, count, python))
    return results


def show(each: dict[str, Any]) -> None:
    print(f"{each['passages']:,} passages")
    for part in (*PARTS, "rank_bm25", "overhead"):
        print(f"  {part:<13} " + ", ".join(f"{name} {value}" for name, value in each[part].items()))


def main() -> int:
    args = arguments()
    if args.part:
        import resource

        found = PARTS[args.part](args.folder)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)
        print(json.dumps({**found, "peak_mb": round(peak)}))
        return 0
    if args.folder:
        results = work(args, args.folder)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            results = work(args, Path(temporary))
    wrong = [sentence for each in results for sentence in missed(each)]
    if args.json:
        print(json.dumps({"sizes": results, "queries": args.queries, "top": TOP, "missed": wrong}))
    else:
        for each in results:
            show(each)
    for sentence in wrong:
        print(f"error: {sentence}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
