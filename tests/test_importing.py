"""Imported traces as a run: every stage goes on from them, and what was not mapped is on record."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from swirl.cli import main
from swirl.errors import RecordError, RunFolderError
from swirl.imports import Reading
from swirl.imports.formats import named
from swirl.records import read
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.shards import trajectories
from swirl.stages.filter import kept_of
from swirl.stages.generate import generated
from swirl.stages.importing import Found, import_traces
from swirl.types import JudgedStep, VerdictStatus

FILES = Path(__file__).parent / "fixtures" / "imports"


def chat(question: str, expression: str, said: str, **more: Any) -> dict[str, Any]:
    function = {"name": "calculator", "arguments": json.dumps({"expression": expression})}
    return more | {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": "c1", "content": said},
            {"role": "assistant", "content": f"<answer>{said}</answer>"},
        ]
    }


def written(file: Path, *rows: Mapping[str, Any]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def imported(out: Path, *files: Path, form: str = "openai") -> Found:
    return import_traces(files, named(form), Reading(), out, RunConfig())


SIX, NINE = ("What is 2 * 3?", "2 * 3", "6"), ("What is 3 * 3?", "3 * 3", "9")


def test_imported_traces_are_judged_filtered_and_reported_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(
        tmp_path / "a.jsonl",
        chat(*SIX, answer=6),
        chat(*NINE, answer=9),
        chat(*SIX, answer=6),
        chat("What is 2 * 3?", "4 * 3", "12", answer=6),
        {"messages": [{"role": "user", "content": "?"}]},
    )
    out = tmp_path / "run"
    assert main(["import", str(file), "--from", "openai", "--out", str(out)]) == 0
    said = capsys.readouterr().err
    assert "4 trajectories on 2 questions" in said
    assert "1 x expected a message of the assistant, found none" in said
    assert main(["judge", str(out)]) == 0
    assert main(["filter", str(out)]) == 0
    assert len(list(kept_of(Run.open(out)))) == 3, "one starts from a number that nobody told"
    assert main(["filter", str(out), "--filter.rule", "outcome", "--redo"]) == 0
    assert len(list(kept_of(Run.open(out)))) == 3, "the same one has the wrong answer"
    assert main(["generate", str(out)]) == 0
    assert "all 4 trajectories are there already" in capsys.readouterr().err
    assert main(["report", str(out)]) == 0


def test_a_question_has_as_many_samples_as_were_found_of_it(tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl", chat(*SIX), chat(*NINE), chat(*SIX), chat(*SIX))
    imported(tmp_path / "run", file)
    run = Run.open(tmp_path / "run")
    of = {each.question.text: each.question.id for each in trajectories(run.path)}
    assert sorted(each.id for each in generated(run)) == sorted(
        [f"{of['What is 2 * 3?']}/{number}" for number in range(3)] + [f"{of['What is 3 * 3?']}/0"]
    )
    assert (run.config.generate.questions, run.config.generate.samples) == (2, 3)


def test_a_run_folder_goes_on_where_it_was_moved_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(Path("a.jsonl"), chat(*SIX))
    imported(Path("runs/mine"), Path("a.jsonl"))
    assert len(list(generated(Run.open(Path("runs/mine"))))) == 1
    shutil.move("runs/mine", "elsewhere")
    assert len(list(generated(Run.open(Path("elsewhere"))))) == 1
    monkeypatch.chdir("elsewhere")
    assert main(["judge", "."]) == 0


def test_import_jsonl_says_where_each_came_from_and_why_others_did_not(tmp_path: Path) -> None:
    imported(tmp_path / "run", FILES / "verifiers-results.jsonl", form="verifiers")
    told = [json.loads(line) for line in (tmp_path / "run" / "import.jsonl").read_text().splitlines()]
    assert [line["schema"] for line in told].count("swirl.imported/1") == 6
    first, *_, last = told
    assert first["place"].endswith("verifiers-results.jsonl:1")
    assert first["trajectory"] == "0/0"
    assert first["told"]["reward"] == 1.0
    assert last["told"]["stop_condition"] == "max_turns_reached"
    [why] = {line["why"] for line in told if line["schema"] == "swirl.unmapped/1"}
    assert why == "several calls at once: a step holds one"


def test_several_files_are_one_run_and_an_id_is_one_question(tmp_path: Path) -> None:
    one = written(tmp_path / "a.jsonl", chat(*SIX, id="q"), chat(*NINE, id="r"))
    two = written(tmp_path / "b.jsonl", chat(*SIX, id="q"), chat(*NINE, id="q"), chat(*NINE, id="r", answer=9))
    found = imported(tmp_path / "run", one, two, one)
    assert found.samples == {"q": {0, 1}, "r": {0}}
    [(why, count)] = found.unmapped.items()
    assert count == 2
    assert "the id of another question" in why


def test_what_an_export_numbered_keeps_its_number_unless_it_is_taken(tmp_path: Path) -> None:
    column = {
        "question": {"id": "q", "task": "world", "text": "2 * 3?"},
        "rules": {},
        "steps": [{}],
        "stop": "answered",
        "seed": 4,
    }
    messages = [{"role": "user", "content": "2 * 3?"}, {"role": "assistant", "content": "<answer>6</answer>"}]
    rows = [{"messages": messages, "swirl": json.dumps(column | {"id": f"q/{n}", "sample": n})} for n in (1, 3, 3)]
    assert imported(tmp_path / "run", written(tmp_path / "a.jsonl", *rows)).samples == {"q": {1, 3, 2}}
    assert {each.seed for each in generated(Run.open(tmp_path / "run"))} == {4}


def test_a_column_of_our_own_that_somebody_made_up_is_listed_or_taken(tmp_path: Path) -> None:
    def row(sample: int, name: str) -> dict[str, Any]:
        asked = {"id": name, "task": "world", "text": "2 * 3?"}
        column = {"id": "q/1", "question": asked, "rules": {}, "steps": [{}], "sample": sample}
        messages = [{"role": "user", "content": "2 * 3?"}, {"role": "assistant", "content": "<answer>6</answer>"}]
        return {"messages": messages, "swirl": json.dumps(column)}

    file = written(tmp_path / "a.jsonl", row(1, " q "), row(2, "q"), row(-1, "q"), row(0, "\u2003"))
    found = imported(tmp_path / "run", file)
    assert found.samples.pop("q") == {1, 2}
    assert list(found.samples.values()) == [{0}], "a blank name is none"
    assert found.unmapped == {"the number of its sample is below 0": 1}
    assert len(list(generated(Run.open(tmp_path / "run")))) == 3


def test_half_a_character_in_a_call_inside_a_message_is_listed(tmp_path: Path) -> None:
    call = '{"id": "c", "name": "\\ud800"}'
    bad = {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "tool_calls": [call]}]}
    imported(tmp_path / "run", written(tmp_path / "a.jsonl", chat(*SIX), bad))
    [told] = [line for line in (tmp_path / "run" / "import.jsonl").read_text().splitlines() if "unmapped" in line]
    assert json.loads(told)["why"] == r"expected the arguments of \ud800 in JSON, found none"


def test_equal_imports_are_equal_files(tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl", *(chat(f"What is {n} * 3?", f"{n} * 3", str(3 * n)) for n in range(30)))
    for name in ("one", "two"):
        imported(tmp_path / name, file)
    for name in ("trajectories.jsonl", "questions.jsonl", "import.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_file_of_which_nothing_maps_is_an_error_and_nothing_is_left(tmp_path: Path) -> None:
    good = written(tmp_path / "a.jsonl", chat(*SIX))
    bad = written(tmp_path / "b.jsonl", {"text": "?"}, {"text": "!"})
    with pytest.raises(
        RecordError, match=r"b\.jsonl: .* nothing that can be mapped: the first is .*b\.jsonl:1, expected a list"
    ):
        imported(tmp_path / "run", good, bad)
    with pytest.raises(RecordError, match="found nothing in it"):
        imported(tmp_path / "run", written(tmp_path / "c.jsonl"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl", "c.jsonl"]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    file, out = written(tmp_path / "a.jsonl", chat(*SIX)), tmp_path / "run"
    imported(out, file)
    before = (out / "trajectories.jsonl").stat().st_mtime_ns
    with pytest.raises(RunFolderError, match="expected a new or empty folder"):
        imported(out, file)
    assert (out / "trajectories.jsonl").stat().st_mtime_ns == before


def test_what_a_killed_import_left_is_no_obstacle(tmp_path: Path) -> None:
    part = tmp_path / "run.part"
    part.mkdir()
    for name in ("found.jsonl", "import.jsonl", "run.toml.part", "trajectories-00001.jsonl"):
        (part / name).write_text("torn")
    (tmp_path / "run").mkdir()
    imported(tmp_path / "run", written(tmp_path / "a.jsonl", chat(*SIX)))
    assert not part.exists()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        *("import.jsonl", "manifest.json", "manifest.lock", "questions.jsonl", "run.toml", "trajectories.jsonl")
    ]


def test_a_call_of_a_tool_that_is_none_of_ours_has_no_verdict_by_rule(tmp_path: Path) -> None:
    row = chat(*SIX)
    row["messages"][1]["tool_calls"][0]["function"]["name"] = "python"
    imported(tmp_path / "run", written(tmp_path / "a.jsonl", row))
    assert main(["judge", str(tmp_path / "run")]) == 0
    call, _ = read(tmp_path / "run" / "verdicts.jsonl", JudgedStep)
    assert (call.verdict.score, call.verdict.status) == (None, VerdictStatus.REFUSED)
    assert call.verdict.reason == "there is no rule for calls of python"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["import"], "expected `swirl import FILE [OPTIONS]`, found nothing in place of FILE"),
        (["import", "none.jsonl", "--from", "openai"], "expected a file of traces at none.jsonl, found none"),
        (["import", ".", "--from", "openai"], "expected a file of traces at ., found a folder"),
        (["import", "a.jsonl"], "--from: expected one of openai, verifiers, inspect, tagged, found ''"),
        (["import", "a.jsonl", "--from", "openai", "--map", "web"], "--map: expected NAME=TOOL"),
        (["import", "a.jsonl", "--from", "inspect"], "expected a log of Inspect, a zip archive or a table in JSON"),
    ],
)
def test_a_mistake_gets_one_sentence(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text("6\n")
    assert main(words) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("runs/*"))


def test_flags_reach_the_reading(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [
        "--from",
        "inspect",
        "--map",
        "submit=answer",
        "--generate.prompt",
        "bare",
        "--tools",
        "search",
        "calculator",
    ]
    assert main(["import", str(FILES / "inspect-basic.json"), "--out", str(out), *words]) == 0
    [mapped] = generated(Run.open(out))
    assert mapped.answer == "42"
    assert mapped.rules.prompt == "bare"
    assert mapped.rules.tools == ("search", "calculator")


@pytest.mark.parametrize("samples", ['"3"', "[]", "[-1]", "[true]", "3"])
def test_samples_of_a_question_are_numbers(samples: str, tmp_path: Path) -> None:
    from swirl.tasks.jsonl import Jsonl

    file = tmp_path / "questions.jsonl"
    file.write_text(f'{{"id": 1, "question": "?", "samples": {samples}}}')
    with pytest.raises(RecordError, match=r"questions\.jsonl:1: field samples: expected a list of numbers from 0"):
        list(Jsonl(str(file)).questions("train"))
