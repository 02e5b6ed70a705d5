"""`swirl verify` finds what is wrong with a run, each thing by its name, and nothing where nothing is."""

import json
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from healthy_run import CONFIG, make
from swirl.catalog import open_task
from swirl.cli import main
from swirl.errors import ConfigError
from swirl.exports.states import lines
from swirl.imports import Reading
from swirl.imports.formats import named
from swirl.manifest import FILE, writing
from swirl.records import read
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.shards import Part
from swirl.stages.importing import import_traces
from swirl.types import JudgedStep, Trajectory
from swirl.verify.checks import verify

SHARDED = replace(CONFIG, generate=replace(CONFIG.generate, shard=2))
TRAJECTORIES, VERDICTS, ANSWERS = "trajectories.jsonl", "verdicts.jsonl", "evaluation/before-arithmetic-greedy.jsonl"


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify") / "run"
    make(folder)
    write_states(folder)
    return folder


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same records in four shards."""
    folder = tmp_path_factory.mktemp("verify") / "sharded"
    make(folder, SHARDED)
    return folder


@pytest.fixture
def run(healthy: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(healthy, tmp_path / "run"))


def write_states(folder: Path) -> None:
    """As an export writes them."""
    states = lines(read(folder / TRAJECTORIES, Trajectory))
    (folder / "states.jsonl").write_bytes(b"".join(line for own in states for line in own))


def found(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command prints of a folder in which something is wrong."""
    assert main(["verify", str(folder)]) == 1
    return capsys.readouterr().out


def test_nothing_is_wrong_with_a_healthy_run(healthy: Path, sharded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(healthy)]) == 0
    said = capsys.readouterr()
    assert said.out == f"{healthy}: 51 records and 8 files, nothing wrong\n"
    assert "note" not in said.err
    assert main(["verify", str(sharded)]) == 0
    assert capsys.readouterr().out.endswith(": 35 records and 14 files, nothing wrong\n")


Edit = Callable[[Path], object]


class Corruption(NamedTuple):
    """Something that goes wrong with a run, and what has to be said of it."""

    edit: Edit
    place: str
    """Where, as a regular expression."""
    words: str
    without_manifest: bool = True
    """Whether it is found where there is no hash to compare with, too."""


def at(file: str, line: int, change: Callable[[str], str | None]) -> Edit:
    """Change a line of a file, counted from 1; None: delete it."""

    def edit(folder: Path) -> None:
        lines = (folder / file).read_text("utf-8").splitlines(keepends=True)
        changed = change(lines[line - 1])
        assert changed != lines[line - 1], "nothing was changed"
        lines[line - 1 : line] = [] if changed is None else [changed]
        (folder / file).write_text("".join(lines), "utf-8")

    return edit


def replaced(old: str, new: str) -> Callable[[str], str]:
    return lambda line: re.sub(old, new, line, count=1)


def told(change: Callable[[Any], None]) -> Callable[[str], str]:
    """Change a record."""

    def edited(line: str) -> str:
        record = json.loads(line)
        change(record)
        return json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n"

    return edited


def put(path: str, value: Any) -> Callable[[str], str]:
    """Put a value where a dotted path leads in a record."""

    def change(record: Any) -> None:
        *way, last = [int(key) if key.isdigit() else key for key in path.split(".")]
        for key in way:
            record = record[key]
        assert record[last] != value
        record[last] = value

    return told(change)


def doubled(file: str, line: int) -> Edit:
    return at(file, line, lambda text: text * 2)


def swapped(file: str, one: int, other: int) -> Edit:
    def edit(folder: Path) -> None:
        lines = (folder / file).read_bytes().splitlines(keepends=True)
        lines[one - 1], lines[other - 1] = lines[other - 1], lines[one - 1]
        (folder / file).write_bytes(b"".join(lines))

    return edit


def flipped(file: str, line: int, text: bytes, bit: int) -> Edit:
    """Flip a bit of the first byte of a text in a line."""

    def edit(folder: Path) -> None:
        lines = (folder / file).read_bytes().splitlines(keepends=True)
        start = lines[line - 1].index(text)
        flipped = bytes([lines[line - 1][start] ^ (1 << bit)])
        lines[line - 1] = lines[line - 1][:start] + flipped + lines[line - 1][start + 1 :]
        (folder / file).write_bytes(b"".join(lines))

    return edit


def cut(file: str) -> Edit:
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes()[:-40])


def recoded(file: str) -> Edit:
    return lambda folder: (folder / file).write_bytes((folder / file).read_text("utf-8").encode("utf-16"))


def gone(pattern: str) -> Edit:
    return lambda folder: sorted(folder.glob(pattern))[0].unlink()


def in_json(file: str, path: str, value: Any) -> Edit:
    """Change a document of JSON, written as it was."""

    def edit(folder: Path) -> None:
        target = sorted(folder.glob(file))[0]
        target.write_text(json.dumps(json.loads(put(path, value)(target.read_text())), indent=2) + "\n")

    return edit


def unlisted(folder: Path) -> None:
    manifest = json.loads((folder / FILE).read_text())
    del manifest["files"][VERDICTS]
    (folder / FILE).write_text(json.dumps(manifest, indent=2) + "\n")


def _edit_hash(folder: Path) -> None:
    manifest = json.loads((folder / FILE).read_text())
    manifest["files"][TRAJECTORIES]["sha256"] = "0" * 64
    (folder / FILE).write_text(json.dumps(manifest, indent=2) + "\n")


def not_drawn(record: Any) -> None:
    record["question"]["id"] = "arithmetic-train-9-00000"
    record["id"] = f"{record['question']['id']}/1"


CORRUPTIONS = {
    "a bit flipped in a text": Corruption(
        flipped(TRAJECTORIES, 3, b"First.", 0), "trajectories.jsonl:3", "it was changed since", without_manifest=False
    ),
    "a bit flipped in a tag": Corruption(
        flipped(TRAJECTORIES, 3, b"math_exp>", 1), "trajectories.jsonl:3", "step 0: its text reads as Malformed"
    ),
    "a bit flipped in the syntax": Corruption(
        flipped(TRAJECTORIES, 2, b'{"schema"', 0), "trajectories.jsonl:2", "expected one JSON object in UTF-8"
    ),
    "a missing trajectory": Corruption(
        at(TRAJECTORIES, 4, lambda line: None), "trajectories.jsonl", "'arithmetic-train-7-00001/1' is missing"
    ),
    "a missing line": Corruption(
        at(VERDICTS, 4, lambda line: None),
        "verdicts.jsonl:4",
        "1 line that stood before it is gone",
        without_manifest=False,
    ),
    "a missing verdict": Corruption(
        at(VERDICTS, 4, lambda line: None), "verdicts.jsonl", "found none on 'step 1 of arithmetic-train-7-00000/1'"
    ),
    "a doubled id": Corruption(
        doubled(TRAJECTORIES, 2), "trajectories.jsonl:3", "a trajectory 'arithmetic-train-7-00000/1' stands before it"
    ),
    "swapped lines": Corruption(
        swapped(TRAJECTORIES, 1, 5), "trajectories.jsonl:1", "it has changed places with line 5", without_manifest=False
    ),
    "a foreign verdict": Corruption(
        at(VERDICTS, 2, put("trajectory", "q/0")), "verdicts.jsonl:2", "on trajectory 'q/0', which is not in traj"
    ),
    "a verdict on a step that is not there": Corruption(
        at(VERDICTS, 2, put("step", 2)), "verdicts.jsonl:2", "on step 2 of trajectory .*, which has 2"
    ),
    "a doubled verdict": Corruption(doubled(VERDICTS, 2), "verdicts.jsonl:3", "on which there is a verdict before it"),
    "a verdict of another judge": Corruption(
        at(VERDICTS, 3, put("judge", "solver")), "verdicts.jsonl:3", "is by 'solver', and those before it by 'rule'"
    ),
    "an edited verdict": Corruption(
        at(VERDICTS, 3, told(lambda record: record.update(verdict={"score": 0.0}))),
        "verdicts.jsonl:3",
        "it was changed since",
        without_manifest=False,
    ),
    "a score of no verdict": Corruption(
        at(VERDICTS, 3, put("verdict.score", None)), "verdicts.jsonl:3", "a verdict has a score exactly when"
    ),
    "an edited hash in the manifest": Corruption(
        _edit_hash,
        "manifest.json",
        "found that it was edited",
        without_manifest=False,
    ),
    "a file taken out of the manifest": Corruption(
        unlisted, "manifest.json", "found that it was edited", without_manifest=False
    ),
    "a truncated file": Corruption(
        cut(VERDICTS), "verdicts.jsonl", "its last line is unfinished", without_manifest=False
    ),
    "an edited gold answer": Corruption(
        at(TRAJECTORIES, 1, put("question.answers", ["1"])),
        "trajectories.jsonl:1",
        "is another one than arithmetic gives",
    ),
    "an edited answer": Corruption(
        at(TRAJECTORIES, 1, put("steps.1.action.text", "1")), "trajectories.jsonl:1", "its action is Answer.text='1'"
    ),
    "an edited observation": Corruption(
        at(TRAJECTORIES, 5, put("steps.0.observation.text", "1")), "trajectories.jsonl:5", "the calculator gives '"
    ),
    "an observation that is gone": Corruption(
        at(TRAJECTORIES, 5, told(lambda record: record["steps"][0].pop("observation"))),
        "trajectories.jsonl:5",
        "is followed by another step",
    ),
    "edited token ids": Corruption(
        at(TRAJECTORIES, 6, put("steps.0.token_ids.1", 3)),
        "trajectories.jsonl:6",
        "it was changed",
        without_manifest=False,
    ),
    "token ids that are gone": Corruption(
        at(TRAJECTORIES, 6, put("steps.0.token_ids", [3])), "trajectories.jsonl:6", "1 token ids and 3 log-prob"
    ),
    "an edited seed": Corruption(at(TRAJECTORIES, 6, put("seed", 3)), "trajectories.jsonl:6", "has the seed 3"),
    "another ending": Corruption(
        at(TRAJECTORIES, 6, put("stop", "max_calls")), "trajectories.jsonl:6", "said to have ended otherwise"
    ),
    "an unknown schema": Corruption(
        at(TRAJECTORIES, 7, put("schema", "swirl.trajectory/9")), "trajectories.jsonl:7", "found another"
    ),
    "another encoding": Corruption(recoded(VERDICTS), "verdicts.jsonl:1", "expected one JSON object in UTF-8"),
    "a question that was not drawn": Corruption(
        at(TRAJECTORIES, 8, told(not_drawn)), "trajectories.jsonl:8", "is none of the 4 that the run draws"
    ),
    "a policy that its origin does not know": Corruption(
        at(TRAJECTORIES, 8, put("policy", "other@0123456789ab")),
        "trajectories.jsonl:8",
        "its origin tells of 'scripted@",
    ),
    "an edited decision": Corruption(
        in_json("selection.json", "decisions.2.kept", True),
        "selection.json:\\d+",
        "is kept, and the reason is",
    ),
    "a decision on nothing": Corruption(
        in_json("selection.json", "decisions.2.trajectory", "q/0"), "selection.json:\\d+", "decides on trajectory 'q/0'"
    ),
    "an edited grade": Corruption(
        at(ANSWERS, 2, put("grade.correct", True)), "greedy.jsonl:2", "arithmetic grades it Grade.correct=False"
    ),
    "an answer that is gone": Corruption(at(ANSWERS, 2, lambda line: None), "greedy.jsonl", "1 answers are missing"),
    "a missing file": Corruption(gone(ANSWERS), "greedy.jsonl", "bytes, found none", without_manifest=False),
    "an edited origin": Corruption(
        in_json("origins/generate-*.json", "weights", "ba9876543210"), "origins/generate-", "it was changed"
    ),
    "a missing origin": Corruption(gone("origins/judge-*.json"), "verdicts.jsonl:1", "it names the origin 'judge-"),
    "edited settings": Corruption(
        lambda folder: _edit_settings(folder, "seed = 7", "seed = 8"),
        "run.toml",
        "are not those that records were made with",
    ),
    "settings that are none": Corruption(
        lambda folder: _edit_settings(folder, "seed = 7", "sead = 7"), "run.toml", "unknown key sead; did you mean seed"
    ),
    "edited versions": Corruption(
        lambda folder: _edit_settings(folder, "msgspec = ", "masgspec = "),
        "run.toml:\\d+",
        "it was changed",
        without_manifest=False,
    ),
    "an edited state": Corruption(
        at("states.jsonl", 2, put("messages.0.content", "?")),
        "states.jsonl:2",
        "state 1 of trajectory .* is not the first steps",
    ),
    "a state that is gone": Corruption(
        at("states.jsonl", 2, lambda line: None), "states.jsonl:2", "expected state 1 of"
    ),
}


def _edit_settings(folder: Path, old: str, new: str) -> None:
    text = (folder / "run.toml").read_text()
    assert old in text
    (folder / "run.toml").write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_named(name: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the command; and what contradicts itself is found where there are no hashes, too."""
    edit, place, words, without_manifest = CORRUPTIONS[name]
    edit(run)
    said = found(run, capsys)
    assert re.search(rf"^{re.escape(str(run))}/\S*{place}\S*: .*{words}.*; \w", said, re.MULTILINE), said
    assert re.search(r": \d+ things? (is|are) wrong; .* were looked at\n$", said)
    (run / FILE).unlink()
    again = "\n".join(map(str, verify(run, open_task).wrong))
    assert bool(re.search(words, again)) == without_manifest


@pytest.mark.parametrize("file", ["trajectories-00001.jsonl", "trajectories-00002.jsonl", "verdicts-00001.jsonl"])
def test_a_missing_shard_is_named(file: str, sharded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Path(shutil.copytree(sharded, tmp_path / "run"))
    (run / file).unlink()
    assert f"{run / file}: expected a file of" in found(run, capsys)


def test_a_verdict_in_another_shard_is_foreign_there(
    sharded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(sharded, tmp_path / "run"))
    (run / VERDICTS).rename(run / "kept")
    (run / "verdicts-00001.jsonl").rename(run / VERDICTS)
    (run / "kept").rename(run / "verdicts-00001.jsonl")
    said = found(run, capsys)
    assert f"{run / VERDICTS}:1: it is on trajectory" in said
    assert "which is not in trajectories-00001.jsonl" in said


def test_an_old_run_without_origins_and_hashes_is_told_apart_from_a_wrong_one(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file, kind in ((TRAJECTORIES, Trajectory), (VERDICTS, JudgedStep)):
        bare = [msgspec.structs.replace(each, origin="") for each in read(run / file, kind)]
        (run / file).write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in bare))
    (run / FILE).unlink()
    assert main(["verify", str(run)]) == 0
    assert "has no manifest.json, so no file could be compared" in capsys.readouterr().err


def test_what_is_unfinished_is_a_note_and_nothing_wrong(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken_off(run, at(VERDICTS, 16, lambda line: None))
    assert main(["verify", str(run)]) == 0
    assert "note: `judge` is unfinished" in capsys.readouterr().err
    at(VERDICTS, 2, put("step", 5))(run)
    assert "which has 2, from 0" in found(run, capsys)


def broken_off(folder: Path, edit: Edit) -> None:
    """Judging that is stopped after a change."""
    with suppress(KeyboardInterrupt), writing(folder, "judge"):
        edit(folder)
        raise KeyboardInterrupt


def test_many_of_a_kind_are_counted(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / VERDICTS).write_bytes(b"?\n" * 30)
    said = found(run, capsys)
    assert said.count("expected one JSON object in UTF-8") == 10
    assert "verdicts.jsonl: unreadable record: 20 more" in said


def test_a_run_of_which_a_part_is_made_is_unfinished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / "run", SHARDED, ["generate", "judge"], Part(2, 3))
    assert main(["verify", str(tmp_path / "run")]) == 0
    assert "`generate` is unfinished" in capsys.readouterr().err
    for number in (1, 3):
        make(tmp_path / "run", SHARDED, ["generate", "judge"], Part(number, 3))
    make(tmp_path / "run", SHARDED, ["filter", "evaluate"])
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().err == ""


def test_parts_and_the_whole_make_equal_manifests(sharded: Path, tmp_path: Path) -> None:
    for number in (2, 1):
        make(tmp_path / "run", SHARDED, ["generate", "judge"], Part(number, 2))
    make(tmp_path / "run", SHARDED, ["filter", "evaluate"])
    assert (tmp_path / "run" / FILE).read_bytes() == (sharded / FILE).read_bytes()


def test_nothing_is_wrong_with_an_imported_run_wherever_it_lies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    traces = Path(__file__).parent / "fixtures" / "imports" / "verifiers-results.jsonl"
    import_traces([traces], named("verifiers"), Reading(), tmp_path / "made", RunConfig())
    (tmp_path / "made").rename(tmp_path / "run")
    make(tmp_path / "run", Run.open(tmp_path / "run").config, ["judge", "filter"])
    assert main(["verify", str(tmp_path / "run")]) == 0, capsys.readouterr().out
    (tmp_path / "run").rename(tmp_path / "moved")
    assert main(["verify", str(tmp_path / "moved")]) == 0, capsys.readouterr().out
    assert "note" not in capsys.readouterr().err


def test_questions_that_cannot_be_had_are_a_note(run: Path) -> None:
    def missing(spec: str) -> Any:
        raise ConfigError("no such file")

    report = verify(run, missing)
    assert not report.wrong
    assert any("whether records are about the questions of arithmetic was not checked" in note for note in report.notes)


def test_a_folder_that_is_no_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path)]) == 2
    assert "expected a run folder at" in capsys.readouterr().err
