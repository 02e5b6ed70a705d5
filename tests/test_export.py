"""`swirl export`: what is exported of a run, where it is written, and what reads it."""

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from datasets import Features, Json, List, Value, load_dataset

from swirl.cli import main
from swirl.exports.formats import EXPORTS
from swirl.filters import Decision, Rule
from swirl.protocol import write
from swirl.records import Appender, write_json
from swirl.run import Run
from swirl.selection import Selection
from swirl.settings import configure
from swirl.shards import shard
from swirl.types import (
    Answer,
    JudgedStep,
    Observation,
    Question,
    Rules,
    Step,
    StopReason,
    ToolCall,
    Trajectory,
    Verdict,
)

CALLS = {"arithmetic": ("calculator", "2 + 2"), "world": ("search", "Ada Quill")}


def answered(task: str, name: str, answer: str) -> Trajectory:
    tool, arguments = CALLS[task]
    call = ToolCall(tool, arguments)
    steps = (
        Step(text=write(call, "First."), action=call, observation=Observation("4")),
        Step(text=write(Answer(answer)), action=Answer(answer)),
    )
    question = Question(id=name, task=task, text=f"What is {name}?", answers=("4",))
    rules = Rules(tools=(tool,))
    return Trajectory(id=f"{name}/0", question=question, rules=rules, policy="p", steps=steps, stop=StopReason.ANSWERED)


SHARDS = [
    [answered("arithmetic", "a", "4"), answered("arithmetic", "b", "5")],
    [answered("world", "c", "4"), answered("world", "d", "4")],
]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two shards, the first of which is judged; the filter keeps a and c."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "mine"
    Run.create(folder, configure({"generate": {"tasks": ["arithmetic", "world"]}, "judge": {"name": "rule"}}, "test"))
    for number, trajectories in enumerate(SHARDS):
        with Appender(shard(folder / Trajectory.FILE, number), Trajectory) as out:
            out.append(trajectories)
    with Appender(folder / JudgedStep.FILE, JudgedStep) as verdicts:
        verdicts.append(
            [
                JudgedStep(trajectory="a/0", step=0, judge="rule", verdict=Verdict(1.0, "it helps")),
                JudgedStep(trajectory="b/0", step=1, judge="rule", verdict=Verdict(0.0)),
            ]
        )
    write_selection(folder, ["a", "b", "c", "d"])
    return folder


def write_selection(folder: Path, names: Sequence[str]) -> None:
    decisions = tuple(Decision(trajectory=f"{name}/0", kept=name in "ac", reason="passed") for name in names)
    made = Selection(
        rule=Rule.NONE, judges=("rule",), num_trajectories=len(names), survival={}, fallen={}, decisions=decisions
    )
    write_json(folder / "selection.json", made)


def export(*words: str, status: int = 0) -> None:
    assert main(["export", "runs/mine", *words]) == status


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_bytes().splitlines()]


def told(rows: Sequence[dict[str, Any]]) -> list[tuple[str, bool | None, bool | None]]:
    found = [json.loads(row["swirl"]) for row in rows]
    return [(each["id"], each.get("kept"), each.get("correct")) for each in found]


def test_what_the_filter_keeps_is_exported_or_all(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export("--to", "openai")
    assert "export (openai): 2 rows of 2 kept trajectories are in mine-openai.jsonl" in capsys.readouterr().err
    assert told(lines("mine-openai.jsonl")) == [("a/0", True, True), ("c/0", True, True)]
    export("--to", "openai", "--all", "--out", "all.jsonl")
    assert told(lines("all.jsonl")) == [
        ("a/0", True, True),
        ("b/0", False, False),
        ("c/0", True, True),
        ("d/0", False, True),
    ]
    steps = [json.loads(row["swirl"])["steps"] for row in lines("all.jsonl")]
    assert steps[0] == [{"verdict": {"score": 1.0, "reason": "it helps"}}, {}]
    assert steps[1] == [{}, {"verdict": {"score": 0.0}}]
    assert steps[2] == [{}, {}]


def test_a_run_that_was_not_filtered_is_exported_whole_and_says_so(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "selection.json").unlink()
    export("--to", "messages")
    assert "`filter` has not run in runs/mine, so all trajectories are exported" in capsys.readouterr().err
    assert [kept for _, kept, _ in told(lines("mine-messages.jsonl"))] == [None] * 4


def test_a_format_of_good_and_bad_is_made_of_all(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXPORTS, "openai", EXPORTS["openai"]._replace(dropped=True))  # type: ignore[index]
    export("--to", "openai")
    assert len(lines("mine-openai.jsonl")) == 4


def test_a_question_without_a_gold_answer_is_not_graded(run: Path) -> None:
    unknown = re.sub(rb',"answers":\["4"\]', b"", (run / "trajectories.jsonl").read_bytes())
    (run / "trajectories.jsonl").write_bytes(unknown)
    export("--to", "openai", "--all")
    assert [correct for *_, correct in told(lines("mine-openai.jsonl"))] == [None, None, True, True]


def test_answers_are_graded_as_by_show_whatever_tasks_the_recipe_names_now(run: Path) -> None:
    text = (run / "run.toml").read_text()
    (run / "run.toml").write_text(text.replace('"world",', '"gsm8k:moved/away",\n    "jsonl:gone.jsonl",', 1))
    export("--to", "openai", "--all")
    assert {correct for _, _, correct in told(lines("mine-openai.jsonl"))} == {True, False}


def test_a_selection_of_other_trajectories_is_refused_and_nothing_is_left(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_selection(run, ["a", "b", "d"])
    export("--to", "openai", status=2)
    said = capsys.readouterr().err
    assert "`filter` is out of date: expected a decision on trajectory 'c/0'" in said
    assert [path.name for path in Path().iterdir()] == ["runs"]
    export("--to", "openai", "--all")


def test_a_run_at_work_can_be_exported_and_nothing_in_it_changes(run: Path) -> None:
    with (run / "trajectories-00001.jsonl").open("ab") as file:
        file.write(b'{"schema": "swirl.traj')
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.iterdir()}
    with Appender(run / "trajectories-00001.jsonl", Trajectory):
        before[run / "trajectories-00001.jsonl"] = (0, (run / "trajectories-00001.jsonl").read_bytes())
        export("--to", "verl", "--all")
    assert pyarrow.parquet.read_table("mine-verl.parquet").num_rows == 8
    assert {path: path.read_bytes() for path in run.iterdir()} == {path: data for path, (_, data) in before.items()}


def test_nothing_is_overwritten_unless_that_is_asked_for(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine-openai.jsonl").write_text("precious")
    export("--to", "openai", status=2)
    assert "mine-openai.jsonl is there already; add --force to replace it" in capsys.readouterr().err
    assert Path("mine-openai.jsonl").read_text() == "precious"
    export("--to", "openai", "--force")
    assert len(lines("mine-openai.jsonl")) == 2
    Path("mine-parquet").mkdir()
    Path("mine-parquet/README.md").write_text("precious")
    export("--to", "parquet", status=2)
    assert [path.name for path in Path("mine-parquet").iterdir()] == ["README.md"]
    Path("mine-parquet/notes.txt").write_text("precious, too")
    export("--to", "parquet", "--force")
    assert sorted(path.name for path in Path("mine-parquet").iterdir()) == ["README.md", "data.parquet", "notes.txt"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--to", "opnai"], "--to: expected one of messages, openai, sharegpt, axolotl, trl-grpo, "),
        (["--to", "opnai"], "found 'opnai'; did you mean 'openai'?"),
        ([], "found none"),
        (["--to", "verl", "--out", "x.jsonl"], "the format verl is a file that ends in .parquet, or a folder for it"),
        (
            ["--to", "axolotl", "--out", "x.jsonl"],
            "the format axolotl is a folder of data.jsonl, axolotl.yml; expected",
        ),
        (["--to", "openai", "--force", "--out", "runs/mine/x.jsonl"], "would stand among the files of a run"),
        (["--to", "axolotl", "--force", "--out", "runs/mine"], "would stand among the files of a run"),
        (["--to", "axolotl", "--out", "a-file"], "expected a folder to write in at a-file, found a file"),
        (["--to", "openai", "--force", "--out", "dir.jsonl"], "found a folder; name another --out"),
    ],
)
def test_a_mistake_gets_one_sentence(
    run: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a-file").touch()
    Path("dir.jsonl/mine-openai.jsonl").mkdir(parents=True)
    before = sorted(Path().rglob("*"))
    export(*words, status=2)
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert sorted(Path().rglob("*")) == before


def test_a_run_without_trajectories_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "trajectories.jsonl").unlink()
    export("--to", "openai", status=2)
    assert "run `swirl generate runs/mine` first" in capsys.readouterr().err


def test_the_help_lists_the_formats_with_their_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert all(f"{name} {fmt.about}" in said for name, fmt in EXPORTS.items())


def test_a_folder_takes_the_file_and_plain_leaves_our_column_out(run: Path) -> None:
    Path("there").mkdir()
    export("--to", "openai", "--plain", "--out", "there")
    assert set(lines("there/mine-openai.jsonl")[0]) == {"messages", "tools", "parallel_tool_calls"}


def test_files_beside_the_rows_name_them_and_the_run(run: Path) -> None:
    for name in ("sharegpt", "axolotl", "parquet"):
        export("--to", name)
    info = json.loads(Path("mine-sharegpt/dataset_info.json").read_text())
    assert (Path("mine-sharegpt") / info["mine"]["file_name"]).exists()
    assert set(info["mine"]["columns"].values()) <= set(lines("mine-sharegpt/data.jsonl")[0])
    assert "  - path: data.jsonl\n" in Path("mine-axolotl/axolotl.yml").read_text()
    card = Path("mine-parquet/README.md").read_text()
    made = tomllib.loads((run / "run.toml").read_text())["provenance"]
    assert "# mine: 4 steps of 2 trajectories" in card
    assert all(part in card for part in ("| tasks | arithmetic, world |", "| policy | p |", made["git_commit"]))


@pytest.mark.parametrize("name", ["messages", "openai", "sharegpt", "axolotl", "verl", "parquet"])
def test_datasets_loads_every_export(run: Path, name: str, tmp_path: Path) -> None:
    """Read in small pieces, the first of which know one task and its tool alone."""
    export("--to", name, "--all")
    fmt = EXPORTS[name]
    path = f"mine-{name}/data.{fmt.kind}" if fmt.beside else f"mine-{name}.{fmt.kind}"
    more: dict[str, Any] = {}
    if fmt.kind == "jsonl":
        more["chunksize"] = 100
    if name == "openai":
        columns = {"messages": List(Json()), "tools": List(Json())}
        more["features"] = Features(columns | {"parallel_tool_calls": Value("bool"), "swirl": Value("string")})
    kind = "parquet" if fmt.kind == "parquet" else "json"
    loaded = load_dataset(kind, data_files=path, split="train", cache_dir=str(tmp_path / "cache"), **more)
    assert loaded.num_rows == (8 if fmt.kind == "parquet" else 4)
    if name == "openai":
        assert list(loaded) == lines(path)
    if name == "parquet":
        assert load_dataset("mine-parquet", split="train", cache_dir=str(tmp_path / "cache")).num_rows == 8
