"""Rows through `datasets`: exercised on folders laid out as on the hub; nothing is fetched."""

import json
import sys
from pathlib import Path

import pytest

from official_rows import CONTEXT, HOTPOTQA, MUSIQUE, TWO_WIKI
from swirl.catalog import open_task
from swirl.errors import ConfigError, MissingExtra
from swirl.tasks.hub import default_location, hub_rows, is_path

datasets = pytest.importorskip("datasets", reason="datasets is not installed")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")

CARD = """---
configs:
- config_name: distractor
  data_files:
  - split: train
    path: distractor/train-*
  - split: validation
    path: distractor/validation-*
---
"""


pytestmark = pytest.mark.usefixtures("own_cache")


def columns(row: dict[str, object], body: str) -> dict[str, object]:
    """A row of HotPotQA's form as it stands on the hub: lists of pairs are tables of columns."""
    titles, ids = zip(*row["supporting_facts"], strict=True)
    return {
        **{key: row[key] for key in ("question", "answer", "type", "level") if key in row},
        "supporting_facts": {"title": list(titles), "sent_id": list(ids)},
        "context": {"title": [title for title, _ in CONTEXT], body: [text for _, text in CONTEXT]},
    }


def lay_out(folder: Path, name: str, *rows: dict[str, object]) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(arrow.Table.from_pylist(list(rows)), path)
    return folder


def test_hotpotqa_as_it_stands_on_the_hub(tmp_path: Path) -> None:
    row = columns(HOTPOTQA, "sentences")
    folder = lay_out(
        tmp_path / "copy",
        "distractor/train-0.parquet",
        {"id": "t", **row, "level": "medium"},
        {"id": "e", **row, "level": "easy"},
    )
    lay_out(folder, "distractor/validation-0.parquet", {"id": HOTPOTQA["_id"], **row})
    (folder / "README.md").write_text(CARD)
    (tmp_path / "official.json").write_text(json.dumps([HOTPOTQA]))
    opened, official = open_task(f"hotpotqa:{folder}"), open_task(f"hotpotqa:{tmp_path / 'official.json'}")
    assert list(opened.questions("test")) == list(official.questions("test"))
    assert [question.id for question in opened.questions("train")] == ["hotpotqa-t"]
    assert opened.passages() == official.passages()


def test_2wiki_as_it_stands_on_the_hub(tmp_path: Path) -> None:
    row = {"_id": TWO_WIKI["_id"], **columns(TWO_WIKI, "content")}
    folder = lay_out(tmp_path / "copy", "data/validation-0.parquet", row)
    lay_out(folder, "data/train-0.parquet", row)
    (tmp_path / "official.json").write_text(json.dumps([TWO_WIKI]))
    opened, official = open_task(f"2wiki:{folder}"), open_task(f"2wiki:{tmp_path / 'official.json'}")
    assert list(opened.questions("test")) == list(official.questions("test"))


def test_musique_as_it_stands_on_the_hub(tmp_path: Path) -> None:
    """There it is the official files: `datasets` takes the one named dev for the validation split."""
    for split in ("train", "dev"):
        (tmp_path / f"musique_ans_v1.0_{split}.jsonl").write_text(json.dumps(MUSIQUE) + "\n")
    [row] = hub_rows(str(tmp_path), None, "validation", "musique")
    assert row.place == f"{tmp_path}, validation, row 0"
    assert {key: row.fields[key] for key in MUSIQUE} == MUSIQUE


def test_a_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "copy", "data/train-0.parquet", columns(TWO_WIKI, "content"))
    with pytest.raises(
        ConfigError, match=r"cannot read .*copy from the Hugging Face hub \(.*\); name a .*: 2wiki:FOLDER"
    ):
        list(open_task(f"2wiki:{folder}").questions("test"))


@pytest.mark.parametrize("name", ["gsm8k", "hotpotqa"])
def test_without_datasets_it_is_said_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWIRL_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=rf"pip install 'swirl-rl\[hub\]'; or name a local folder: {name}:FOLDER"):
        list(open_task(name).questions("train"))


def test_a_folder_that_is_there_is_no_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not is_path("data/mine")
    Path("data/mine").mkdir(parents=True)
    assert is_path("data/mine")


def test_without_the_variable_no_folder_here_is_taken_for_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("missing/hotpotqa", "hotpotqa"):
        Path(folder).mkdir(parents=True)
    for unset in ("", None):
        monkeypatch.setenv("SWIRL_DATA", unset) if unset is not None else monkeypatch.delenv("SWIRL_DATA")
        assert default_location("hotpotqa", "hotpotqa/hotpot_qa") == "hotpotqa/hotpot_qa"
