"""`swirl show` and `swirl stats` over a run folder made by hand."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from known_ones import example
from swirl.cli import main
from swirl.commands import looking
from swirl.counts import Counts
from swirl.evaluate import EvaluatedTrajectory
from swirl.filters import Decision, Rule
from swirl.known import Known, evaluated, known
from swirl.locks import locked
from swirl.recipe import load_recipe
from swirl.records import Appender, write_json
from swirl.run import Run
from swirl.selection import Selection
from swirl.shards import shard
from swirl.tasks import Grade
from swirl.types import JudgedStep, PromptStyle, Question, Trajectory, Verdict

Said = Callable[..., tuple[int, str, str]]


def trajectories() -> list[Trajectory]:
    """Two samples of a question, right and wrong, and one of a task that is not here and one without a gold answer."""
    right, wrong = (example(sample=sample, answer=answer).trajectory for sample, answer in enumerate(["1843", "1844"]))
    elsewhere = msgspec.structs.replace(
        example("e").trajectory, question=Question(id="e", task="cofca", text="?", answers=("1843",))
    )
    open_question = msgspec.structs.replace(example("o").trajectory, question=Question(id="o", task="world", text="?"))
    return [right, wrong, elsewhere, open_question]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two shards, the first judged by `solver`, which is the run's own judge, and by `rule`; the filter has decided on it."""
    folder = Run.create(tmp_path / "run", load_recipe("smoke").config).path
    first, second = trajectories()[:2], trajectories()[2:]
    for number, part in enumerate((first, second)):
        with Appender(shard(folder / "trajectories.jsonl", number), Trajectory) as out:
            out.append(part)
    for name, judge, score in (("verdicts", "solver", 1.0), ("verdicts-rule", "rule", 0.0)):
        with Appender(folder / f"{name}.jsonl", JudgedStep) as verdicts:
            verdicts.append(
                [
                    JudgedStep(trajectory=each.id, step=step, judge=judge, verdict=Verdict(score))
                    for each in first
                    for step in (0, 1)
                ]
            )
    decisions = (
        Decision(trajectory="q/0", kept=True, reason="passed"),
        Decision(trajectory="q/1", kept=False, reason="its answer is wrong: 1844"),
    )
    selection = Selection(
        rule=Rule.OUTCOME, judges=("solver",), num_trajectories=2, survival={}, fallen={}, decisions=decisions
    )
    write_json(folder / "selection.json", selection)
    return folder


@pytest.fixture
def evaluation(run: Path) -> Path:
    """The same run, a question evaluated in it."""
    record = EvaluatedTrajectory(
        policy="after",
        task="world",
        mode="greedy",
        prompt=PromptStyle.BARE,
        trajectory=example().trajectory,
        grade=Grade(correct=True),
        verdicts=(Verdict(1.0), Verdict(0.0)),
    )
    with Appender(run / "evaluation" / "after-world-greedy.jsonl", EvaluatedTrajectory) as out:
        out.append([record])
    return run


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Exit status, standard output and standard error of a command."""

    def call(*words: object) -> tuple[int, str, str]:
        try:
            status = main([str(word) for word in words])
        except SystemExit as stop:
            status = int(stop.code or 0)
        found = capsys.readouterr()
        return status, found.out, found.err

    return call


def test_what_is_known_stands_together(run: Path) -> None:
    found = list(known(run, "solver", lambda trajectory: None))
    assert [each.trajectory for each in found] == trajectories()
    assert [(each.kept, each.reason) for each in found[:3]] == [
        (True, "passed"),
        (False, "its answer is wrong: 1844"),
        (None, ""),
    ]
    assert list(found[0].verdicts) == ["solver", "rule"]
    assert found[0].said("solver") == (Verdict(1.0), Verdict(1.0))
    assert found[2].said("rule") == found[2].said("nobody") == (None, None)
    assert [(each.file, each.line) for each in found[1:3]] == [
        ("trajectories.jsonl", 2),
        ("trajectories-00001.jsonl", 1),
    ]


def test_an_evaluation_is_known_with_its_grades_and_labels(evaluation: Path) -> None:
    [found] = evaluated(evaluation)
    assert (found.correct, found.kept, found.file) == (True, None, "after-world-greedy.jsonl")
    assert found.said("labels") == (Verdict(1.0), Verdict(0.0))


def test_show_prints_the_trajectories_for_which_conditions_hold(run: Path, said: Said) -> None:
    status, out, err = said("show", run, "--where", "correct=no", "--limit", 1, "--where", "judge:rule=bad", "kept=no")
    assert (status, err) == (0, "")
    assert out.startswith("q/1 (world, trajectories.jsonl line 2)\n  question │ When was the writer born?\n")
    assert out.count("ended ┃") == 1
    assert "answered, wrong; dropped (its answer is wrong: 1844)" in out
    assert "\x1b" not in out


def test_show_says_that_there_are_more(run: Path, said: Said) -> None:
    status, out, err = said("show", run, "--limit", 2)
    assert (status, out.count("ended ┃")) == (0, 2)
    assert "these are the first 2: --limit 0 prints all" in err
    assert said("show", run, "--limit", 4)[2] == ""
    assert said("show", run, "--limit", 0)[1].count("ended ┃") == 4


def test_show_prints_all_that_is_known_as_json(run: Path, said: Said) -> None:
    _, out, _ = said("show", run, "--json", "--limit", 0)
    found = [msgspec.json.decode(line, type=Known) for line in out.splitlines()]
    assert [each.correct for each in found] == [True, False, None, None]
    assert [each.trajectory for each in found] == trajectories()


def test_show_finds_one_by_its_id(run: Path, said: Said) -> None:
    assert said("show", run, "--id", "e/0")[1].startswith("e/0 (cofca, trajectories-00001.jsonl line 1)")
    status, _, err = said("show", run, "--id", "e/7")
    assert (status, "--id: expected the id of a trajectory of" in err, "found 'e/7'; the nearest are e/0" in err) == (
        2,
        True,
        True,
    )
    assert said("show", run, "--id", "o")[1].startswith("o/0 (world"), "the beginning is enough, as for --explain"
    assert "--id: 2 trajectories of" in said("show", run, "--id", "q/")[2]
    assert "for which the conditions hold, found none" in said("show", run, "--id", "o/0", "--where", "steps>9")[2]


def test_one_of_many_is_read_no_further_than_it_stands(run: Path, said: Said) -> None:
    with shard(run / "trajectories.jsonl", 1).open("a") as stream:
        stream.write('{"schema":"swirl.trajectory/1","id":"z/0"}\n')
    assert said("show", run, "--limit", 0)[0] == 2
    assert said("show", run, "--id", "e/0")[0] == 0


def test_an_empty_run_has_no_trajectories_yet(tmp_path: Path, said: Said) -> None:
    folder = Run.create(tmp_path / "run", load_recipe("smoke").config).path
    (folder / "trajectories.jsonl").touch()
    assert said("show", folder)[2].strip().endswith("run yet")


def test_show_says_where_nothing_is_found(run: Path, said: Said) -> None:
    status, out, err = said("show", run, "--where", "steps>9", "task=world")
    assert (status, out) == (0, "")
    assert "no trajectory in" in err
    assert "for which steps>9 and task=world" in " ".join(err.split())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--where", "taks=world"], "no field 'taks'; did you mean 'task'?"),
        (["--where", "judge:reference=good"], "no verdicts of 'reference'; there are verdicts of solver, rule"),
        (["--of", "evaluation"], "expected an evaluation in"),
        (["--limit", "-1"], "--limit must be 0 (all) or above, found -1"),
    ],
)
def test_a_mistake_gets_one_sentence(words: list[str], sentence: str, run: Path, said: Said) -> None:
    status, out, err = said("show", run, *words)
    assert (status, out) == (2, "")
    assert sentence in err


def test_a_run_without_trajectories_names_the_stage_that_makes_them(tmp_path: Path, said: Said) -> None:
    Run.create(tmp_path / "new", load_recipe("smoke").config)
    for command in ("show", "stats"):
        status, _, err = said(command, tmp_path / "new")
        assert (status, "run `swirl generate" in err) == (2, True)


def test_stats_counts_every_shard(run: Path, said: Said) -> None:
    _, out, _ = said("stats", run, "--json")
    counts = msgspec.convert(json.loads(out), Counts, strict=False)
    assert (counts.trajectories, counts.questions) == (4, 3)
    assert counts.tasks["world"].correct == counts.tasks["world"].kept == 1
    assert (counts.tasks["world"].graded, counts.tasks["cofca"].graded) == (2, 0)
    assert counts.verdicts["solver"].missing == {"not_judged": 4}
    assert [(each.judge, each.agreement.n) for each in counts.agreement] == [("solver", 4)]
    assert "4 trajectories of 3 questions, 8 steps" in said("stats", run)[1]
    assert "1 trajectories" in said("stats", run, "--where", "kept=yes")[1]


def test_an_evaluation_is_shown_and_counted_too(evaluation: Path, said: Said) -> None:
    assert "labels ┃ BAD" in said("show", evaluation, "--of", "evaluation", "--where", "verdict=bad", "file~greedy")[1]
    assert "world 1 100.0" in " ".join(said("stats", evaluation, "--of", "evaluation")[1].split())


def test_looking_works_while_a_run_goes_on(run: Path, said: Said) -> None:
    """The folder is locked, a shard has its writer, its last line is not finished."""
    with locked(run), Appender(run / "trajectories-00001.jsonl", Trajectory):
        with (run / "trajectories-00001.jsonl").open("ab") as torn:
            torn.write(b'{"schema": "swirl.traj')
        assert said("stats", run)[1].startswith("4 trajectories")
        assert said("show", run, "--limit", 0)[0] == 0


def test_where_there_is_much_to_read_a_bar_is_shown(run: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_BIG", 0)
    monkeypatch.setattr(looking, "_GROUP", 1)
    assert "read: 4 trajectories" in said("stats", run)[2]
    assert "read:" not in said("show", run, "--limit", 0)[2]


def test_whoever_reads_the_output_may_have_seen_enough(run: Path) -> None:
    command = f"{sys.executable} -m swirl show {run} --limit 0 | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_damaged_line_is_named(run: Path, said: Said) -> None:
    with (run / "trajectories.jsonl").open("ab") as damaged:
        damaged.write(b"{}\n")
    status, _, err = said("stats", run)
    assert status == 2
    assert "trajectories.jsonl:3" in err
