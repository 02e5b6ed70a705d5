"""The search engine as a tool: queries go to a retriever, in one batch, and what it finds comes back as text.

Like the paper it shows the top passage alone, unless told otherwise. Not here: how passages are found (`swirl.retrieval`).
"""

from collections.abc import Sequence

from swirl.errors import ConfigError
from swirl.retrieval import Hit, Retriever
from swirl.retrieval.bm25 import Bm25
from swirl.tools import ToolInput
from swirl.tools.excerpt import Count, excerpt
from swirl.types import Observation, Passage

_ROOM = 512


class Search:
    """The tool, over a retriever, or over passages in memory by BM25.

    >>> passages = [Passage("p1", "Ada Quill", "Ada Quill was born in Port Lumen."), Passage("p2", "Port Lumen", "A harbour town.")]
    >>> Search(passages).run([ToolInput("Ada Quill born")])[0].text
    'Ada Quill: Ada Quill was born in Port Lumen.'
    """

    name = "search"
    description = "Searches a corpus and shows what fits the query best."

    def __init__(
        self,
        source: Retriever | Sequence[Passage],
        top_k: int = 1,
        *,
        scoped: bool = True,
        room: int = _ROOM,
        count: Count = lambda text: len(text.encode()),
    ) -> None:
        """`scoped`: whether a call's scope is followed. A result has at most `room` tokens, as `count` counts them."""
        if top_k < 1:
            raise ConfigError(f"search shows at least 1 passage, found top_k {top_k}")
        self.retriever = source if isinstance(source, Retriever) else Bm25.of(source)
        self.top_k = top_k
        self.scoped = scoped
        self._room = room
        self._count = count

    def run(self, calls: Sequence[ToolInput]) -> list[Observation]:
        queries = [call.arguments for call in calls]
        scopes = [call.scope if self.scoped else () for call in calls]
        return [self._observation(hits) for hits in self.retriever.retrieve(queries, self.top_k, scopes)]

    def _observation(self, hits: Sequence[Hit] | None) -> Observation:
        if hits is None:
            return Observation(
                "Error: the query has no word to search for; name what you are looking for", refused=True
            )
        if not hits:
            return Observation("No passage matches this query; try other words", refused=True)
        shown = excerpt([hit.passage for hit in hits], self._room, self._count)
        return Observation(shown.text, passages=shown.passages)
