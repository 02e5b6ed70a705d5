"""The command line as a user meets it: mistakes are one sentence, never a traceback, and nothing is lost."""

import json
import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest

import playing
from finished_run import SMALL, finished_run, small
from swirl.cli import COMMANDS, main


def answer(capsys: pytest.CaptureFixture[str], words: Sequence[str]) -> tuple[int, str]:
    """Exit status and what was said, on both streams, white space folded."""
    status, said = playing.answer(capsys, words)
    return status, " ".join(said.replace("│", " ").split())


def test_the_overview_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    status, said = answer(capsys, ["--help"])
    assert status == 0
    assert all(f" {name} " in said for name in COMMANDS)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = answer(capsys, [command, "--help"])
    assert status == 0
    assert f"Example: swirl {command}" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["dmeo"], "unknown command 'dmeo': `swirl --help` lists them all; did you mean 'demo'?"),
        (["run", "gsmk8"], "did you mean 'gsm8k'?"),
        (["run"], "expected `swirl run RECIPE [OPTIONS]`, found nothing in place of RECIPE"),
        (["run", ""], "expected `swirl run RECIPE [OPTIONS]`, found '' in place of RECIPE"),
        (["train", ""], "expected `swirl train RUN [OPTIONS]`, found '' in place of RUN"),
        (["run", "--seed", "2", "smoke"], "expected `swirl run RECIPE [OPTIONS]`, found '--seed' in place of RECIPE"),
        (["train", "--seed", "2", "runs/x"], "expected `swirl train RUN [OPTIONS]`, found '--seed' in place of RUN"),
        (["run", "demo", "--train.update", "3"], "--train.updates INT"),
        (["run", "demo", "--train.updates", "many"], "invalid literal for int() with base 10: 'many'"),
        (
            ["run", "demo", "--filter.rule", "proces"],
            "Expected one of ('none', 'process', 'outcome', 'both', 'either')",
        ),
        (["judge"], "expected `swirl judge RUN [OPTIONS]`, found nothing in place of RUN"),
        (["judge", "no/such/run", "--recipe", "smoke"], "Unrecognized options: --recipe"),
        (["judge", "no/such/run"], "expected a run folder at no/such/run, found no run.toml in it"),
        (
            ["recipes", "copy", "demmo"],
            "unknown recipe 'demmo': expected one of demo, filters, generalisation, gsm8k, hotpotqa, rounds, sizes, smoke, transfer, "
            "two_tools; did you mean 'demo'?",
        ),
        (["recipes", "burn"], "expected `swirl recipes list` or `swirl recipes copy NAME`, found 'burn'"),
    ],
)
def test_a_mistake_gets_one_sentence(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    status, said = answer(capsys, words)
    assert status == 2
    assert sentence in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, ["--version"]) == (0, f"swirl {metadata.version('swirl-rl')}")


def test_recipes_are_listed_and_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "gsm8k" in answer(capsys, ["recipes"])[1]
    assert answer(capsys, ["recipes", "copy", "gsm8k"])[0] == 0
    assert (tmp_path / "gsm8k.toml").read_text().startswith("# Real GSM8K questions")
    status, said = answer(capsys, ["recipes", "copy", "gsm8k"])
    assert status == 2
    assert "gsm8k.toml is there already" in said


def test_the_flags_are_the_golden_list(capsys: pytest.CaptureFixture[str]) -> None:
    """A new setting is a decision: it is added here on purpose, with `python tests/test_cli.py`."""
    golden = (Path(__file__).parent / "golden" / "flags.txt").read_text().split()
    assert flags(capsys) == golden


def flags(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return flags_in(answer(capsys, ["run", "--help"])[1])


def flags_in(told: str) -> list[str]:
    return sorted(set(re.findall(r"--[a-z][\w.-]*", told)))


# What follows runs the pipeline on a few questions.


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory.mktemp("cli") / "run")


@pytest.mark.slow
def test_a_run_leaves_everything_it_promises(finished: Path) -> None:
    names = {
        "run.toml",
        "trajectories.jsonl",
        "verdicts.jsonl",
        "calls.jsonl",
        "selection.json",
        "summary.json",
        "report.html",
    }
    assert names <= {path.name for path in finished.iterdir()}
    assert main(["verify", str(finished)]) == 0
    summary = json.loads((finished / "summary.json").read_text())
    for part in (summary, *summary["tasks"].values()):
        for stand in (part, part["greedy"]):
            assert 0 <= stand["before"]["accuracy"] <= 1
            assert 0 <= stand["after"]["accuracy"] <= 1
            assert len(stand["gain"]["ci95"]) == 2
            assert stand["gain"]["ci95"][0] <= stand["gain"]["mean"] <= stand["gain"]["ci95"][1]
    assert set(summary["tasks"]) == {"arithmetic", "world"}
    assert summary["seconds"]["total"] > 0
    assert summary["peak_memory_mb"] > 0


@pytest.mark.slow
def test_the_stages_alone_make_what_the_whole_makes(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(["generate", str(run), "--recipe", "smoke", *SMALL]) == 0
    for stage in ("judge", "filter", "train", "evaluate", "report"):
        assert main([stage, str(run)]) == 0
    for name in ("trajectories.jsonl", "verdicts.jsonl", "selection.json", "train/metrics.jsonl"):
        assert (run / name).read_bytes() == (finished / name).read_bytes()


@pytest.mark.slow
def test_nothing_is_removed_for_a_stage_that_is_bound_to_fail(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.name != "run.lock"}
    status, said = answer(capsys, ["judge", str(finished), "--judge.name", "reference", "--redo"])
    assert status == 2
    assert "the judge `reference` needs worked solutions" in said
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
def test_a_second_run_of_the_same_command_does_nothing_again(finished: Path) -> None:
    before = (
        (finished / "trajectories.jsonl").stat().st_mtime_ns,
        (finished / "train" / "metrics.jsonl").stat().st_mtime_ns,
    )
    assert main(small(finished)) == 0
    after = (
        (finished / "trajectories.jsonl").stat().st_mtime_ns,
        (finished / "train" / "metrics.jsonl").stat().st_mtime_ns,
    )
    assert after == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags_given", "sentence"),
    [
        (
            ["--generate.tasks", "arithmetics"],
            "unknown task 'arithmetics': expected one of arithmetic, world, world_sums, gsm8k, jsonl, hotpotqa, musique, 2wiki, "
            "beerqa, cofca, mquake_hard; did you mean 'arithmetic'?",
        ),
        (["--policy.model", "no/such/model"], "no/such/model"),
        (["--generate.tasks", "jsonl:empty.jsonl"], "empty.jsonl"),
        (["--generate.tasks", "jsonl:truncated.jsonl"], "truncated.jsonl:1"),
        (["--generate.tasks", "jsonl:latin1.jsonl"], "latin1.jsonl:1"),
        (["--judge.name", "reference"], "reference"),
    ],
)
def test_bad_input_is_named(
    flags_given: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.jsonl").write_text("")
    Path("truncated.jsonl").write_text('{"id": "1", "question": "What')
    Path("latin1.jsonl").write_bytes('{"id": "1", "question": "Où?"}\n'.encode("latin-1"))
    status, said = answer(capsys, small(Path("out"), *flags_given))
    assert status == 2
    assert sentence in said
    assert "Traceback" not in said


def test_the_outcome_rule_needs_gold_answers_and_says_so_before_anything_is_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.jsonl").write_text('{"id": "1", "question": "What is 2 + 3?"}\n')
    words = ["--generate.tasks", "jsonl:mine.jsonl", "--judge.name", "rule", "--filter.rule", "outcome"]
    status, said = answer(capsys, small(Path("out"), *words))
    assert status == 2
    assert 'filter.rule = "outcome" compares with gold answers, but question' in said
    assert not Path("out/trajectories.jsonl").exists()


@pytest.mark.slow
def test_a_torn_line_is_cut_off_and_a_broken_one_is_named(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(finished, run)
    whole = (run / "trajectories.jsonl").read_bytes()
    (run / "trajectories.jsonl").write_bytes(whole + b'{"schema": "swirl.traj')
    status, said = answer(capsys, ["generate", str(run)])
    assert status == 0
    assert "22 bytes of an unfinished line were cut off" in said
    assert (run / "trajectories.jsonl").read_bytes() == whole
    (run / "trajectories.jsonl").write_bytes(b'{"schema": "swirl.trajectory/1", "id": 3}\n' + whole)
    status, said = answer(capsys, ["judge", str(run), "--redo"])
    assert status == 2
    assert "trajectories.jsonl:1: field id: Expected `str`, got `int`" in said


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("index", "stopped; nothing of the index is kept"),
        ("import", "stopped; nothing of the import is kept"),
        ("generate", "stopped; everything finished so far is kept"),
    ],
)
def test_stopping_a_command_says_what_is_left(
    command: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(name: str, words: Sequence[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, command, COMMANDS[command]._replace(run=stop))
    assert main([command, "x"]) == 130
    assert told in capsys.readouterr().err


if __name__ == "__main__":
    import subprocess
    import sys

    said = subprocess.run(
        [sys.executable, "-m", "swirl", "run", "--help"], capture_output=True, text=True, check=True
    ).stdout
    (Path(__file__).parent / "golden" / "flags.txt").write_text("\n".join(flags_in(said)) + "\n")
