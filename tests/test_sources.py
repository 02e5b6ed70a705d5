"""Corpora that people bring: files of several forms, data sets, Search-R1's contents; what is wrong is named with its place."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swirl.errors import ConfigError, RecordError, SwirlError
from swirl.retrieval.sources import count, passage, read_corpus
from swirl.rows import Row
from swirl.types import Passage

ROWS = [{"id": "a", "title": "Ada", "text": "A quill."}, {"id": "b", "title": "Bo", "text": "A marsh."}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def write_parquet(path: Path) -> None:
    from pyarrow import Table, parquet

    parquet.write_table(Table.from_pylist(ROWS), path)


FORMS: dict[str, Callable[[Path], object]] = {
    "corpus.jsonl": lambda path: path.write_bytes(LINES),
    "corpus.jsonl.gz": lambda path: path.write_bytes(gzip.compress(LINES)),
    "corpus.json": lambda path: path.write_text(json.dumps(ROWS)),
    "corpus.parquet": write_parquet,
}


def read(source: str) -> list[Passage]:
    return [passage(row, position) for position, row in enumerate(read_corpus(source)())]


@pytest.mark.parametrize("name", list(FORMS))
def test_a_corpus_is_read_from_any_form(name: str, tmp_path: Path) -> None:
    FORMS[name](tmp_path / name)
    assert read(str(tmp_path / name)) == [Passage("a", "Ada", "A quill."), Passage("b", "Bo", "A marsh.")]
    assert count(str(tmp_path / name)) == (2 if "jsonl" in name else 0)


def test_a_corpus_is_read_from_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.jsonl").write_bytes(LINES)
    assert [one.id for one in read(str(folder))] == ["a", "b"]
    with pytest.raises(ConfigError, match="cannot read the data set"):
        list(read_corpus(str(folder), "validation")())


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"_id": 7, "text": "A marsh."}, Passage("7", "", "A marsh.")),
        ({"text": "A marsh.", "title": None}, Passage("4", "", "A marsh.")),
        ({"id": "0", "contents": '"Port Lumen"\nA town.\nOld.'}, Passage("0", "Port Lumen", "A town.\nOld.")),
        ({"id": "0", "contents": '""Heroes" (song)"\nA song.'}, Passage("0", '"Heroes" (song)', "A song.")),
        ({"id": "0", "contents": "A town."}, Passage("0", "", "A town.")),
    ],
)
def test_what_a_row_leaves_out_is_filled_in(fields: dict[str, Any], wanted: Passage) -> None:
    assert passage(Row("c.jsonl:5", fields), 4) == wanted


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"id": "a", "title": "Ada"}, r"c\.jsonl:5: field text: expected a text, found nothing"),
        ({"id": "a", "title": 3, "text": "x"}, r"c\.jsonl:5: field title: expected a text, found 3"),
        ({"id": True, "text": "x"}, r"c\.jsonl:5: field id: expected a text or a number, found True"),
        ({"id": " ", "text": "x"}, r"c\.jsonl:5: field id: expected a text or a number, found ' '"),
        ({"id": "a", "contents": " "}, r"c\.jsonl:5: field contents: expected a text"),
    ],
)
def test_a_row_that_is_no_passage_is_named(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RecordError, match=sentence):
        passage(Row("c.jsonl:5", fields), 4)


@pytest.mark.parametrize("source", ["nowhere.jsonl", "./nowhere", "corpus.parquet"])
def test_a_file_that_is_not_there_is_no_data_set(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"expected a corpus at {source}, found nothing there"):
        read_corpus(source)


PACKED = gzip.compress(LINES * 500)


@pytest.mark.parametrize(
    "content", [PACKED[:-20], PACKED[:30] + b"\xff" * 20 + PACKED[50:]], ids=["cut off", "damaged"]
)
def test_a_packed_file_that_is_not_whole_is_named_by_whoever_reads_it(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl.gz"
    path.write_bytes(content)
    assert count(str(path)) == 0
    with pytest.raises(SwirlError, match="expected a whole file packed by gzip"):
        read(str(path))
