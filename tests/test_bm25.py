"""BM25: bm25s's own scores to the last bit, the exact best of them, and scopes that give what scoring everything would."""

from collections.abc import Sequence

import bm25s
import numpy as np
import pytest
import Stemmer
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora import CORPORA, PASSAGES, TEXTS, names
from swirl.errors import ConfigError
from swirl.retrieval import Hit, bm25
from swirl.retrieval.bm25 import Bm25
from swirl.retrieval.top import top
from swirl.types import Passage


def by_bm25s(corpus: Sequence[Passage], query: str, k: int, scope: tuple[str, ...]) -> list[tuple[str, float]] | None:
    """What bm25s says, everything scored and sorted."""
    stemmer = Stemmer.Stemmer("english")
    texts = [f"{passage.title} {passage.title} {passage.text}" for passage in corpus]
    index = bm25s.BM25()
    index.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    [words] = bm25s.tokenize([query], stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False)
    if not words:
        return None
    scores = np.array(index.get_scores(words))
    ranked = np.argsort(-scores, kind="stable")
    inside = [i for i in ranked if scores[i] > 0 and (not scope or corpus[i].id in scope)]
    return [(corpus[i].id, float(scores[i])) for i in inside[:k]]


def told(hits: list[Hit] | None) -> list[tuple[str, float]] | None:
    return None if hits is None else [(hit.passage.id, hit.score) for hit in hits]


@settings(deadline=None, max_examples=40)
@given(corpus=CORPORA, query=TEXTS, k=st.integers(1, 30), data=st.data())
def test_it_finds_what_bm25s_scores_highest_with_ties_in_the_corpus_s_order(
    corpus: list[Passage], query: str, k: int, data: st.DataObject
) -> None:
    scope = tuple(data.draw(st.lists(st.sampled_from([passage.id for passage in corpus]), max_size=5)))
    [found] = Bm25.of(corpus).retrieve([query], k, [scope])
    assert told(found) == by_bm25s(corpus, query, k, scope)


@settings(deadline=None)
@given(scores=st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=1, max_size=40), k=st.integers(1, 45))
def test_the_top_is_a_stable_sort_s_beginning(scores: list[float], k: int) -> None:
    assert top(np.array(scores), k).tolist() == np.argsort(-np.array(scores), kind="stable")[:k].tolist()


def test_a_batch_answers_each_query_as_if_it_were_alone() -> None:
    retriever, queries = Bm25.of(PASSAGES), ["harbour", "the", "zebra", "Ada harbour Ada"]
    together = retriever.retrieve(queries, 3, [()] * 4)
    assert together == [retriever.retrieve([query], 3, [()])[0] for query in queries]
    assert [names(hits) for hits in together] == [["p3", "p1"], None, [], ["p1", "p2", "p3"]]


def test_a_scope_touches_no_score_outside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    retriever = Bm25.of(PASSAGES)
    monkeypatch.setattr(bm25, "scores", lambda *given: pytest.fail("everything was scored"))
    assert [names(hits) for hits in retriever.retrieve(["Ada", "town"], 1, [("p2", "p3"), ("p1",)])] == [["p2"], []]


def test_a_scope_of_another_corpus_is_named() -> None:
    with pytest.raises(ConfigError, match=r"expected the question's own passages \(x1, x2\) among the 3 that are"):
        Bm25.of(PASSAGES).retrieve(["Ada"], 1, [("x1", "x2")])
    [found] = Bm25.of(PASSAGES).retrieve(["Ada"], 3, [("x1", "p2")])
    assert names(found) == ["p2"]
