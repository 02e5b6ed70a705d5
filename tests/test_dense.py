"""Dense retrieval: the closest of all passages, in blocks of any size, and within a scope."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora import CORPORA, TEXTS, HashEncoder, names, passages, rows
from swirl.errors import ConfigError, MissingExtra
from swirl.retrieval import dense
from swirl.retrieval.dense import Dense, nearest
from swirl.retrieval.index import build, open_index, read_manifest
from swirl.retrieval.passages import Listed
from swirl.types import Passage


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 99), count=st.integers(1, 30), k=st.integers(1, 35), block=st.integers(1, 31))
def test_blocks_find_what_a_full_sort_finds(seed: int, count: int, k: int, block: int) -> None:
    """Whole numbers, so that there are ties, and sums are exact."""
    rng = np.random.default_rng(seed)
    embeddings, queries = rng.integers(-1, 2, (count, 3)).astype(float), rng.integers(-1, 2, (2, 3)).astype(float)
    for found, scores in zip(nearest(queries, embeddings, k, block), queries @ embeddings.T, strict=True):
        assert found.tolist() == sorted(np.argsort(-scores, kind="stable")[:k])


@settings(deadline=None, max_examples=20)
@given(corpus=CORPORA, query=TEXTS, data=st.data())
def test_a_scope_gives_the_order_among_its_own(corpus: list[Passage], query: str, data: st.DataObject) -> None:
    scope = tuple(data.draw(st.lists(st.sampled_from([passage.id for passage in corpus]), min_size=1, max_size=4)))
    everything, within = Dense.of(corpus, HashEncoder()).retrieve([query, query], len(corpus), [(), scope])
    assert everything is not None
    assert within is not None
    assert len(everything) == len(corpus)
    of_all = {hit.passage.id: hit.score for hit in everything}
    assert [hit.score for hit in within] == pytest.approx([of_all[hit.passage.id] for hit in within], abs=1e-6)
    assert sorted(names(within) or []) == sorted(set(scope))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_of_equal_passages_the_first_come_first_however_they_are_rounded(k: int) -> None:
    """A product of matrices gives equal rows different scores by where they stand on many machines."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        count = int(rng.integers(5, 40))
        embeddings_ND = rng.normal(size=(count, 384)).astype(np.float32)
        embeddings_ND /= np.linalg.norm(embeddings_ND, axis=1, keepdims=True)
        equal = np.sort(rng.choice(count, 3, replace=False))
        embeddings_ND[equal] = embeddings_ND[equal[0]]
        query_D = embeddings_ND[equal[0]] + rng.normal(scale=0.01, size=384).astype(np.float32)
        corpus = Listed(passages([("", "x")] * count))
        found = Dense(corpus, embeddings_ND, Fixed(query_D)).retrieve(["a", "b"], k, [(), ()])
        assert [names(hits) for hits in found] == [[f"p{place + 1}" for place in equal[:k]]] * 2


class Fixed:
    """Every query has the same direction."""

    name = "fixed@1"

    def __init__(self, query_D: np.ndarray) -> None:
        self._query_D = query_D

    def encode(self, texts: Sequence[str], *, queries: bool) -> np.ndarray:
        return np.stack([self._query_D] * len(texts))


def test_a_blank_query_is_refused_and_not_encoded() -> None:
    encoder = HashEncoder()
    retriever = Dense.of([Passage("p1", "Port Lumen", "A harbour town.")], encoder)
    assert encoder.read == ["Port Lumen\nA harbour town."]
    blank, found = retriever.retrieve([" ", "harbour"], 1, [(), ()])
    assert blank is None
    assert names(found) == ["p1"]
    assert encoder.read[1:] == ["harbour"]
    assert retriever.retrieve(["", " "], 1, [(), ()]) == [None, None]
    assert len(encoder.read) == 2


def test_a_corpus_without_passages_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a corpus to search, found no passages"):
        Dense.of([], HashEncoder())


def test_a_graph_finds_the_closest_and_scores_them_exactly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a small corpus faiss's graph reaches everything, so that it must find what looking at all of them finds."""
    pytest.importorskip("faiss", reason="the extra `faiss` is not installed")
    corpus = passages([(f"place {i}", f"number {i} of {i % 7}") for i in range(80)])
    folder = tmp_path / "index"
    monkeypatch.setattr(dense, "EXACT", 10)
    build(partial(rows, corpus), folder, engine="dense", encoder=HashEncoder())
    assert "dense.faiss" in read_manifest(folder).files
    asked = ["place 3", "number 9"], 5, [(), ()]
    found = open_index(folder, "dense", lambda model: HashEncoder()).retrieve(*asked)
    assert found == Dense.of(corpus, HashEncoder()).retrieve(*asked)


def test_an_index_with_a_graph_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "has_faiss", lambda: False)
    with pytest.raises(
        MissingExtra, match=r"was made by faiss, which is not installed: pip install 'swirl-rl\[faiss\]'"
    ):
        dense.open_graph(Path("dense.faiss"))
