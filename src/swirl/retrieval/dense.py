"""Dense retrieval: the passages whose embeddings are closest to the query's, as in the paper.

Every passage is looked at, block by block, on the processor: the result is exact, and a corpus that does not fit in memory is read from its
file. Above `EXACT` passages an index holds a graph of faiss's as well (HNSW, the extra `faiss`), where it was installed when the index was
made: then a query looks at few of them, and may miss one. What it finds is scored exactly, and a scope is always looked at whole.
"""

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from swirl.errors import MissingExtra
from swirl.retrieval import Encoder, Hit
from swirl.retrieval.passages import Corpus, Listed, places_in_scope
from swirl.retrieval.top import top
from swirl.types import Passage

EXACT = 200_000
_BLOCK = 65_536
"""Passages that are compared at once."""
_SPARE = 16
"""Passages that are scored exactly beyond those asked for, because rounding may change places among the closest."""
_BATCH = 256
"""Passages that are encoded between two words on how far it is."""
_LINKS, _EFFORT = 32, 128
"""Of faiss's graph: neighbours kept of each passage, and passages looked at on the way."""


class Dense:
    """The retriever."""

    def __init__(self, corpus: Corpus, embeddings_ND: np.ndarray, encoder: Encoder, graph: Any = None) -> None:
        self.corpus = corpus
        self.embeddings_ND = embeddings_ND
        self.encoder = encoder
        self._graph = graph

    @classmethod
    def of(cls, passages: Sequence[Passage], encoder: Encoder) -> "Dense":
        """Over passages in memory."""
        corpus = Listed(passages)
        return cls(corpus, np.concatenate(list(embedded(corpus, encoder))), encoder)

    def retrieve(self, queries: Sequence[str], k: int, scopes: Sequence[tuple[str, ...]]) -> list[list[Hit] | None]:
        asked = [place for place, query in enumerate(queries) if query.strip()]
        found: list[list[Hit] | None] = [None] * len(queries)
        if not asked:
            return found
        queries_QD = self.encoder.encode([queries[place] for place in asked], queries=True)
        wide = [row for row, place in enumerate(asked) if not scopes[place]]
        for row, hits in zip(wide, self._among_all(queries_QD[wide], k), strict=True):
            found[asked[row]] = hits
        for row, place in enumerate(asked):
            if scopes[place]:
                found[place] = self._hits(queries_QD[row], places_in_scope(self.corpus, scopes[place]), k)
        return found

    def _among_all(self, queries_QD: np.ndarray, k: int) -> list[list[Hit]]:
        if not len(queries_QD):
            return []
        enough = k + _SPARE
        graph, all_ND = self._graph, self.embeddings_ND
        places_QK = nearest(queries_QD, all_ND, enough) if graph is None else self._near(queries_QD, enough)
        return [self._hits(query_D, places, k) for query_D, places in zip(queries_QD, places_QK, strict=True)]

    def _near(self, queries_QD: np.ndarray, k: int) -> list[np.ndarray]:
        _, places_QK = self._graph.search(queries_QD, min(k, len(self.corpus)))
        return [np.sort(places[places >= 0]) for places in places_QK]

    def _hits(self, query_D: np.ndarray, places: np.ndarray, k: int) -> list[Hit]:
        """The best of these places. Equal embeddings have equal scores here, row by row; a product of matrices rounds by place."""
        scores = np.einsum("nd,d->n", self.embeddings_ND[places], query_D)
        return [Hit(self.corpus[int(places[best])], float(scores[best])) for best in top(scores, k)]


def nearest(queries_QD: np.ndarray, embeddings_ND: np.ndarray, k: int, block: int = _BLOCK) -> list[np.ndarray]:
    """For each query the places of its `k` closest passages, in ascending order.

    >>> nearest(np.array([[0.0, 1.0]]), np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.0, -1.0]]), 2, block=3)[0].tolist()
    [1, 2]
    """
    best: list[tuple[np.ndarray, np.ndarray]] = [(np.empty(0, np.int64), np.empty(0, np.float32))] * len(queries_QD)
    for start in range(0, len(embeddings_ND), block):
        for query, scores in enumerate(queries_QD @ embeddings_ND[start : start + block].T):
            places, kept = best[query]
            own = np.sort(top(scores, k))
            places, kept = np.concatenate([places, own + start]), np.concatenate([kept, scores[own]])
            among = np.sort(top(kept, k))
            best[query] = places[among], kept[among]
    return [places for places, _ in best]


def embedded(
    corpus: Corpus, encoder: Encoder, advance: Callable[[int], None] = lambda count: None
) -> Iterator[np.ndarray]:
    """The embeddings of a corpus, batch by batch; a title stands before its text."""
    for start in range(0, len(corpus), _BATCH):
        batch = [corpus[place] for place in range(start, min(start + _BATCH, len(corpus)))]
        texts = [f"{passage.title}\n{passage.text}" if passage.title else passage.text for passage in batch]
        yield encoder.encode(texts, queries=False)
        advance(len(batch))


def has_faiss() -> bool:
    """Whether the extra `faiss` is installed."""
    return find_spec("faiss") is not None


def make_graph(embeddings_ND: np.ndarray, path: Path) -> None:
    """Write faiss's graph of a corpus."""
    import faiss

    graph = faiss.IndexHNSWFlat(embeddings_ND.shape[1], _LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = _EFFORT
    for start in range(0, len(embeddings_ND), _BLOCK):
        graph.add(np.ascontiguousarray(embeddings_ND[start : start + _BLOCK]))
    faiss.write_index(graph, str(path))


def open_graph(path: Path) -> Any:
    """Faiss's graph of a file; raises `MissingExtra` where faiss is not installed."""
    if not has_faiss():
        raise MissingExtra(f"{path} was made by faiss, which is not installed: pip install 'swirl-rl[faiss]'")
    import faiss

    graph = faiss.read_index(str(path))
    graph.hnsw.efSearch = _EFFORT
    return graph
