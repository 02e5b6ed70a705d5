"""Small corpora for the tests of retrieval, and an encoder that needs no network."""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from hypothesis import strategies as st

from swirl.retrieval import Hit
from swirl.rows import Row
from swirl.types import Passage

WORDS = ("harbour", "lamp", "Ada", "quill", "the", "of", "marsh", "silver", "Fenn", "boats")
PASSAGES = [
    Passage("p1", "Ada Quill", "Wrote The Silver Harbour."),
    Passage("p2", "Bo Fenn", "The spouse of Ada Quill is Bo Fenn."),
    Passage("p3", "Port Lumen", "A harbour town."),
]

TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join)
CORPORA = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=25).map(
    lambda pairs: [Passage("p0", "harbour", "silver lamp"), *passages(pairs)]
)
"""Corpora with many ties; the first passage has words that count."""


def passages(pairs: Sequence[tuple[str, str]]) -> list[Passage]:
    """Titles and texts as passages."""
    return [Passage(f"p{number}", title, text) for number, (title, text) in enumerate(pairs, start=1)]


def rows(corpus: Sequence[Passage]) -> Iterator[Row]:
    """Passages as a file gives them."""
    for number, passage in enumerate(corpus, start=1):
        yield Row(f"corpus.jsonl:{number}", {"id": passage.id, "title": passage.title, "text": passage.text})


class HashEncoder:
    """Every word has a direction, drawn from its hash; a text is the sum of its words'."""

    def __init__(self, name: str = "hash@1", dimensions: int = 16) -> None:
        self.name = name
        self.dimensions = dimensions
        self.read: list[str] = []

    def encode(self, texts: Sequence[str], *, queries: bool) -> np.ndarray:
        self.read += texts
        sums = np.stack([sum((self._direction(word) for word in text.lower().split()), np.zeros(16)) for text in texts])
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return (sums / np.maximum(lengths, 1e-9)).astype(np.float32)

    def _direction(self, word: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "little")
        return np.random.default_rng(seed).normal(size=self.dimensions)


def names(hits: list[Hit] | None) -> list[str] | None:
    """The ids of what was found."""
    return None if hits is None else [hit.passage.id for hit in hits]
