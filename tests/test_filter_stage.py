"""Filtering over run folders: one pass, nothing judged again, shards, judges that agree, and why one trajectory was kept or dropped."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from swirl import stages
from swirl.cli import main
from swirl.errors import ConfigError, RunFolderError
from swirl.explain import explain
from swirl.filters import Check, FilterConfig, Rule
from swirl.judges.rule import Rule as RuleJudge
from swirl.judges.solver import Solver
from swirl.locks import locked
from swirl.records import Appender, read
from swirl.report import write_report
from swirl.run import Run
from swirl.shards import ids, shard
from swirl.stages.filter import kept_of, select
from swirl.stages.judge import judge
from swirl.types import JudgedStep, Trajectory, Verdict, VerdictStatus
from test_stages import CONFIG, begun


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two worked solutions and two wild guesses, judged by two judges; the second finds all good."""
    made = begun(tmp_path / "run")
    judge(made)
    with Appender(made.verdicts("rule"), JudgedStep) as out:
        records = read(made.verdicts("solver"), JudgedStep)
        out.append([structs.replace(each, judge="rule", verdict=Verdict(1.0, "fine")) for each in records])
    return made


def filtered(run: Run, **changes: Any) -> list[bool]:
    run.config = replace(CONFIG, filter=FilterConfig(**changes))
    return [decision.kept for decision in select(run)]


def test_filtering_again_judges_nothing_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a judge was asked")

    monkeypatch.setattr(Solver, "judge", never)
    monkeypatch.setattr(RuleJudge, "judge", never)
    verdicts = run.verdicts("solver").read_bytes()
    for rule, kept in {"none": 4, "process": 2, "outcome": 2, "both": 2, "either": 2}.items():
        config = replace(CONFIG, filter=FilterConfig(rule=Rule(rule)))
        stages.run_stage("filter", run.path, config, redo=True)
        assert sum(json.loads(line[4:].rstrip(",\n"))["kept"] for line in decisions(run)) == kept
    assert run.verdicts("solver").read_bytes() == verdicts


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"judges": ("reference",)}, "because filter.judges names reference"),
        ({"judges": ("rule",)}, r"`judge` is unfinished \(2 of \d+ verdicts of rule\)"),
    ],
)
def test_filtering_again_in_vain_removes_and_changes_nothing(run: Run, changes: dict[str, Any], told: str) -> None:
    select(run)
    run.model.mkdir(parents=True)
    (run.model / "model.safetensors").write_text("trained for days")
    run.verdicts("rule").write_bytes(b"".join(run.verdicts("rule").read_bytes().splitlines(keepends=True)[:2]))
    before = contents(run)
    again = replace(CONFIG, filter=FilterConfig(**changes))
    with pytest.raises(RunFolderError, match=told):
        stages.run_stage("filter", run.path, again, redo=True)
    assert contents(run) == before
    stages.run_stage("filter", run.path, replace(CONFIG, filter=FilterConfig(rule=Rule.NONE)), redo=True)
    assert not run.model.exists()
    assert Run.open(run.path).config.filter.rule is Rule.NONE


def contents(run: Run) -> dict[Path, bytes]:
    """Of all files but the lock."""
    return {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file() and path.name != "run.lock"}


def decisions(run: Run) -> list[str]:
    return [line for line in run.selection.read_text().splitlines() if line.startswith("    {")]


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, [True, True, False, False]),
        ({"judges": ("rule",)}, [True] * 4),
        ({"judges": ("solver", "rule")}, [True, True, False, False]),
        ({"judges": ("solver", "rule"), "agree": 1}, [True] * 4),
        ({"judges": ("rule",), "min_steps": 2}, [True, True, False, False]),
        ({"judges": ("rule",), "max_steps": 1}, [False, False, True, True]),
        ({"rule": Rule.EITHER, "judges": ("rule",)}, [True] * 4),
    ],
)
def test_judges_are_counted_whose_verdicts_are_on_record(run: Run, changes: dict[str, Any], kept: list[bool]) -> None:
    assert filtered(run, **changes) == kept


def test_a_judge_without_verdicts_is_named_with_those_that_have_some(run: Run) -> None:
    told = (
        r"expected verdicts-rulle.jsonl in .*, because filter.judges names rulle, found verdicts of solver, rule; did you mean 'rule'\?"
        r"; put it there, or name one of these"
    )
    with pytest.raises(RunFolderError, match=told):
        filtered(run, judges=("rulle",))
    told = r"expected verdicts-reference.jsonl .* found verdicts of solver, rule; run `swirl judge .* --compare solver reference` first"
    with pytest.raises(RunFolderError, match=told):
        filtered(run, judges=("reference",))
    run.verdicts("rule").write_bytes(b"".join(run.verdicts("rule").read_bytes().splitlines(keepends=True)[:3]))
    with pytest.raises(
        RunFolderError, match=r"\(3 of \d+ verdicts of rule\): run `swirl judge .* --compare solver rule` "
    ):
        filtered(run, judges=("solver", "rule"))
    split(run, 3)
    with pytest.raises(RunFolderError, match="found verdicts of solver, rule;"):
        filtered(run, judges=("reference",))


def test_the_judge_stage_makes_the_verdicts_that_the_filter_counts(tmp_path: Path) -> None:
    made = begun(tmp_path / "run")
    made.config = replace(CONFIG, filter=FilterConfig(judges=("rule", "theirs")))
    judge(made)
    found = {path.name for path in made.path.glob("verdicts*")}
    assert found == {"verdicts.jsonl", "verdicts-rule.jsonl"}, "another program's are its own"


def test_a_judge_that_does_not_know_the_questions_is_refused_before_anything_is_made(run: Run) -> None:
    config = replace(CONFIG, filter=FilterConfig(judges=("solver", "reference")))
    with pytest.raises(ConfigError, match="the judge `reference` needs worked solutions"):
        stages.run_stage("judge", run.path, config)


def test_verdicts_and_trajectories_of_a_shard_belong_together(run: Run) -> None:
    whole = filtered(run)
    text = run.selection.read_bytes()
    split(run, 3)
    assert filtered(run) == whole
    assert run.selection.read_bytes() == text
    assert [each.place[0].name for each in ids(run.path)] == ["trajectories.jsonl"] * 3 + ["trajectories-00001.jsonl"]
    with shard(run.verdicts("solver"), 1).open("a") as stream:
        stream.write(run.verdicts("solver").read_text().splitlines(keepends=True)[0])
    with pytest.raises(
        RunFolderError, match=r"verdicts-00001.jsonl:\d+: step 0 of .* is none of the \d+ verdicts that belong"
    ):
        filtered(run)


def split(run: Run, first: int) -> None:
    """Put all trajectories but the first few, and their verdicts, into a second shard."""
    moved = {each.id for each in list(read(run.trajectories, Trajectory))[first:]}
    for path in (run.trajectories, *run.path.glob("verdicts*.jsonl")):
        lines = path.read_text().splitlines(keepends=True)
        there = [bool({json.loads(line).get("id"), json.loads(line).get("trajectory")} & moved) for line in lines]
        shard(path, 1).write_text("".join(line for line, goes in zip(lines, there, strict=True) if goes))
        path.write_text("".join(line for line, goes in zip(lines, there, strict=True) if not goes))


def test_a_trajectory_in_two_shards_is_named(run: Run) -> None:
    split(run, 3)
    first = run.trajectories.read_text().splitlines(keepends=True)[1]
    with shard(run.trajectories, 1).open("a") as stream:
        stream.write(first)
    name = json.loads(first)["id"]
    with pytest.raises(
        RunFolderError, match=rf"trajectories-00001.jsonl:2: {name} stands in trajectories.jsonl:2 already"
    ):
        filtered(run)


def test_a_trajectory_nobody_asked_for_is_named(run: Run) -> None:
    line = json.loads(run.trajectories.read_text().splitlines()[0])
    with run.trajectories.open("a") as stream:
        stream.write(json.dumps({**line, "id": "other/0"}) + "\n")
    with pytest.raises(
        RunFolderError, match=r"trajectories.jsonl:5: other/0 is none of the 4 trajectories that belong here now"
    ):
        filtered(run)


def test_a_verdict_on_a_step_that_is_not_there_is_named(run: Run) -> None:
    name = next(read(run.trajectories, Trajectory)).id
    with Appender(run.verdicts("solver"), JudgedStep) as out:
        count = len(out)
        out.append([JudgedStep(trajectory=name, step=99, judge="solver", verdict=Verdict(1.0))])
    with pytest.raises(
        RunFolderError, match=rf"verdicts.jsonl:{count + 1}: step 99 of trajectory '{name}' is none of the {count}"
    ):
        filtered(run)


def test_a_verdict_that_took_the_place_of_a_missing_one_counts(run: Run) -> None:
    records = list(read(run.verdicts("solver"), JudgedStep))
    missing = Verdict(None, "busy", VerdictStatus.TIMED_OUT)
    run.verdicts("solver").unlink()
    with Appender(run.verdicts("solver"), JudgedStep) as out:
        out.append([structs.replace(records[0], verdict=missing), *records])
    assert filtered(run) == [True, True, False, False]


def test_equal_trajectories_balance_and_size_reach_the_file_and_the_page(run: Run) -> None:
    """Three samples of a question, of which two are equal."""
    config = replace(CONFIG, generate=replace(CONFIG.generate, questions=1, samples=3))
    first, _, guess, _ = read(run.trajectories, Trajectory)
    with Appender(run.trajectories, Trajectory) as out:
        out.rewind(0)
        guessed = structs.replace(guess, id=first.id[:-1] + "2", question=first.question)
        out.append([first, structs.replace(first, id=first.id[:-1] + "1"), guessed])
    run.verdicts("solver").unlink()
    run.config = config
    judge(run)
    run.config = replace(config, filter=FilterConfig(rule=Rule.NONE, unique=True, per_question=1))
    found = select(run)
    assert found[1].reason == f"equal to {first.id}"
    assert sorted(str(each.check) for each in found if not each.kept) == ["per_question", "unique"]
    assert [each.id for each in kept_of(run)] == [each.trajectory for each in found if each.kept]
    run.write_config()
    write_report(run.path)
    page = (run.path / "report.html").read_text()
    for shown in (
        "without equal ones",
        "balanced over questions",
        "equal to an earlier one (1)",
        "<strong>1</strong>",
        "<svg",
    ):
        assert shown in page


# Why one was kept or dropped.


def explained(run: Run, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    status = main(["filter", str(run.path), "--explain", *words])
    said = capsys.readouterr()
    return status, " ".join((said.out + said.err).split())


def names(run: Run) -> list[str]:
    return [each.id for each in ids(run.path)]


def test_an_explanation_tells_steps_verdicts_rules_and_what_was_decided(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    select(run)
    with locked(run.path):
        before = {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
        status, said = explained(run, capsys, names(run)[2])
    assert status == 0
    assert "solver bad 0 " in said
    assert "rule good 1 fine ended answered, wrong" in said
    assert "A step is good where solver says so, from a score of 0.5 on." in said
    assert "none keeps process drops process step 1 was judged bad" in said
    assert "outcome drops outcome its answer is wrong: 1000003" in said
    assert "Dropped by process, says selection.json (rule process, judged by solver): step 1 was judged bad" in said
    assert {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()} == before
    _, said = explained(run, capsys, names(run)[2], "--filter.judges", "rule", "solver", "--filter.agree", "1")
    assert "A step is good where 1 of rule, solver says so" in said
    assert "process keeps" in said
    assert "either keeps" in said


def test_an_explanation_needs_no_selection_and_none_but_its_own_files(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with run.trajectories.open("ab") as stream:
        stream.write(b'{"schema":"swirl.trajectory/1","id":"torn')
    run.verdicts("solver").unlink()
    status, said = explained(run, capsys, names(run)[0])
    assert status == 0
    assert "step 1 has no verdict (not judged)" in said
    assert "ended answered, right" in said
    assert f"Not decided yet: run `swirl filter {run.path}`." in said


def test_the_beginning_of_an_id_is_enough_where_no_other_begins_so(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    first = names(run)[0]
    unclear = next(first[:i] for i in range(len(first), 0, -1) if all(n.startswith(first[:i]) for n in names(run)))
    status, said = explained(run, capsys, unclear)
    assert status == 2
    assert (
        f"4 trajectories of {run.path} have ids that begin with {unclear!r}: {', '.join(names(run))}; name one of them"
        in said
    )
    clear = next(first[:i] for i in range(1, len(first) + 1) if sum(n.startswith(first[:i]) for n in names(run)) == 1)
    assert explained(run, capsys, clear)[0] == 0
    with pytest.raises(RunFolderError, match=rf"found '{first[:-1]}x'; the nearest are {first}"):
        explain(run.path, run.config, f"{first[:-1]}x")


def test_what_a_model_wrote_moves_no_cursor(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    first, *others = read(run.trajectories, Trajectory)
    hostile = "\x1b[2J[red]\u202e gone \x07"
    step = structs.replace(first.steps[0], text=hostile)
    with Appender(run.trajectories, Trajectory) as out:
        out.rewind(0)
        out.append([structs.replace(first, steps=(step, *first.steps[1:])), *others])
    with Appender(run.verdicts("solver"), JudgedStep) as out:
        records = list(read(run.verdicts("solver"), JudgedStep))
        out.rewind(0)
        out.append([structs.replace(records[0], verdict=Verdict(0.0, hostile)), *records[1:]])
    select(run)
    status, said = explained(run, capsys, first.id)
    assert status == 0
    assert not {"\x1b", "\x07", "\u202e"} & set(said)
    assert said.count(r"\x1b[2J[red]\u202e gone \x07") == 5


def test_an_explanation_of_a_filter_that_was_not_run_again_says_what_it_was(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    filtered(run, rule=Rule.NONE, size=1)
    dropped = next(each for each in select(run) if each.check is Check.SIZE)
    assert (
        "Dropped by size, says selection.json (rule none, judged by solver): passed, but more than the 1"
        in explained(run, capsys, dropped.trajectory)[1]
    )
    selection = run.selection.read_text()
    run.selection.write_text(selection.replace(f'"{dropped.trajectory}"', '"another"'))
    assert (
        f"Not in selection.json (rule none, judged by solver): run `swirl filter {run.path}`."
        in explained(run, capsys, dropped.trajectory)[1]
    )


def test_a_question_whose_task_is_gone_is_not_graded(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = Run.create(tmp_path / "moved", replace(CONFIG, generate=replace(CONFIG.generate, tasks=("world",))))
    for path in run.path.glob("*.jsonl"):
        shutil.copy(path, moved.path)
    text = moved.trajectories.read_text()
    moved.trajectories.write_text(text.replace('"task":"arithmetic"', '"task":"elsewhere"'))
    _, said = explained(moved, capsys, names(run)[0])
    assert "ended answered, not graded" in said
    assert "outcome drops outcome its answer was not graded" in said


@pytest.mark.parametrize("words", [["--explain", ""], []])
def test_without_an_id_the_stage_runs(run: Run, words: Sequence[str]) -> None:
    assert main(["filter", str(run.path), *words]) == 0
    assert run.selection.exists()
