"""Tools run in threads beside the event loop: what they share is used by one thread at a time, and every thread gets its own answer."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import swirl.engine.model as engine_model
from swirl.catalog import _token_count
from swirl.engine.encoder import SentenceEncoder, mean
from swirl.policies import PolicyConfig
from swirl.retrieval.bm25 import Bm25
from swirl.retrieval.dense import Dense
from swirl.retrieval.index import build, open_index
from swirl.retrieval.words import Reading, Words
from swirl.rows import Row
from swirl.services.loop import wait_for
from swirl.services.threads import in_thread
from swirl.tools import ToolInput
from swirl.tools.search import Search
from swirl.types import Passage

WORKERS = 8
TOWNS = ("Lumen", "Fenn", "Quill", "Marrow", "Thorn", "Vale", "Ash", "Brook")
PASSAGES = [
    Passage(f"p{i}", f"Port {TOWNS[i % 8]} {i}", f"{TOWNS[i * 3 % 8]} was founded in {1500 + i} by miners. " * 3)
    for i in range(40)
]
QUERIES = [f"who founded {TOWNS[i % 8]} in {1500 + i}" for i in range(120)]


def at_once(work: Callable[[str], Any], items: Sequence[str]) -> list[Any]:
    """The results of some work, done by several threads that begin together."""
    together = threading.Barrier(WORKERS)

    def own(place: int) -> list[Any]:
        together.wait(60)
        return [work(item) for item in items[place::WORKERS]]

    with ThreadPoolExecutor(WORKERS) as pool:
        parts = list(pool.map(own, range(WORKERS)))
    return [parts[i % WORKERS][i // WORKERS] for i in range(len(items))]


class Alone:
    """Says "Already borrowed" where two threads are in it at once, as a fast tokenizer does."""

    def __init__(self) -> None:
        self._inside = threading.Lock()
        self.uses = 0

    @contextmanager
    def use(self) -> Any:
        if not self._inside.acquire(blocking=False):
            raise RuntimeError("Already borrowed")
        try:
            time.sleep(0.0005)
            self.uses += 1
            yield
        finally:
            self._inside.release()


def test_the_double_does_not_bear_two_threads() -> None:
    alone = Alone()

    def use(item: str) -> None:
        with alone.use():
            pass

    with pytest.raises(RuntimeError, match="Already borrowed"):
        at_once(use, QUERIES)


class Tokenizer(Alone):
    """A letter a token."""

    def encode(self, text: str, **options: Any) -> list[str]:
        with self.use():
            return list(text)

    def __call__(self, texts: Sequence[str], **options: Any) -> Any:
        with self.use():
            longest = max(map(len, texts))
            ids = torch.tensor([[ord(c) for c in text.ljust(longest)] for text in texts])
        return Read(input_ids=ids, attention_mask=torch.ones_like(ids))


class Read(dict[str, torch.Tensor]):
    def to(self, device: Any) -> "Read":
        return self


class Network(torch.nn.Linear):
    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        states_BT4 = torch.stack([torch.sin(input_ids * (i + 1.0)) for i in range(4)], dim=-1)
        return SimpleNamespace(last_hidden_state=states_BT4)


def encoder() -> tuple[SentenceEncoder, Tokenizer]:
    tokenizer = Tokenizer()
    return SentenceEncoder("letters", Network(1, 1), tokenizer, mean, 64, {}), tokenizer


def test_the_tokens_of_search_results_are_counted_by_one_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Tokenizer] = []

    def policy_tokenizer(config: PolicyConfig) -> Tokenizer:
        time.sleep(0.01)
        made.append(Tokenizer())
        return made[-1]

    monkeypatch.setattr(engine_model, "policy_tokenizer", policy_tokenizer)
    assert at_once(_token_count(PolicyConfig()), QUERIES) == [len(query) for query in QUERIES]
    assert [tokenizer.uses for tokenizer in made] == [len(QUERIES)], "it is loaded once"


def test_texts_are_encoded_by_one_thread_at_a_time() -> None:
    model, tokenizer = encoder()
    found = at_once(lambda query: model.encode([query], queries=True)[0], QUERIES)
    assert tokenizer.uses == len(QUERIES)
    np.testing.assert_array_equal(np.stack(found), np.stack([model.encode([q], queries=True)[0] for q in QUERIES]))


def test_words_are_stemmed_by_one_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    words = Words(Reading())
    stemmer, alone = words._stemmer, Alone()

    def stem_words(found: list[str]) -> list[str]:
        with alone.use():
            return stemmer.stemWords(found)

    monkeypatch.setattr(words, "_stemmer", SimpleNamespace(stemWords=stem_words))
    expected = [Words(Reading()).stems(query) for query in QUERIES]
    assert at_once(words.stems, QUERIES) == expected


@pytest.mark.parametrize("engine", ["bm25", "dense", "stored"])
def test_searches_from_many_threads_find_what_they_find_alone(engine: str, tmp_path: Path) -> None:
    def rows() -> Any:
        return (Row(f"corpus:{i}", {"id": p.id, "title": p.title, "text": p.text}) for i, p in enumerate(PASSAGES))

    if engine == "stored":
        build(rows, tmp_path / "index")
        retriever: Any = open_index(tmp_path / "index", "bm25", lambda model: encoder()[0])
    else:
        retriever = Bm25.of(PASSAGES) if engine == "bm25" else Dense.of(PASSAGES, encoder()[0])
    tool = Search(retriever, 2, room=200)
    scope = tuple(passage.id for passage in PASSAGES[::3])

    def search(query: str) -> Any:
        return tool.run([ToolInput(query), ToolInput(query, scope)])

    assert at_once(search, QUERIES) == [search(query) for query in QUERIES]


@pytest.mark.parametrize("error", [ValueError("no"), StopIteration("no"), SystemExit("no")])
def test_what_goes_wrong_in_a_thread_is_raised_where_it_is_waited_for(error: BaseException) -> None:
    def work() -> None:
        raise error

    async def waiting() -> str:
        try:
            await in_thread(work)
        except BaseException as found:
            return repr(found.__cause__ or found)
        return "nothing"

    assert wait_for(waiting()) == repr(error)


def test_a_thread_that_nobody_waits_for_any_more_holds_nothing_up() -> None:
    go_on, ended = threading.Event(), threading.Event()

    def work() -> None:
        assert go_on.wait(60)
        ended.set()

    async def cancelled() -> bool:
        task = asyncio.ensure_future(in_thread(work))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return task.cancelled()

    assert wait_for(cancelled())
    assert not ended.is_set()
    go_on.set()
    assert ended.wait(60)
    assert wait_for(asyncio.sleep(0, "the loop goes on")) == "the loop goes on"
