"""The search engine: BM25 over a corpus in memory, the best passage back.

Covered: stemmed English words (Snowball), titles counted twice because a title says what a passage is about, ties broken by the order of
the corpus, and a scope: a question may be restricted to passages of its own.
Not covered: corpora that do not fit in memory, dense retrieval.

Differs from the paper, which searches with dense embeddings; like the paper it shows the top passage alone.
"""

from collections.abc import Sequence

import bm25s
import numpy as np
import Stemmer

from swirl.errors import ConfigError
from swirl.tools import ToolInput
from swirl.types import Observation, Passage


class Search:
    """The search engine as a tool.

    >>> passages = [Passage("p1", "Ada Quill", "Ada Quill was born in Port Lumen."), Passage("p2", "Port Lumen", "A harbour town.")]
    >>> Search(passages).run([ToolInput("Ada Quill born")])[0].text
    'Ada Quill: Ada Quill was born in Port Lumen.'
    """

    name = "search"
    description = "Searches a corpus and shows the passage that fits the query best."

    def __init__(self, passages: Sequence[Passage], top_k: int = 1) -> None:
        if not passages:
            raise ConfigError(
                "expected a corpus to search, found no passages; the task needs passages, or a tool other than search"
            )
        if top_k < 1:
            raise ConfigError(f"search shows at least 1 passage, found top_k {top_k}")
        self.passages = passages
        self.top_k = top_k
        self._stemmer = Stemmer.Stemmer("english")
        self._place = {passage.id: place for place, passage in enumerate(passages)}
        self._index = bm25s.BM25()
        texts = [f"{passage.title} {passage.title} {passage.text}" for passage in passages]
        words = bm25s.tokenize(texts, stopwords="en", stemmer=self._stemmer, show_progress=False)
        if not words.vocab:
            raise ConfigError(
                f"expected passages with words to search for, found {len(passages)} in which every word is a single letter or as common"
                f" as `the`, the first titled {passages[0].title!r}; write them out"
            )
        self._index.index(words, show_progress=False)

    def run(self, calls: Sequence[ToolInput]) -> list[Observation]:
        words = bm25s.tokenize(
            [call.arguments for call in calls],
            stopwords="en",
            stemmer=self._stemmer,
            return_ids=False,
            show_progress=False,
        )
        return [self._search(call, query) for call, query in zip(calls, words, strict=True)]

    def _search(self, call: ToolInput, query: list[str]) -> Observation:
        if not query:
            return Observation(
                "Error: the query has no word to search for; name what you are looking for", refused=True
            )
        scores = np.asarray(self._index.get_scores(query))
        if call.scope:
            inside = [self._place[name] for name in call.scope if name in self._place]
            outside = np.ones(len(scores), dtype=bool)
            outside[inside] = False
            scores[outside] = 0.0
        best = [place for place in np.argsort(-scores, kind="stable")[: self.top_k] if scores[place] > 0]
        if not best:
            return Observation("No passage matches this query; try other words", refused=True)
        found = [self.passages[place] for place in best]
        text = "\n".join(f"{passage.title}: {' '.join(passage.text.split())}" for passage in found)
        return Observation(text, passages=tuple(passage.id for passage in found))
