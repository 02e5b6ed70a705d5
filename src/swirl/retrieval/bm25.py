"""BM25 by bm25s: every word's share of a passage's score is worked out beforehand, and a query adds up those of its words.

Parameters are Lucene's variant with k1 = 1.5 and b = 0.75, bm25s's own. Scores are exact, and so are ties: the corpus's order breaks them.
Not here: how texts become words (`swirl.retrieval.words`).

Differs from the paper, which searches with dense embeddings (`swirl.retrieval.dense`).
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import bm25s
import numpy as np

from swirl.errors import ConfigError
from swirl.retrieval import Hit
from swirl.retrieval.passages import Corpus, Listed, places_in_scope
from swirl.retrieval.top import top
from swirl.retrieval.words import Reading, Words
from swirl.types import Passage

K1, B, METHOD = 1.5, 0.75, "lucene"


class Postings(NamedTuple):
    """For each word the passages it occurs in, in order, and its share of their scores: word `w` has those from `starts[w]` to
    `starts[w + 1]`."""

    shares: np.ndarray
    places: np.ndarray
    starts: np.ndarray


def index(passages: Iterable[Passage], words: Words) -> Postings:
    """The postings of a corpus; `words` learns its stems. Raises `ConfigError` where there is no word to search for."""
    each = iter(passages)
    first = next(each)
    numbered = [words.number(passage) for passage in chain([first], each)]
    if not words.numbers:
        raise ConfigError(
            f"expected passages with words to search for, found {len(numbered)} in which every word is a single letter or as common"
            f" as `the`, the first titled {first.title!r}; write them out"
        )
    made = bm25s.BM25(k1=K1, b=B, method=METHOD)
    made.index((numbered, words.numbers), create_empty_token=False, show_progress=False)
    return Postings(made.scores["data"], made.scores["indices"], made.scores["indptr"])


class Bm25:
    """The retriever.

    >>> passages = [Passage("p1", "Ada Quill", "Born in Port Lumen."), Passage("p2", "Port Lumen", "A harbour town.")]
    >>> [[hit], nothing, refused] = Bm25.of(passages).retrieve(["a harbour", "zebra", "the?"], 3, [()] * 3)
    >>> hit.passage.title, nothing, refused
    ('Port Lumen', [], None)
    """

    def __init__(self, corpus: Corpus, words: Words, postings: Postings) -> None:
        self.corpus = corpus
        self._words = words
        self.postings = postings

    @classmethod
    def of(cls, passages: Sequence[Passage]) -> "Bm25":
        """Over passages in memory."""
        words = Words(Reading())
        return cls(Listed(passages), words, index(passages, words))

    def retrieve(self, queries: Sequence[str], k: int, scopes: Sequence[tuple[str, ...]]) -> list[list[Hit] | None]:
        return [self._retrieve(query, k, scope) for query, scope in zip(queries, scopes, strict=True)]

    def _retrieve(self, query: str, k: int, scope: tuple[str, ...]) -> list[Hit] | None:
        stems = self._words.stems(query)
        if not stems:
            return None
        numbers = [self._words.numbers[stem] for stem in stems if stem in self._words.numbers]
        if not numbers:
            return []
        if scope:
            within_S = places_in_scope(self.corpus, scope)
            return self._hits(within_S, scores_within(self.postings, numbers, within_S), k)
        scores_N = scores(self.postings, numbers, len(self.corpus))
        if k == 1:
            best = top(scores_N, 1)
            return self._hits(best, scores_N[best], 1)
        found = np.flatnonzero(scores_N)
        return self._hits(found, scores_N[found], k)

    def _hits(self, places: np.ndarray, scores: np.ndarray, k: int) -> list[Hit]:
        """The best of these places, those without a score left out."""
        best = [place for place in top(scores, k) if scores[place] > 0]
        return [Hit(self.corpus[int(places[place])], float(scores[place])) for place in best]


def scores(postings: Postings, numbers: Sequence[int], num_passages: int) -> np.ndarray:
    """Every passage's score: the shares of the query's words, a repeated one's repeated, added in their order."""
    scores_N = np.zeros(num_passages, dtype=np.float32)
    for number in numbers:
        own = slice(*postings.starts[number : number + 2])
        np.add.at(scores_N, postings.places[own], postings.shares[own])
    return scores_N


def scores_within(postings: Postings, numbers: Sequence[int], within_S: np.ndarray) -> np.ndarray:
    """The scores of a few passages, their places in ascending order: equal to those among all, at the cost of looking these few up."""
    scores_S = np.zeros(len(within_S), dtype=np.float32)
    for number in numbers:
        own = slice(*postings.starts[number : number + 2])
        places = postings.places[own]
        at_S = np.searchsorted(places, within_S)
        has_S = at_S < len(places)
        has_S[has_S] = places[at_S[has_S]] == within_S[has_S]
        scores_S[has_S] += postings.shares[own][at_S[has_S]]
    return scores_S
