"""Paragraphs as the published data sets write them, and which of them a question needs.

One thing is written in several ways: `[[title, sentences], ...]` in HotPotQA's files, `{"title": [...], "sentences": [...]}` on the hub,
`[{"title": ..., "paragraph_text": ...}, ...]` in MuSiQue's. A paragraph's id is a digest of its title and text, so that equal paragraphs
of two questions are one passage.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from swirl.errors import RecordError
from swirl.rows import Row
from swirl.types import Passage

_BODIES = ("sentences", "content", "paragraph_text", "text")
"""What the field is called that holds a paragraph's text, or its sentences."""


def passage(title: str, text: str) -> Passage:
    """A paragraph under the id that its words give it; white space is no word.

    >>> passage("Ada Quill", "Born in 1912.  A poet.") == passage("Ada Quill", "Born in 1912. A poet.")
    True
    """
    title, text = " ".join(title.split()), " ".join(text.split())
    digest = blake2b(f"{title}\n{text}".encode(), digest_size=8).hexdigest()
    return Passage(f"p{digest}", title, text)


def paragraphs(row: Row, field: str = "context") -> list[Passage]:
    """The paragraphs that a row carries, in order; sentences are joined by a space.

    >>> row = Row("dev.json, row 1", {"context": [["Ada Quill", ["Born in 1912.", " A poet."]]]})
    >>> [(one.title, one.text) for one in paragraphs(row)]
    [('Ada Quill', 'Born in 1912. A poet.')]
    """
    return [passage(item.text("title"), _body(item)) for item in items(row, field, ("title", "sentences"))]


def _body(item: Row) -> str:
    field = next((name for name in _BODIES if name in item.fields), _BODIES[0])
    value = item.fields.get(field)
    listed = value if isinstance(value, list) else [value]
    sentences = [sentence for sentence in listed if isinstance(sentence, str)]
    if len(sentences) != len(listed):
        raise RecordError(f"{item.place}: field {field}: expected a text or a list of sentences, found {_shown(value)}")
    return " ".join(sentences)


def items(row: Row, field: str, names: Sequence[str]) -> list[Row]:
    """The items of a field as rows of their own, whichever way they are written; `names` are for items that are mere lists.

    >>> written = ([["Ada", 0]], [{"title": "Ada", "sent_id": 0}], {"title": ["Ada"], "sent_id": [0]})
    >>> [items(Row("a", {"facts": value}), "facts", ("title", "sent_id"))[0].fields for value in written]
    [{'title': 'Ada', 'sent_id': 0}, {'title': 'Ada', 'sent_id': 0}, {'title': 'Ada', 'sent_id': 0}]
    """
    value = row.fields.get(field)
    listed = _transposed(value) if isinstance(value, Mapping) else value
    tables = [_table(item, names) for item in listed] if isinstance(listed, list) else [None]
    if None in tables:
        raise RecordError(
            f"{row.place}: field {field}: expected a list of items with {' and '.join(names)}, found {_shown(value)}"
        )
    return [
        Row(f"{row.place}, {field} {place}", table) for place, table in enumerate(tables, start=1) if table is not None
    ]


def _transposed(columns: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """A table of columns as a list of rows; None where the columns are no lists of one length."""
    lengths = {len(column) if isinstance(column, list) else -1 for column in columns.values()}
    if len(lengths) != 1 or -1 in lengths:
        return None
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _table(item: object, names: Sequence[str]) -> dict[str, Any] | None:
    if isinstance(item, Mapping):
        return dict(item)
    return dict(zip(names, item, strict=True)) if isinstance(item, list) and len(item) == len(names) else None


def supporting(row: Row, passages: Sequence[Passage]) -> list[str] | None:
    """Ids of the paragraphs that `supporting_facts` names by title. None where a row marks nothing, or marks a paragraph that it does not
    carry, as HotPotQA's fullwiki file does: what a question needs is then not known.

    >>> ada, port = passage("Ada", "A poet."), passage("Port", "A town.")
    >>> supporting(Row("a", {"supporting_facts": [["Port", 0], ["Port", 2]]}), [ada, port]) == [port.id]
    True
    """
    if row.fields.get("supporting_facts") is None:
        return None
    facts = items(row, "supporting_facts", ("title", "sent_id"))
    titles = {" ".join(fact.text("title").split()) for fact in facts}
    if not titles or not titles <= {one.title for one in passages}:
        return None
    return [one.id for one in passages if one.title in titles]


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)[:60]
