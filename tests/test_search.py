"""BM25: titles count twice, a scope restricts, and a query without a word is refused."""

import pytest

from corpora import PASSAGES
from swirl.errors import ConfigError
from swirl.tools import ToolInput
from swirl.tools.search import Search
from swirl.types import Passage

TWICE = [*PASSAGES, Passage("p4", "Port Lumen", "A harbour town.")]


def test_the_passage_about_a_thing_beats_those_that_mention_it() -> None:
    [observation] = Search(TWICE).run([ToolInput("Ada Quill wrote")])
    assert observation.passages == ("p1",)


def test_words_match_by_their_stem_and_ties_go_to_the_first() -> None:
    [observation] = Search(TWICE).run([ToolInput("Lumen harbours")])
    assert observation.passages == ("p3",)


def test_a_scope_hides_all_other_passages() -> None:
    first, second = Search(TWICE).run(
        [ToolInput("Ada Quill", scope=("p2", "p3")), ToolInput("Ada Quill", scope=("p3",))]
    )
    assert first.passages == ("p2",)
    assert second.refused


@pytest.mark.parametrize("query", ["", "the of", "?!", "zebra"])
def test_a_query_that_finds_nothing_says_so(query: str) -> None:
    [observation] = Search(TWICE).run([ToolInput(query)])
    assert observation.refused
    assert observation.text


def test_a_search_engine_needs_passages() -> None:
    with pytest.raises(ConfigError, match="found no passages"):
        Search([])
    with pytest.raises(
        ConfigError, match=r"expected passages with words to search for, found 1 in which .* titled 'a'"
    ):
        Search([Passage("p", "a", "b c the")])
