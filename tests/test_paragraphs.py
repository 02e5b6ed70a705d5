"""Paragraphs in each of the ways they are written, and the marks of those a question needs."""

import pytest

from swirl.errors import RecordError
from swirl.rows import Row
from swirl.tasks.paragraphs import items, paragraphs, passage, supporting

ADA, PORT = passage("Ada Quill", "A poet. Born in Port Lumen."), passage("Port Lumen", "A harbour town.")


@pytest.mark.parametrize(
    "context",
    [
        [["Ada Quill", ["A poet.", " Born in Port Lumen."]], ["Port Lumen", ["A harbour town."]]],
        [["Ada Quill", "A poet. Born in Port Lumen."], ["Port Lumen", "A harbour town.\n"]],
        {"title": ["Ada Quill", "Port Lumen"], "sentences": [["A poet.", "Born in Port Lumen."], ["A harbour town."]]},
        {"title": ["Ada Quill", "Port Lumen"], "content": [["A poet.", "Born in Port Lumen."], ["A harbour town."]]},
        [
            {"title": "Ada Quill", "paragraph_text": "A poet.  Born in Port Lumen."},
            {"title": "Port Lumen", "text": "A harbour town."},
        ],
    ],
)
def test_all_ways_of_writing_give_the_same_passages(context: object) -> None:
    assert paragraphs(Row("a", {"context": context})) == [ADA, PORT]


def test_a_paragraph_may_be_empty_but_not_without_a_title() -> None:
    [empty] = paragraphs(Row("a", {"context": [["Ada Quill", []]]}))
    assert empty.text == ""
    with pytest.raises(RecordError, match=r"a, context 1: field title: expected a text, found ' '"):
        paragraphs(Row("a", {"context": [[" ", ["A poet."]]]}))


@pytest.mark.parametrize(
    ("context", "told"),
    [
        (None, "a: field context: expected a list of items with title and sentences, found nothing"),
        ("Ada", "a: field context: expected a list of items with title and sentences, found 'Ada'"),
        ([["Ada Quill"]], "a: field context: expected a list of items with title and sentences, found [['Ada Quill']]"),
        ({"title": ["Ada"], "sentences": []}, "a: field context: expected a list of items with title and sentences"),
        ({"title": "Ada", "sentences": "x"}, "a: field context: expected a list of items with title and sentences"),
        ([["Ada Quill", [1]]], "a, context 1: field sentences: expected a text or a list of sentences, found [1]"),
        ([["Ada", "x"], {}], "a, context 2: field title: expected a text, found nothing"),
        ([{"title": "Ada"}], "a, context 1: field sentences: expected a text or a list of sentences, found nothing"),
        ([{"title": "Ada", "text": None}], "a, context 1: field text: expected a text or a list of sentences"),
    ],
)
def test_what_is_no_paragraph_is_named(context: object, told: str) -> None:
    with pytest.raises(RecordError) as error:
        paragraphs(Row("a", {"context": context}))
    assert str(error.value).startswith(told)


def test_marks_are_known_or_they_are_not() -> None:
    def marked(facts: object) -> list[str] | None:
        return supporting(Row("a", {"supporting_facts": facts}), [ADA, PORT])

    assert marked([["Ada Quill", 1], ["Ada Quill", 0]]) == [ADA.id]
    assert marked({"title": ["Port Lumen", "Ada Quill"], "sent_id": [0, 0]}) == [ADA.id, PORT.id]
    assert marked(None) is None
    assert marked([]) is None
    assert marked([["Ada Quill", 0], ["Upper Elba", 0]]) is None, "what is not at hand may be needed"
    with pytest.raises(RecordError, match="a: field supporting_facts: expected a list of items with title and sent_id"):
        marked([["Ada Quill"]])


def test_an_empty_list_has_no_items() -> None:
    assert items(Row("a", {"steps": []}), "steps", ("question",)) == []
