"""Each format's rows: of the shape that is documented, true to what is on record, and whole on disk whatever their texts are."""

import fcntl
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from exported import example, items
from swirl.decompose import decompose
from swirl.errors import RunFolderError
from swirl.exports import Format, Item, Row, Written, messages, parquet, sharegpt, verl
from swirl.exports.files import encoded, schema, whole, write_rows
from swirl.exports.formats import EXPORTS
from swirl.exports.metadata import Metadata
from swirl.types import Answer, Malformed, Question, Rules, Step, StopReason, ToolCall, Trajectory

FORMATS = list(EXPORTS.values())
OURS = [each for each in FORMATS if not each.name.startswith("trl-")]
CHECKS = {each.name: Draft202012Validator(schema(each.name)) for each in OURS}
SETTINGS = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])


def as_written(fmt: Format, *given_items: Item) -> list[Row]:
    """The rows as a reader of the file has them."""
    return [json.loads(encoded(row)[1]) for row in fmt.rows(iter(given_items))]


@pytest.mark.parametrize("fmt", OURS, ids=lambda fmt: fmt.name)
def test_the_schema_of_a_format_is_one_and_names_where_the_format_is_documented(fmt: Format) -> None:
    Draft202012Validator.check_schema(schema(fmt.name))
    assert fmt.name == "parquet" or "https://" in schema(fmt.name)["$comment"]


@pytest.mark.parametrize("fmt", OURS, ids=lambda fmt: fmt.name)
@SETTINGS
@given(st.lists(items(), max_size=2))
def test_every_row_is_of_the_shape_that_is_documented(fmt: Format, some: list[Item]) -> None:
    for row in as_written(fmt, *some):
        CHECKS[fmt.name].validate(row)
        if "swirl" in row:
            assert msgspec.json.decode(row["swirl"], type=Metadata).id in {item.trajectory.id for item in some}


@pytest.mark.parametrize("fmt", OURS, ids=lambda fmt: fmt.name)
def test_a_trajectory_without_a_step_has_nothing_to_teach(fmt: Format) -> None:
    asked = Question(id="q", task="t", text="?")
    empty = Trajectory(id="q/0", question=asked, rules=Rules(), stop=StopReason.CONTEXT_TOO_LONG)
    assert as_written(fmt, Item(empty)) == []
    assert len(as_written(fmt, Item(empty), example())) == len(as_written(fmt, example()))


def calls_of(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [call["function"] for call in message.get("tool_calls", [])]


@pytest.mark.parametrize("name", ["openai", "axolotl"])
@SETTINGS
@given(items())
def test_calls_are_function_calls_and_each_but_the_last_has_its_result(name: str, item: Item) -> None:
    for row in as_written(EXPORTS[name], item):
        told = row["messages"]
        assert told[-1]["role"] == "assistant"
        for before, after in pairwise(told):
            if calls_of(before):
                assert (after["role"], after["tool_call_id"]) == ("tool", before["tool_calls"][0]["id"])
            else:
                assert after["role"] != "tool"
        made = [step.action.tool for step in item.trajectory.steps if isinstance(step.action, ToolCall)]
        assert [function["name"] for message in told for function in calls_of(message)] == made
        assert all(json.loads(function["arguments"]) for message in told for function in calls_of(message))
        defined = [tool["function"]["name"] for tool in row.get("tools", [])]
        assert set(defined) == {*item.trajectory.rules.tools, *made}


def test_a_chat_with_calls_is_told_to_call_and_one_with_tags_to_write_tags() -> None:
    [called], [tagged] = as_written(EXPORTS["openai"], example()), as_written(EXPORTS["messages"], example())
    assert "<math_exp>" not in json.dumps(called["messages"])
    assert "call it" in called["messages"][0]["content"]
    assert "<math_exp>your expression</math_exp>" in tagged["messages"][0]["content"]
    assert [message["content"] for message in tagged["messages"][1:]] == [
        "Twice three. <math_exp>2 * 3</math_exp>",
        "2 * 3 -> 6",
        "So <answer>6</answer>",
    ]
    assert [message["content"] for message in called["messages"][1:]] == ["Twice three.", "6", "So <answer>6</answer>"]


def test_the_tools_of_another_program_are_exported_as_they_are_known() -> None:
    step = Step(text="", action=ToolCall("browse", "x", "c9", '{"url": "x"}'))
    other = Trajectory(id="q/0", question=Question(id="q", task="t", text="?"), rules=Rules(), steps=(step,))
    for fmt in OURS:
        assert as_written(fmt, Item(other))
    [row] = as_written(EXPORTS["openai"], Item(other))
    assert calls_of(row["messages"][1]) == [{"name": "browse", "arguments": '{"url": "x"}'}]
    assert row["tools"][0]["function"]["name"] == "browse"


@SETTINGS
@given(items())
def test_sharegpt_alternates_and_its_calls_are_json_after_the_thought(item: Item) -> None:
    for row in as_written(sharegpt.FORMAT, item):
        told = row["conversations"]
        assert len(told) % 2 == 0
        assert all(turn["from"] in ("human", "observation") for turn in told[::2])
        assert all(turn["from"] in ("gpt", "function_call") for turn in told[1::2])
        for turn in told:
            if turn["from"] == "function_call":
                thought, _, call = turn["value"].rpartition("\n</think>\n\n")
                assert set(json.loads(call)) == {"name", "arguments"}
                assert turn["value"].count("think>") == (2 if thought else 0)
        assert isinstance(json.loads(row["tools"]), list)


@SETTINGS
@given(items())
def test_verl_has_the_prompt_of_every_state_and_labels_from_the_verdicts_alone(item: Item) -> None:
    rows = as_written(verl.FORMAT, item)
    states = decompose(item.trajectory)
    assert len(rows) == len(states)
    for index, (row, state) in enumerate(zip(rows, states, strict=True)):
        assert row["prompt"] == [json.loads(encoded(turn)[1]) for turn in messages.turns(state)]
        assert row["prompt"][-1]["role"] == "user"
        assert row["extra_info"]["index"] == index
        verdict = item.verdicts[index] if item.verdicts else None
        assert row["extra_info"]["score"] == (verdict.score if verdict else None)
        assert (row["reward_model"]["style"] == "rule") == bool(item.trajectory.question.answers)


@SETTINGS
@given(items())
def test_the_flat_table_holds_all_steps(item: Item) -> None:
    rows = [row for row in parquet.FORMAT.rows([item])]
    for row, step in zip(rows, item.trajectory.steps, strict=True):
        match row["action"]:
            case "tool_call":
                action: object = (row["tool"], row["content"])
                assert isinstance(step.action, ToolCall)
                assert action == (step.action.tool, step.action.arguments)
            case "answer":
                assert step.action == Answer(row["content"])
            case _:
                assert step.action == Malformed(row["content"])
        assert (row["text"], row["thinking"]) == (step.text, step.thinking)
        assert row["observation"] == (step.observation.text if step.observation else None)


HOSTILE = ["\x00\x07\x1b[31m", "\ud800 half", "\udc00\ud800", "\u2028\u2029\x85\r\n\r", "🙂", '"}\n{"', "x" * 1_500_000]


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_no_text_breaks_a_file(fmt: Format, tmp_path: Path) -> None:
    some = [example(f"q{place}/0", text) for place, text in enumerate(HOSTILE)]
    path = tmp_path / f"rows.{fmt.kind}"
    count = write_rows(fmt, fmt.rows(some), path)
    assert count == len(list(fmt.rows(some)))
    if fmt.kind == "parquet":
        found = pyarrow.parquet.read_table(path).to_pylist()
    else:
        found = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    assert found == as_written(fmt, *some)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_half_characters_are_replaced_and_whole_ones_are_kept() -> None:
    row = {"\ud83d\ude42": ["a\ud800b", ("\udc00", 1, None)]}
    assert json.loads(encoded(row)[1]) == {"🙂": ["a\ufffdb", ["\ufffd", 1, None]]}


def test_parquet_is_written_in_groups_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swirl.exports.files._ROWS", 3)
    path = tmp_path / "rows.parquet"
    assert write_rows(parquet.FORMAT, parquet.FORMAT.rows([example(f"q{i}/0") for i in range(5)]), path) == 10
    assert pyarrow.parquet.ParquetFile(path).metadata.num_row_groups == 4
    monkeypatch.setattr("swirl.exports.files._BYTES", 1)
    write_rows(parquet.FORMAT, parquet.FORMAT.rows([example()]), path)
    assert pyarrow.parquet.ParquetFile(path).metadata.num_row_groups == 2


def test_rows_are_made_while_items_are_read() -> None:
    read: list[int] = []

    def some() -> Any:
        for number in range(9):
            read.append(number)
            yield example(f"q{number}/0")

    for fmt in OURS:
        read.clear()
        next(iter(fmt.rows(some())))
        assert len(read) == 1, fmt.name


@pytest.mark.parametrize("error", [KeyboardInterrupt, RunFolderError("stale"), ValueError("?")])
@pytest.mark.parametrize("fmt", [EXPORTS["openai"], EXPORTS["verl"]], ids=lambda fmt: fmt.name)
def test_an_export_that_ends_early_leaves_what_was_there(fmt: Format, error: Any, tmp_path: Path) -> None:
    def broken() -> Any:
        yield from fmt.rows([example()])
        raise error

    path = tmp_path / "rows"
    path.write_text("before")
    with pytest.raises(error if isinstance(error, type) else type(error)):
        write_rows(fmt, broken(), path)
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["rows"]


def test_what_a_killed_export_left_is_removed_and_what_another_writes_is_not(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from swirl.exports.files import whole
with whole(Path({str(tmp_path / "rows")!r})) as stream:
    stream.write(b"half")
    stream.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    assert left.suffix == ".part"
    other = tmp_path / "rows.1.part"
    with other.open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with whole(tmp_path / "rows") as out:
            out.write(b"all")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "rows", other]


def test_a_file_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="cannot write"), whole(tmp_path / "file" / "rows"):
        pass


def test_a_card_says_what_it_is_and_every_column_and_no_text_breaks_it() -> None:
    written = Written("a|b\n---", "data.parquet", 9, 3, True, {"policy": "x | y\n# z"})
    told = parquet.card(written)
    assert told.count("\n---\n") == 1
    assert r"| policy | x \| y # z |" in told
    assert all(f"| `{name}` | " in told for name in schema("parquet")["properties"])
    assert "\n# license:\n" in told
    assert json.loads(sharegpt.dataset_info(written))["a|b\n---"]["formatting"] == "sharegpt"
