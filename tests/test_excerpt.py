"""What a result shows: whole passages while there is room, then whole sentences, never more than the room, and always something."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl.tools import ToolInput
from swirl.tools.excerpt import excerpt, line
from swirl.tools.search import Search
from swirl.types import Passage


def words(text: str) -> int:
    return len(text.split())


ROWLING = Passage(
    "p1", "Books", 'It was by J. K. Rowling and Dr. Fenn. She said "Stop!" to him. It cost 2.5 pounds. The end'
)


@pytest.mark.parametrize(
    ("room", "shown"),
    [
        (100, line(ROWLING)),
        (18, 'Books: It was by J. K. Rowling and Dr. Fenn. She said "Stop!" to him. [...]'),
        (11, "Books: It was by J. K. Rowling and Dr. Fenn. [...]"),
        (5, "Books: It was by [...]"),
    ],
)
def test_it_is_cut_after_a_sentence_or_else_after_a_word(room: int, shown: str) -> None:
    assert excerpt([ROWLING], room, words).text == shown


def test_what_no_longer_fits_is_neither_shown_nor_said_to_be() -> None:
    passages = [Passage("p1", "A", "One two."), Passage("p2", "B", "Three four. Five six."), Passage("p3", "C", "Six.")]
    assert excerpt(passages, 6, words) == ("A: One two.", ("p1",))
    assert excerpt(passages, 7, words) == ("A: One two.\nB: Three four. [...]", ("p1", "p2"))
    assert excerpt(passages, 10, words) == ("A: One two.\nB: Three four. Five six.\nC: Six.", ("p1", "p2", "p3"))


@settings(deadline=None, max_examples=50)
@given(
    pairs=st.lists(
        st.tuples(st.text(max_size=12), st.text(st.sampled_from("ab.!? é\n"), max_size=60)), min_size=1, max_size=4
    ),
    room=st.integers(8, 90),
)
def test_there_is_never_more_than_the_room_and_never_nothing(pairs: list[tuple[str, str]], room: int) -> None:
    passages = [Passage(f"p{i}", title, text + "x") for i, (title, text) in enumerate(pairs)]
    shown = excerpt(passages, room, len)
    assert shown.text
    assert len(shown.text) <= room
    assert shown.passages == tuple(passage.id for passage in passages[: len(shown.passages)])
    whole = [line(passage) for passage in passages]
    assert all(whole[i] in shown.text for i in range(len(shown.passages) - 1))


def test_tokens_are_counted_only_where_bytes_exceed_the_room() -> None:
    def count(text: str) -> int:
        raise AssertionError("counted")

    passages = [Passage("p1", "Port Lumen", "A harbour town.")]
    search = Search(passages, room=27, count=count)
    assert search.run([ToolInput("harbour")])[0].text == "Port Lumen: A harbour town."
    with pytest.raises(AssertionError, match="counted"):
        Search(passages, room=26, count=count).run([ToolInput("harbour")])


def test_a_passage_without_a_title_is_its_text() -> None:
    assert line(Passage("p1", "", "A\n harbour.")) == "A harbour."


def test_a_long_article_takes_little_memory() -> None:
    """Ten thousand sentences are tried without writing out what each would show."""
    article = Passage("p1", "Port Lumen", "A quiet harbour town. " * 10_000)
    tracemalloc.start()
    shown = excerpt([article], 100, len)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(shown.text) <= 100
    assert peak < 20 * len(article.text)
