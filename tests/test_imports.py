"""Traces of other tools as trajectories: what the tools' own files give, and why what cannot be mapped is not."""

import contextlib
import gzip
import json
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl.decompose import decompose
from swirl.errors import ConfigError, RecordError
from swirl.imports import CannotMap, Format, Reading, Source, Target, Trace, Unmapped, lines, packed
from swirl.imports.calls import targets
from swirl.imports.formats import FORMATS, fields, named
from swirl.imports.inspect_log import FORMAT as INSPECT
from swirl.imports.mapping import mapped as as_trajectory
from swirl.imports.messages import trajectory
from swirl.imports.openai import FORMAT as OPENAI
from swirl.imports.tagged import FORMAT as TAGGED
from swirl.imports.verifiers import FORMAT as VERIFIERS
from swirl.protocol import parse, render
from swirl.types import Answer, StopReason, ToolCall, Trajectory

FILES = Path(__file__).parent / "fixtures" / "imports"
USER = {"role": "user", "content": "What is 3 * 14?"}
SIX = {"role": "assistant", "content": "<answer>42</answer>"}


def call(name: str, arguments: Any, call_id: str = "c1", said: str | None = None) -> dict[str, Any]:
    made = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": said, "tool_calls": [made]}


def result(content: str, call_id: str = "c1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


CALLED = [USER, call("calculator", '{"expression": "3 * 14"}', said="Let me see."), result("42"), SIX]


def read(path: Path, form: Format, reading: Reading | None = None) -> tuple[list[Trajectory], list[Unmapped]]:
    """What a file gives, and what of it cannot be mapped."""
    mapped: list[Trajectory] = []
    listed: list[Unmapped] = []
    reading = reading or Reading()
    for each in form.read(Source(path), reading):
        if isinstance(each, Unmapped):
            listed.append(each)
            continue
        try:
            mapped.append(as_trajectory(each, reading))
        except CannotMap as why:
            listed.append(why.at(each.place))
    return mapped, listed


def rows(folder: Path, *told: Mapping[str, Any]) -> Path:
    file = folder / "traces.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in told))
    return file


def shape(mapped: Trajectory) -> list[str]:
    """Each action, and what it brought."""
    told = []
    for step in mapped.steps:
        if isinstance(step.action, ToolCall):
            seen = step.observation
            told.append(f"{step.action.tool}({step.action.arguments}) -> {seen.text[:20] if seen else None}")
        elif isinstance(step.action, Answer):
            told.append(step.action.text)
    return told


def test_the_results_of_verifiers_are_trajectories_and_its_parallel_calls_are_listed() -> None:
    mapped, listed = read(FILES / "verifiers-results.jsonl", VERIFIERS)
    assert [shape(each) for each in mapped[::2]] == [
        ["search(Ada Quill born) -> Ada Quill: Ada Quill", "Port Lumen"],
        ["calculator(three * 14) -> not an expression", "calculator(3 * 14) -> 42", "42"],
        ["calculator(3 * 14) -> 42", "calculator(3 * 14) -> 42", "calculator(3 * 14) -> None"],
    ]
    assert [each.stop for each in mapped[::2]] == [StopReason.ANSWERED, StopReason.ANSWERED, StopReason.CUT_OFF]
    assert mapped[0].question.answers == ("Port Lumen",)
    assert mapped[0].rules.tools == ("search", "calculator"), "both were on offer"
    assert mapped[0].steps[0].text == "Let me see. <search_query>Ada Quill born</search_query>"
    assert [(each.place.rpartition(":")[2], each.why) for each in listed] == [
        ("5", "several calls at once: a step holds one"),
        ("6", "several calls at once: a step holds one"),
    ]


def test_the_traces_of_verifiers_are_trajectories_and_branches_are_listed() -> None:
    mapped, [branch] = read(FILES / "verifiers-traces.jsonl", VERIFIERS)
    assert [shape(each) for each in mapped] == [
        ["search(Ada Quill born) -> Ada Quill: Ada Quill", "Port Lumen"],
        ["calculator(3 * 14) -> 42"],
    ]
    first = mapped[0]
    assert (first.question.id, first.policy, first.steps[0].thinking) == ("ours-ours/0", "scripted", "I should look.")
    assert "branches off" in branch.why


def test_a_log_of_inspect_is_read_from_its_archive() -> None:
    mapped, listed = read(FILES / "inspect.eval", INSPECT)
    assert [shape(each) for each in mapped] == [
        ["search(Ada Quill born) -> Ada Quill: Ada Quill", "Port Lumen"],
        ["calculator(three * 14) -> not an expression", "calculator(3 * 14) -> 42", "42"],
    ]
    refused = mapped[1].steps[0].observation
    assert refused is not None
    assert refused.refused, "an error of a tool"
    assert mapped[1].question.id == "two_tools-2"
    assert mapped[1].question.answers == ("42", "forty-two")
    assert mapped[1].policy == "mockllm/model"
    assert len(mapped[0].steps[0].observation.text) > 200, "long texts are attachments"  # type: ignore[union-attr]
    parallel, plain = listed
    assert parallel.place.endswith("samples/parallel_epoch_1.json (parallel, epoch 1)")
    assert parallel.why == "several calls at once: a step holds one"
    assert "--answer reads other forms" in plain.why


def test_a_log_of_our_own_tasks_holds_the_trajectories_whole() -> None:
    mapped, listed = read(FILES / "inspect-ours.eval", INSPECT)
    assert not listed
    first, other = sorted(mapped, key=lambda each: each.question.id, reverse=True)
    assert (shape(first), shape(other)) == (["calculator(2 * 3) -> 6", "6"], ["-1"])
    assert first.question.text == "What is 2 * 3?", "and no instructions"
    assert (first.question.task, first.question.id, first.policy) == ("jsonl", "six", "mockllm/model")
    assert (first.rules.tools, first.stop) == (("calculator",), StopReason.ANSWERED)


def test_a_record_that_is_none_of_ours_is_listed() -> None:
    with pytest.raises(CannotMap, match="its metadata swirl is no trajectory of ours"):
        as_trajectory(Trace("a.eval", [USER, SIX], record={"steps": [1]}), Reading())


def test_agents_of_inspect_submit_their_answers() -> None:
    [reacting], _ = read(FILES / "inspect-react.eval", INSPECT, Reading(answer="message"))
    [basic], _ = read(FILES / "inspect-basic.json", INSPECT, Reading(tools=targets(["submit=answer"])))
    assert shape(reacting) == shape(basic) == ["calculator(3 * 14) -> 42", "42"]
    assert basic.steps[-1].text == "<answer>42</answer>"
    assert basic.stop is StopReason.ANSWERED


def test_a_submission_that_no_map_names_is_a_call_of_a_tool_that_is_none_of_ours() -> None:
    [basic], _ = read(FILES / "inspect-basic.json", INSPECT)
    assert shape(basic)[-1] == "submit(42) -> 42"
    assert basic.stop is StopReason.CUT_OFF


@pytest.mark.parametrize("name", ["verifiers-results.jsonl", "verifiers-traces.jsonl", "inspect.eval"])
def test_what_is_mapped_reads_as_itself_in_our_grammar_and_can_be_rendered(name: str) -> None:
    form = VERIFIERS if name.startswith("verifiers") else INSPECT
    mapped, _ = read(FILES / name, form)
    for each in mapped:
        assert all(render(state).messages for state in decompose(each))
        for step in each.steps:
            read_again = parse(step.text)
            assert getattr(read_again, "arguments", None) == getattr(step.action, "arguments", None)
            assert getattr(read_again, "text", None) == getattr(step.action, "text", None)


def test_a_chat_of_openai_keeps_what_came_from_the_server(tmp_path: Path) -> None:
    row = {
        "messages": CALLED,
        "id": 7,
        "answer": [42, "forty-two"],
        "model": "gpt",
        "tools": [{"function": {"name": "search"}}],
    }
    [mapped], [] = read(rows(tmp_path, row), OPENAI)
    assert mapped.question.id == "7"
    assert mapped.question.answers == ("42", "forty-two")
    assert mapped.policy == "gpt"
    assert mapped.rules.tools == ("search", "calculator"), "what was on offer, and what was called"
    assert mapped.steps[0].action == ToolCall("calculator", "3 * 14", "c1", '{"expression": "3 * 14"}')
    assert mapped.steps[0].text == "Let me see. <math_exp>3 * 14</math_exp>"


def test_contents_may_be_parts_and_reasoning_is_kept_apart(tmp_path: Path) -> None:
    said = {
        "role": "assistant",
        "reasoning": "Hm.",
        "content": [{"type": "text", "text": "So"}, {"type": "text", "text": "<answer>6</answer>"}],
    }
    [mapped], [] = read(
        rows(tmp_path, {"messages": [{"role": "developer", "content": "Be brief."}, USER, said]}), OPENAI
    )
    [step] = mapped.steps
    assert (step.text, step.thinking) == ("So\n<answer>6</answer>", "Hm.")


WRONG: list[tuple[list[Any], str]] = [
    ([], "expected a message of the user, the question, first"),
    ([SIX], "expected a message of the user, the question, first"),
    ([USER], "expected a message of the assistant, found none"),
    ([{"role": "user", "content": " "}, SIX], "expected a question in the first message of the user"),
    ([USER, SIX, USER], "expected nothing after the answer"),
    ([*CALLED[:3], USER, SIX], "a second message of the user: a trajectory has one question"),
    ([USER, USER, SIX], "a second message of the user: a trajectory has one question"),
    ([USER, result("42"), SIX], "a result that no call asked for"),
    ([*CALLED[:3], result("43"), SIX], "a result that no call asked for"),
    ([*CALLED[:2], SIX], "expected the result of the call before it"),
    ([*CALLED[:2], result("42", "c2"), SIX], "the result of another call than the one before it"),
    ([USER, {"role": "system", "content": "?"}, SIX], "expected system messages at the beginning alone"),
    ([USER, {"role": "assistant", "content": "It is 42."}], "expected the answer in its tag"),
    ([USER, {"role": "assistant", "content": "<math_exp>6</math_exp>"}], "expected a call of a tool as a call"),
    ([USER, {"role": "assistant", "content": None, "refusal": "No."}], "a refusal, which is no step"),
    ([USER, {"role": "assistant", "function_call": {"name": "search"}}], "a call in the form before tool_calls"),
    ([USER, {"role": "function", "content": "6"}], "a message with none of the roles"),
    ([USER, {"role": "assistant", "content": 6}], "a content that is neither a text nor a list of parts"),
    ([USER, {"role": "assistant", "content": [{"type": "image_url"}]}], "a part of a message that is no text"),
    ([USER, {"role": "assistant", "content": "", "tool_calls": "search"}], "tool_calls that are no list"),
    ([USER, {"role": "assistant", "content": "", "tool_calls": [6]}], "expected a tool call, a table"),
    ([USER, {"role": "assistant", "tool_calls": [{"function": {}}]}], "expected the name of a tool in its call"),
    (["What is 3 * 14?"], "a message that is no table with role and content"),
    ([USER, call("search", None), result("")], "expected the arguments of search in JSON"),
    ([USER, call("search", "{"), result("")], "a call is no valid JSON"),
    ([USER, call("search", "[" * 100_000), result("")], "a call is no valid JSON"),
    ([USER, call("search", "[]"), result("")], "expected the arguments of search as a table"),
    ([USER, call("search", '{"query": 6}'), result("")], "expected a text as the argument query of search"),
    ([USER, call("search", '{"q": "Ada", "k": "3"}'), result("")], "by --map search=search:ARGUMENT"),
    ([USER, call("search", '{"query": "</search_query>"}'), result("")], "holds a tag of our own"),
    ([USER, call("search", '{"query": "Ada"}', said="<answer>6</answer>"), result("")], "holds a tag of our own"),
]


@pytest.mark.parametrize(("messages", "why"), WRONG, ids=[why for _, why in WRONG])
def test_what_is_no_trajectory_is_listed_with_the_reason(messages: list[Any], why: str, tmp_path: Path) -> None:
    mapped, [listed] = read(rows(tmp_path, {"messages": messages}), OPENAI)
    assert not mapped
    assert why in listed.why
    assert listed.place == f"{tmp_path / 'traces.jsonl'}:1"


def test_more_calls_than_the_cap_are_listed(tmp_path: Path) -> None:
    file = rows(tmp_path, {"messages": CALLED})
    assert read(file, OPENAI, Reading(max_calls=1))[0]
    [listed] = read(file, OPENAI, Reading(max_calls=0))[1]
    assert "generate.max_calls" in listed.why


def test_a_map_says_what_a_tool_is_here_and_which_argument_counts(tmp_path: Path) -> None:
    file = rows(tmp_path, {"messages": [USER, call("web", '{"q": "Ada", "k": 3}'), result("A clerk."), SIX]})
    [mapped], [] = read(file, OPENAI, Reading(tools={"web": Target("search", "q")}))
    assert shape(mapped) == ["search(Ada) -> A clerk.", "42"]
    assert mapped.rules.tools == ("search",)
    assert mapped.steps[0].action.raw == '{"q": "Ada", "k": 3}'  # type: ignore[union-attr]


def test_another_tool_keeps_its_name_and_is_not_on_offer(tmp_path: Path) -> None:
    [mapped], [] = read(
        rows(tmp_path, {"messages": [USER, call("web", '{"q": "Ada", "k": 3}'), result("?"), SIX]}), OPENAI
    )
    assert shape(mapped)[0] == 'web({"q": "Ada", "k": 3}) -> ?'
    assert "<tool_call>" in mapped.steps[0].text
    assert mapped.rules.tools == ()


@pytest.mark.parametrize(
    ("said", "form", "text"),
    [
        ("Port Lumen\n", "message", "<answer>Port Lumen</answer>"),
        (r"It is $\boxed{\frac{1}{2}}$, I \boxed{think}. So \boxed{\frac{3}{4}}.", "boxed", None),
        ("It may be.\nANSWER: Port Lumen ", "line", "It may be. <answer>Port Lumen</answer>"),
        ("**Answer**: 6", "line", "<answer>6</answer>"),
    ],
)
def test_answers_are_read_in_the_form_that_is_named(said: str, form: Any, text: str | None, tmp_path: Path) -> None:
    file = rows(tmp_path, {"messages": [USER, {"role": "assistant", "content": said}]})
    [mapped], [] = read(file, OPENAI, Reading(answer=form))
    assert mapped.steps[0].text == (text or rf"{said} <answer>\frac{{3}}{{4}}</answer>")


@pytest.mark.parametrize(
    ("form", "sought"), [("boxed", r"\boxed{}"), ("line", "a line ANSWER: ..."), ("message", "a text")]
)
def test_a_message_without_an_answer_in_that_form_is_listed(form: Any, sought: str, tmp_path: Path) -> None:
    said = r"\boxed{6" if form == "boxed" else " "
    [listed] = read(
        rows(tmp_path, {"messages": [USER, {"role": "assistant", "content": said}]}), OPENAI, Reading(answer=form)
    )[1]
    assert sought in listed.why


def test_a_text_of_search_r1_is_a_trajectory(tmp_path: Path) -> None:
    text = (
        "<think>First the birthplace.</think>\n<search> Ada Quill born </search>\n\n<information>Doc 1(Title: Ada Quill) "
        "Born in Port Lumen.</information>\n\n<think>That is it.</think><answer> Port Lumen </answer>"
    )
    [mapped], [] = read(
        rows(tmp_path, {"question": "Where was she born?", "text": text, "answer": "Port Lumen"}), TAGGED
    )
    assert mapped.question.answers == ("Port Lumen",)
    assert [step.text for step in mapped.steps] == [
        "First the birthplace. <search_query>Ada Quill born</search_query>",
        "That is it. <answer> Port Lumen </answer>",
    ]
    assert shape(mapped) == ["search(Ada Quill born) -> Doc 1(Title: Ada Qui", "Port Lumen"]


def test_a_text_of_tora_is_a_trajectory(tmp_path: Path) -> None:
    text = "Let us count.\n```python\nprint(3 * 14)\n```\n```output\n42\n```\nThere are $\\boxed{42}$ eggs."
    file = rows(tmp_path, {"idx": 3, "question": "How many?", "code": text, "gt": 42})
    reading = Reading(answer="boxed", fields={"text": "code", "answer": "gt", "id": "idx"})
    [mapped], [] = read(file, TAGGED, reading)
    assert shape(mapped) == ["python(print(3 * 14)) -> 42", "42"]
    assert (mapped.question.id, mapped.question.answers, mapped.rules.tools) == ("3", ("42",), ())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<search>Ada", "never closed"),
        ("Ada</search><answer>6</answer>", "never opened"),
        ("<search>Ada</search>So<information>?</information><answer>6</answer>", "nobody says who wrote it"),
        ("<information>?</information><answer>6</answer>", "a result that no call asked for"),
        ("<search>Ada</search><search>Quill</search>", "expected the result of the call before it"),
        ("<search>Ada</search><information>?</information>Hm.", "expected the answer in its tag"),
        ("```python\n6", "never closed"),
    ],
)
def test_a_text_that_is_no_trajectory_is_listed(text: str, why: str, tmp_path: Path) -> None:
    [listed] = read(rows(tmp_path, {"question": "?", "text": text}), TAGGED)[1]
    assert why in listed.why


def test_rows_without_what_is_read_are_listed(tmp_path: Path) -> None:
    assert "field text" in read(rows(tmp_path, {"question": "?"}), TAGGED)[1][0].why
    assert "field messages" in read(rows(tmp_path, {"text": "?"}), OPENAI)[1][0].why
    assert "field answer" in read(rows(tmp_path, {"messages": CALLED, "answer": {}}), OPENAI)[1][0].why
    assert "field completion" in read(rows(tmp_path, {"prompt": []}), VERIFIERS)[1][0].why
    assert "nodes" in read(rows(tmp_path, {"traces": [{"nodes": 3}]}), VERIFIERS)[1][0].why
    assert "trace of an agent" in read(rows(tmp_path, {"traces": []}), VERIFIERS)[1][0].why
    judge = {"agent": {"name": "judge", "trainable": False}}
    assert "did not play" in read(rows(tmp_path, {"traces": [judge, judge]}), VERIFIERS)[1][1].why


EXPORTED = {
    "id": "q/3",
    "sample": 3,
    "seed": 11,
    "policy": "bundled",
    "stop": "malformed",
    "question": {"id": "q", "task": "world", "text": "Where was she born?", "scope": ["p1"], "meta": {"hops": 2}},
    "rules": {"tools": ["search"], "malformed": "observe"},
    "steps": [
        {"passages": ["p1"], "verdict": {"score": 1.0}},
        {"text": "What <math_exp>?", "malformed": "<math_exp> is never closed"},
        {"thinking": "Hm.", "malformed": "no tag"},
    ],
    "kept": True,
}


def test_our_own_export_is_the_trajectory_again(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "Answer the question below.\n\nQuestion: Where was she born?"},
        call("search", '{"query": "Ada"}', "call_0", "Who?"),
        result("A clerk.", "call_0"),
        {"role": "assistant", "content": "What <math_exp>?"},
        {"role": "user", "content": "That message could not be used."},
        {"role": "assistant", "content": "It is 6."},
    ]
    [mapped], [] = read(rows(tmp_path, {"messages": messages, "swirl": json.dumps(EXPORTED)}), OPENAI)
    assert (mapped.id, mapped.sample, mapped.seed, mapped.stop) == ("q/3", 3, 11, StopReason.MALFORMED)
    assert (mapped.question.task, mapped.question.text, mapped.question.scope) == (
        "jsonl",
        "Where was she born?",
        ("p1",),
    )
    search, unclosed, untagged = mapped.steps
    assert search.action == ToolCall("search", "Ada"), "the id was made up by the export"
    assert search.text == "Who? <search_query>Ada</search_query>"
    assert search.observation is not None
    assert search.observation.passages == ("p1",)
    assert (unclosed.text, untagged.text, untagged.thinking) == ("What <math_exp>?", "It is 6.", "Hm.")


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ("{", "is none that our export writes"),
        (json.dumps(EXPORTED | {"steps": []}), "its column swirl and its messages disagree"),
        (json.dumps(EXPORTED | {"steps": [{}]}), "calls a message an answer that is none"),
    ],
)
def test_a_column_that_does_not_fit_its_messages_is_listed(column: str, why: str, tmp_path: Path) -> None:
    messages = [USER, {"role": "assistant", "content": "It is 6."}]
    [listed] = read(rows(tmp_path, {"messages": messages, "swirl": column}), OPENAI)[1]
    assert why in listed.why


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"[" * 100_000, "expected one JSON object"),
        (b'{"messages": ', "is the line cut off?"),
        (b"\xff\xfe{}", "expected UTF-8"),
        (b'{"messages": "\\ud800"}', "half of a surrogate pair"),
        (b"6", "expected one JSON object"),
    ],
)
def test_a_broken_line_is_listed_and_the_next_one_is_read(line: bytes, why: str, tmp_path: Path) -> None:
    file = tmp_path / "traces.jsonl.gz"
    file.write_bytes(gzip.compress(line + b"\n\n" + json.dumps({"messages": CALLED}).encode()))
    [mapped], [listed] = read(file, OPENAI)
    assert mapped.answer == "42"
    assert why in listed.why
    assert listed.place == f"{file}:1"


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
@given(data=st.binary(max_size=60) | st.text('{}[]":,samplestrce 0', max_size=60).map(str.encode))
@settings(deadline=None, max_examples=40)
def test_bytes_of_any_kind_are_listed_or_refused_in_one_sentence(
    form: Format, data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / f"any-{form.name}"
    file.write_bytes(data)
    with contextlib.suppress(RecordError):
        read(file, form)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "tool_calls", "id", "function", "name", "arguments"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(messages=st.lists(JSON | st.sampled_from([USER, SIX, *CALLED]), max_size=5))
@settings(deadline=None)
def test_messages_of_any_kind_are_mapped_or_not_mapped(messages: list[Any]) -> None:
    with contextlib.suppress(CannotMap):
        assert trajectory(Trace("a:1", messages), Reading()).steps


def archive(file: Path, *files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(file, "w", method) as made:
        for name, data in files:
            made.writestr(name, data)
    return file


HEADER = ("header.json", b'{"eval": {"task": "t", "model": "m"}}')
SAMPLE = json.dumps({"id": 1, "epoch": 1, "messages": CALLED}).encode()


def test_names_in_an_archive_are_no_paths(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    file = archive(
        tmp_path / "in" / "a.eval", HEADER, ("samples/../../../out_epoch_1.json", SAMPLE), ("../x.json", b"?")
    )
    [mapped], [] = read(file, INSPECT)
    assert mapped.question.id == "t-1"
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "a.eval"]


def test_a_bomb_is_refused_before_it_is_unpacked_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "LARGEST", 1 << 20)
    file = archive(tmp_path / "a.eval", HEADER, ("samples/1_epoch_1.json", b" " * (64 << 20)))
    with pytest.raises(RecordError, match=r"a\.eval, samples/1_epoch_1\.json: .* unpacks to more than 1 MiB"):
        read(file, INSPECT)


def test_a_bomb_of_zstandard_is_refused_whatever_it_says_of_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow

    monkeypatch.setattr(packed, "LARGEST", 1 << 20)
    bomb = pyarrow.compress(b" " * (64 << 20), "zstd", asbytes=True)
    file = archive(tmp_path / "a.eval", HEADER, ("samples/1_epoch_1.json", bomb), method=zipfile.ZIP_STORED)
    data = bytearray(file.read_bytes())
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(b"samples/1_epoch_1.json"))
    data[entry + 10 : entry + 12] = struct.pack("<H", 93)
    file.write_bytes(data)
    with pytest.raises(RecordError, match="unpacks to more than 1 MiB"):
        read(file, INSPECT)


def test_files_that_overlap_are_refused(tmp_path: Path) -> None:
    file = archive(tmp_path / "a.eval", HEADER, ("samples/1_epoch_1.json", SAMPLE), method=zipfile.ZIP_STORED)
    data = bytearray(file.read_bytes())
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(b"samples/1_epoch_1.json"))
    data[entry + 20 : entry + 24] = struct.pack("<I", len(data) * 2)
    file.write_bytes(data)
    with pytest.raises(RecordError, match="whose files overlap"):
        read(file, INSPECT)


def damaged(data: bytes) -> Iterator[tuple[str, bytes]]:
    yield "cut off", data[: len(data) // 2]
    yield "a bit flipped", data[:2000] + bytes([data[2000] ^ 1]) + data[2001:]
    yield "no archive", b"PK\x03\x04" + b"?" * 100


@pytest.mark.parametrize(
    ("what", "data"), list(damaged((FILES / "inspect.eval").read_bytes())), ids=lambda value: str(value)[:9]
)
def test_a_damaged_log_is_named_in_one_sentence(what: str, data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "a.eval"
    file.write_bytes(data)
    with pytest.raises(RecordError, match=r"a\.eval"):
        read(file, INSPECT)


def test_an_archive_that_is_no_log_is_named_and_a_sample_in_pieces_is_listed(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="neither header"):
        read(archive(tmp_path / "a.zip", ("mine.txt", b"?")), INSPECT)
    start = ("_journal/start.json", HEADER[1])
    broken = ("samples/2_epoch_1.json", b"{")
    [mapped], [pieces, cut_off] = read(
        archive(
            tmp_path / "a.eval",
            start,
            ("samples/1_epoch_1/sample.json", b"{}"),
            broken,
            ("samples/3_epoch_1.json", SAMPLE),
        ),
        INSPECT,
    )
    assert "inspect log convert" in pieces.why
    assert "is the line cut off?" in cut_off.why
    assert mapped.question.id == "t-1"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "a zip archive or a table in JSON, found neither"),
        ('{"eval": {}}', "found a table without a list of them"),
        ('{"samples": [{"id": 1}', "is the file cut off?"),
    ],
)
def test_a_document_that_is_no_log_is_named(text: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(RecordError, match=sentence):
        read(file, INSPECT)


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        ("6", "expected a sample, a table"),
        ('{"id": 1}', "expected a sample with its messages"),
        ('{"id": [[]], "messages": []}', "field id"),
        ('{"id": 1, "messages": [{"role": "user", "content": "attachment://x"}]}', "none of the sample's attachments"),
        ('{"id": "\\ud800", "messages": []}', "half of a surrogate pair"),
    ],
)
def test_a_sample_that_is_none_is_listed(sample: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(f'{{"eval": {{}}, "samples": [{sample}]}}')
    [listed] = read(file, INSPECT)[1]
    assert why in listed.why


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST", 1 << 20)
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(gzip.compress(b" " * (8 << 20)))
    with pytest.raises(RecordError, match="a line of more than 1 MiB"):
        read(file, OPENAI)
    file.write_bytes(gzip.compress(b"{}\n")[:-4])
    with pytest.raises(RecordError, match="a whole file packed by gzip"):
        read(file, OPENAI)


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda: targets(["web"]), "--map: expected NAME=TOOL"),
        (lambda: targets(["web=serch"]), "did you mean 'search'"),
        (lambda: targets(["web=search", "web=answer"]), "--map names web twice"),
        (lambda: fields(["txt=output"], TAGGED), "did you mean 'text'"),
        (lambda: fields(["text=output"], INSPECT), "none for --from inspect"),
        (lambda: named(""), "--from: expected one of openai, verifiers, inspect, tagged"),
    ],
)
def test_words_that_say_nothing_are_named(ask: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        ask()


def test_what_is_shown_of_a_trace_is_short(tmp_path: Path) -> None:
    listed: Sequence[Unmapped] = read(
        rows(tmp_path, {"messages": [USER, {"role": "assistant", "content": "x" * 10_000}]}), OPENAI
    )[1]
    assert len(listed[0].found) == 200
