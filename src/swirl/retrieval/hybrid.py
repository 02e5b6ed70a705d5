"""Both ways of searching, fused by ranks: words find names, embeddings find paraphrases.

Reciprocal rank fusion (Cormack et al. 2009) with its authors' k = 60, over the first `DEPTH` passages of each; nothing is tuned.
"""

from collections.abc import Sequence

from swirl.retrieval import Hit, Retriever

RANK_OFFSET = 60
DEPTH = 100


class Hybrid:
    """The retriever over others; a query is refused where all of them refuse it."""

    def __init__(self, retrievers: Sequence[Retriever]) -> None:
        self.retrievers = retrievers

    def retrieve(self, queries: Sequence[str], k: int, scopes: Sequence[tuple[str, ...]]) -> list[list[Hit] | None]:
        each = [retriever.retrieve(queries, max(k, DEPTH), scopes) for retriever in self.retrievers]
        return [_fused(ranked, k) for ranked in zip(*each, strict=True)]


def _fused(ranked: Sequence[list[Hit] | None], k: int) -> list[Hit] | None:
    lists = [hits for hits in ranked if hits is not None]
    if not lists:
        return None
    passages = {hit.passage.id: hit.passage for hits in lists for hit in hits}
    fused = fuse([[hit.passage.id for hit in hits] for hits in lists])
    return [Hit(passages[name], score) for name, score in fused[:k]]


def fuse(rankings: Sequence[Sequence[str]]) -> list[tuple[str, float]]:
    """Names with the sum over rankings of 1 / (60 + rank), highest first; of equal ones the first met comes first.

    >>> [(name, round(score, 4)) for name, score in fuse([["a", "b"], ["b", "c"]])]
    [('b', 0.0325), ('a', 0.0164), ('c', 0.0161)]
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, name in enumerate(ranking, start=1):
            scores[name] = scores.get(name, 0.0) + 1 / (RANK_OFFSET + rank)
    return sorted(scores.items(), key=lambda item: -item[1])
