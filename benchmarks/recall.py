"""How much of the gold paragraphs a search with the bare question finds: BM25, and, with `--encoder`, dense and hybrid beside it.

Recall at 10 over each data set's own corpus, of HotPotQA's development questions with gold marks and of MuSiQue's; the differences from
BM25 are paired question by question, with 95 % bootstrap intervals. Settings are the defaults: nothing is tuned on these questions. Needs
the folder that SWIRL_DATA names. Exit status 1 where BM25 is under its bound.

    python benchmarks/recall.py --json
    python benchmarks/recall.py --encoder sentence-transformers/all-MiniLM-L6-v2 --json
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from swirl.catalog import open_encoder
from swirl.retrieval import Retriever
from swirl.retrieval.bm25 import Bm25
from swirl.retrieval.dense import Dense
from swirl.retrieval.hybrid import RANK_OFFSET, Hybrid
from swirl.retrieval.sources import passage
from swirl.rows import Row, read_rows
from swirl.statistics import Interval, paired_bootstrap

TOP = 10
SETS = {"hotpotqa": ("dev_ctx.jsonl", 0.87), "musique": ("dev_ctx_200.jsonl", 0.53)}
"""Data set -> its questions, and the least BM25 has to find."""


def recalls(retriever: Retriever, questions: list[Row]) -> list[float]:
    """Of each question's gold paragraphs, the share among the first ten."""
    found = retriever.retrieve([row.text("question") for row in questions], TOP, [()] * len(questions))
    golds = [set(row.texts("gold_paragraph_ids")) for row in questions]
    return [
        len(gold & {hit.passage.id for hit in hits or []}) / len(gold) for gold, hits in zip(golds, found, strict=True)
    ]


def measured(folder: Path, questions_file: str, encoder: str) -> dict[str, Any]:
    """What each way of searching finds in one data set."""
    passages = [passage(row, place) for place, row in enumerate(read_rows(folder / "corpus.jsonl.gz"))]
    questions = [row for row in read_rows(folder / questions_file) if row.fields.get("gold_paragraph_ids")]
    ways: dict[str, Retriever] = {"bm25": Bm25.of(passages)}
    if encoder:
        ways["dense"] = Dense.of(passages, open_encoder(encoder))
        ways["hybrid"] = Hybrid([ways["bm25"], ways["dense"]])
    found = {name: recalls(way, questions) for name, way in ways.items()}
    return {
        "questions": len(questions),
        "passages": len(passages),
        "recall": {name: round(sum(each) / len(each), 4) for name, each in found.items()},
        "all_found": {name: round(sum(one == 1 for one in each) / len(each), 4) for name, each in found.items()},
        "against_bm25": {
            name: rounded(paired_bootstrap(found["bm25"], each, seed=0))
            for name, each in found.items()
            if name != "bm25"
        },
    }


def rounded(interval: Interval) -> dict[str, Any]:
    return {"mean": round(interval.mean, 4), "ci95": [round(interval.low, 4), round(interval.high, 4)]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="", help="a sentence-embedding model: a folder or a hub id")
    parser.add_argument("--json", action="store_true", help="print one JSON line and nothing else")
    args = parser.parse_args()
    data = os.environ.get("SWIRL_DATA")
    if not data:
        sys.exit(
            "error: recall is measured on real questions: set SWIRL_DATA to the folder that has hotpotqa and musique"
        )
    found = {name: measured(Path(data) / name, file, args.encoder) for name, (file, _) in SETS.items()}
    name = open_encoder(args.encoder).name if args.encoder else None
    if args.json:
        print(json.dumps({"top": TOP, "sets": found, "encoder": name, "rank_offset": RANK_OFFSET}))
    else:
        for which, each in found.items():
            print(which, each)
    wrong = [which for which, (_, least) in SETS.items() if found[which]["recall"]["bm25"] < least]
    for which in wrong:
        print(f"error: {which}: expected a recall of at least {SETS[which][1]}, found less", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
