"""Files that people bring: each kind gives the same rows, and what is wrong with one is said with its place."""

import gzip
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from swirl.errors import ConfigError, RecordError
from swirl.rows import Row, by_id, read_rows

ROWS = [{"id": "a", "text": "Österreich"}, {"id": "b", "text": "x", "more": [1, {"y": None}]}]
LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode()
DOCUMENT = json.dumps(ROWS).encode()
TABLE = json.dumps({"version": "1.0", "data": ROWS, "split": "dev"}).encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.jsonl", LINES),
        ("r.jsonl.gz", LINES),
        ("r.json", DOCUMENT),
        ("r.json.gz", DOCUMENT),
        ("r.json", TABLE),
        ("r.json", LINES),
        ("r", LINES),
    ],
)
def test_every_kind_of_file_gives_the_same_rows(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert [row.fields for row in read_rows(path)] == ROWS


def test_parquet_gives_rows_too(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet.write_table(arrow.Table.from_pylist([{"id": "a", "ids": ["p", "q"]}]), tmp_path / "r.parquet")
    [row] = read_rows(tmp_path / "r.parquet")
    assert (row.place, row.fields) == (f"{tmp_path / 'r.parquet'}, row 1", {"id": "a", "ids": ["p", "q"]})


def test_parquet_may_hold_what_json_does_not(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    fields = {"id": "a", "when": datetime(2020, 1, 1), "raw": b"\xff", "price": Decimal("1.50")}
    parquet.write_table(arrow.Table.from_pylist([fields]), tmp_path / "r.parquet")
    assert [row.fields for row in read_rows(tmp_path / "r.parquet")] == [fields]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("r.jsonl", b"", "expected at least one JSON object, found an empty file"),
        ("r.json", b" ", "expected at least one JSON object, found an empty file"),
        ("r.json", b"[]", "expected at least one JSON object, found an empty file"),
        ("r.jsonl", LINES[:-3], r"r.jsonl:2: expected one JSON object, .* is the line cut off\?"),
        ("r.json", DOCUMENT[:-3], "r.json: expected JSON, .* is the file cut off"),
        ("r.json", TABLE[:-3], "r.json: expected JSON, .* is the file cut off"),
        ("r.json", DOCUMENT + b"]", "r.json: expected JSON, found b']' .more after the end"),
        ("r.json", b"{[1]: 2}", "r.json: expected a JSON object, found a field whose name is no text"),
        ("r.json", b"5", "r.json: expected a JSON list of objects, or one under `data`, found 5"),
        ("r.json", b'{"data": 5}', "r.json: expected a JSON list of objects, or one under `data`, found {'data': 5}"),
        ("r.json", b'{"rows": []}', "r.json: expected a JSON list of objects, or one under `data`, found {'rows'"),
        ("r.json", b'[{"id": 1}, 2]', "r.json, row 2: expected one JSON object, found 2"),
        (
            "r.jsonl.gz",
            gzip.compress(LINES, mtime=0)[:-12],
            "expected a whole file packed by gzip, found .*; copy it again",
        ),
        ("r.jsonl.gz", LINES, "expected a whole file packed by gzip, found .*; copy it again"),
        ("r.parquet", b"PAR1", "r.parquet: expected a Parquet file, found none that can be read"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordError, match=told):
        list(read_rows(tmp_path / name))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a file of rows at .*none.json, .*No such file"):
        list(read_rows(tmp_path / "none.json"))


def test_rows_are_read_one_at_a_time(tmp_path: Path) -> None:
    """What is wrong further down does not matter yet."""
    (tmp_path / "r.jsonl").write_bytes(LINES + b"\n{broken")
    (tmp_path / "r.json").write_bytes(DOCUMENT[:-1] + b", {broken")
    for name, place in (("r.jsonl", r"r\.jsonl:3"), ("r.json", r"r\.json: .* is the file cut off")):
        rows = read_rows(tmp_path / name)
        assert [next(rows).fields["id"] for _ in range(2)] == ["a", "b"]
        with pytest.raises(RecordError, match=place):
            next(rows)


def test_ids_differ() -> None:
    with pytest.raises(RecordError, match=r"'a' stands at .* too; ids must differ"):
        list(by_id([*_rows("a", "b"), *_rows("a")]))


def _rows(*names: str) -> list[Row]:
    return [Row(f"r.jsonl:{number}", {"id": name}) for number, name in enumerate(names, start=1)]
