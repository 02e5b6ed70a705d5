"""JSON read value by value is JSON, whatever it is cut into."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl import documents
from swirl.documents import Document
from swirl.errors import RecordError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def items(text: bytes) -> list[object]:
    document, found = Document("a.json", io.BytesIO(text)), []
    document.expect("[")
    while not document.skip("]"):
        found.append(document.value())
        if document.peek() != "]":
            document.expect(",")
    document.end()
    return found


@settings(deadline=None, max_examples=60)
@given(VALUES, st.lists(VALUES, max_size=4), st.integers(1, 7), st.booleans())
def test_what_is_read_in_pieces_is_what_was_written(
    first: object, others: list[object], size: int, ascii: bool
) -> None:
    values = [first, *others]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "_CHUNK", size)
        assert items(json.dumps(values, ensure_ascii=ascii, indent=1).encode()) == values


def test_a_list_is_not_read_further_than_asked() -> None:
    rows = [{"id": place, "text": "x" * 1000} for place in range(5000)]
    file = io.BytesIO(json.dumps(rows).encode())
    document = Document("a.json", file)
    document.expect("[")
    assert document.value() == rows[0]
    assert file.tell() < len(file.getvalue()) / 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"[1 2]", "no ',' after what comes before"),
        (b'["a', "Unterminated string"),
        (b"[1] 2", "more after the end"),
        (b'["\xff"]', "expected UTF-8, found byte 0xff near byte 2; save the file as UTF-8"),
        (b"[" * 100_000, "recursion"),
    ],
)
def test_what_is_no_json_is_said(text: bytes, told: str) -> None:
    with pytest.raises(RecordError) as error:
        items(text)
    assert str(error.value).startswith("a.json: expected")
    assert told in str(error.value)


def test_a_byte_order_mark_is_no_part_of_it() -> None:
    assert items(b"\xef\xbb\xbf[1]") == [1]
