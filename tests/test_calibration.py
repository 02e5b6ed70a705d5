"""A judge measured against the truth: figures against brute force, what is missing, labels of a user's own, and what a page shows of it."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl.calibrated import Calibration, bin_rows, changed, print_calibration, read_calibration
from swirl.cli import main
from swirl.errors import ConfigError, RecordError, RunFolderError
from swirl.judges import JudgeConfig, StepSample
from swirl.judges.adversarial import ATTACKS, STATES, acceptances, adversarial, draw
from swirl.judges.calibration import Measures, Point, calibrate
from swirl.judges.labels import placed, read_labels
from swirl.judges.rule import Rule
from swirl.judges.solver import Solver
from swirl.records import Appender, read, write_json
from swirl.report import write_report
from swirl.run import Run
from swirl.stages import run_stage
from swirl.stages.calibrate import calibrate_judge, require_truth
from swirl.statistics import auroc, resampled_aurocs
from swirl.types import (
    JudgedStep,
    Malformed,
    Observation,
    Question,
    Rules,
    Step,
    ToolCall,
    Trajectory,
    Verdict,
    VerdictStatus,
)
from test_stages import CONFIG, begun, mixed

MISSING = Verdict(None, "?", VerdictStatus.UNREADABLE)
HOSTILE = "<script>alert('x')</script>[bold]&\"<img src=x onerror=alert(1)>"
SCORED = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.5, 0.75, 1.0]), st.booleans()), max_size=40)


def point(
    score: float | None, good: bool, step: int = 0, length: int = 9, kind: str = "answers", q: str = "q"
) -> Point:
    return Point(MISSING if score is None else Verdict(score), Verdict(float(good)), step, length, kind, q)


def pairs_won(scored: Sequence[tuple[float, bool]]) -> float | None:
    """The area under the curve, pair by pair."""
    wins = [
        1.0 if mine > its else 0.5 if mine == its else 0.0
        for mine, good in scored
        if good
        for its, other in scored
        if not other
    ]
    return sum(wins) / len(wins) if wins else None


@settings(deadline=None)
@given(SCORED)
def test_the_area_is_the_share_of_pairs_that_are_in_order(scored: list[tuple[float, bool]]) -> None:
    found, expected = auroc([score for score, _ in scored], [good for _, good in scored]), pairs_won(scored)
    assert (found is None) is (expected is None)
    assert found == (None if expected is None else pytest.approx(expected))


@settings(deadline=None, max_examples=30)
@given(SCORED.filter(bool), st.integers(0, 5))
def test_a_resampled_area_is_that_of_items_written_out_as_often_as_their_question_was_drawn(
    scored: list[tuple[float, bool]], seed: int
) -> None:
    owners = [place % 3 for place in range(len(scored))]
    questions = max(owners) + 1
    areas = resampled_aurocs([s for s, _ in scored], [g for _, g in scored], owners, seed=seed, draws=4)
    for area, drawn in zip(areas, np.random.default_rng(seed).integers(0, questions, (4, questions)), strict=True):
        expected = pairs_won([item for q in drawn for item, owner in zip(scored, owners, strict=True) if owner == q])
        assert np.isnan(area) if expected is None else area == pytest.approx(expected)


@settings(deadline=None, max_examples=40)
@given(SCORED.filter(bool))
def test_kappa_and_errors_are_those_counted_from_the_four_cells(scored: list[tuple[float, bool]]) -> None:
    found = calibrate([point(score, good, q=str(i % 4)) for i, (score, good) in enumerate(scored)], seed=1)
    cells = {(mine, truth): 0 for mine in (False, True) for truth in (False, True)}
    for score, good in scored:
        cells[score >= 0.5, good] += 1
    n = len(scored)
    called, is_good = cells[True, True] + cells[True, False], cells[True, True] + cells[False, True]
    observed = (cells[True, True] + cells[False, False]) / n
    chance = called / n * is_good / n + (n - called) / n * (n - is_good) / n
    assert found.agreement.kappa == pytest.approx((observed - chance) / (1 - chance) if chance < 1 else 0.0)
    assert found.agreement.accuracy == pytest.approx(observed)
    wrong, missed = found.errors.false_positive, found.errors.false_negative
    assert (wrong.count, wrong.n) == (cells[True, False], n - is_good)
    assert (missed.count, missed.n) == (cells[False, True], is_good)
    assert found.brier == pytest.approx(sum((score - good) ** 2 for score, good in scored) / n)
    assert sum(each.good.n for each in found.bins) == n
    assert sum(each.good.count for each in found.bins) == is_good
    for groups in (found.by_step, found.by_length):
        assert sum(each.false_positive.n + each.false_negative.n for each in groups.values()) == n


def test_intervals_hold_the_figures_and_keep_the_steps_of_a_question_together() -> None:
    rng = random.Random(1)
    drawn = [(rng.random() < 0.5, rng.random() < 0.8) for _ in range(60)]
    scored = [(good, float(good if right else not good)) for good, right in drawn]
    alone = calibrate([point(score, good, q=str(i)) for i, (good, score) in enumerate(scored)], seed=1)
    copied = calibrate(
        [point(score, good, q=str(i)) for i, (good, score) in enumerate(scored) for _ in range(9)], seed=1
    )
    for found in (alone, copied):
        assert found.auroc_ci95 is not None
        assert found.kappa_ci95 is not None
        assert found.auroc is not None
        assert found.auroc_ci95[0] < found.auroc < found.auroc_ci95[1]
        assert found.kappa_ci95[0] < found.agreement.kappa < found.kappa_ci95[1]
    assert copied.auroc_ci95 == pytest.approx(alone.auroc_ci95), "nine copies of a step tell nothing new"
    assert copied.agreement.accuracy_ci95 != pytest.approx(alone.agreement.accuracy_ci95)


@pytest.mark.parametrize("good", [True, False])
def test_of_one_class_there_is_no_area_and_no_rate_of_the_other(good: bool) -> None:
    found = calibrate([point(1.0, good, q=str(i)) for i in range(5)], seed=1)
    assert (found.auroc, found.auroc_ci95) == (None, None)
    absent = found.errors.false_positive if good else found.errors.false_negative
    assert (absent.n, absent.share, absent.ci95) == (0, None, (0.0, 1.0))


@pytest.mark.parametrize("points", [[], [point(None, True, kind="searches"), point(None, False)]])
def test_without_a_verdict_there_is_no_figure(points: list[Point], capsys: pytest.CaptureFixture[str]) -> None:
    found = calibrate(points, seed=1)
    assert (found.agreement.n, found.auroc, found.brier, found.bins, found.by_length) == (0, None, None, (), {})
    assert sum(each.missing for each in found.missing.values()) == len(points)
    print_calibration(record(found))
    assert "accuracy 0 -" in " ".join(capsys.readouterr().out.split())


def record(measures: Measures) -> Calibration:
    return Calibration(
        judge="rule",
        truth="solver",
        seed=1,
        made_of={},
        measures=measures,
        left_out={},
        states=0,
        families=(),
        actions=(),
    )


def test_a_missing_verdict_is_counted_by_kind_and_is_no_zero() -> None:
    known = [point(1.0, True, q="a"), point(0.0, False, q="b"), point(1.0, False, q="b")]
    missing = [point(None, True, kind="searches"), point(None, True)]
    found, without = calibrate([*known, *missing], seed=1), calibrate(known, seed=1)
    assert {kind: (each.missing, each.n) for kind, each in found.missing.items()} == {
        "searches": (1, 1),
        "answers": (1, 4),
    }
    assert (found.errors, found.auroc, found.brier, found.bins) == (
        without.errors,
        without.auroc,
        without.brier,
        without.bins,
    )
    assert (found.agreement.n, found.agreement.missing) == (3, 2)


def test_a_truth_without_a_score_is_refused() -> None:
    with pytest.raises(ValueError, match="found one without"):
        calibrate([Point(Verdict(1.0), MISSING, 0, 1, "answers", "q")], seed=1)


def test_errors_are_told_by_position_and_by_tercile_of_length() -> None:
    points = [point(1.0, False, step=i, length=10 * (i + 1)) for i in range(6)]
    found = calibrate([*points, point(0.0, False, step=0, length=10)], seed=1)
    assert list(found.by_step) == ["1", "2", "3", "4+"]
    assert [each.false_positive.n for each in found.by_step.values()] == [2, 1, 1, 3]
    assert found.by_step["1"].false_positive.share == 0.5
    assert list(found.by_length) == ["up to 20", "21 to 40", "over 40"]
    assert [each.false_positive.n for each in found.by_length.values()] == [3, 2, 2]
    assert list(calibrate([point(1.0, True) for _ in range(5)], seed=1).by_length) == ["up to 9"]


def test_the_bins_tell_what_a_graded_score_is_worth() -> None:
    found = calibrate([point(0.0, False), point(0.72, True), point(0.78, False), point(1.0, True)], seed=1)
    assert bin_rows(found)[1:] == [
        ("0.00", "1", "0.00 [0.00, 0.79]"),
        ("0.75", "2", "0.50 [0.09, 0.91]"),
        ("1.00", "1", "1.00 [0.21, 1.00]"),
    ]


# Adversarial actions


STATE = Trajectory(
    id="q/0",
    question=Question(id="q", task="t", text="Who founded Port Lumen?"),
    rules=Rules(tools=("search", "calculator")),
    steps=(
        Step(
            text="<search_query>Port Lumen</search_query>",
            action=ToolCall("search", "Port Lumen"),
            observation=Observation("Port Lumen was founded by Ada Quill."),
        ),
    ),
)


class Scripted:
    """Says the same of everything, malformed actions too."""

    name = "scripted"

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        return [self.verdict for _ in samples]


def accepted(judging: Rule | Solver | Scripted, *states: Trajectory) -> dict[str, tuple[int, int, int, int]]:
    """Family -> accepted, verdicts that can be read, missing ones, malformed actions accepted."""
    played = adversarial(states or [STATE])
    found = acceptances(played, judging.judge([each.sample for each in played]), lambda each: each.family)
    return {
        each.name: (each.accepted.count, each.accepted.n, each.missing.count, each.malformed.count) for each in found
    }


def test_a_judge_that_accepts_everything_is_seen_to_malformed_actions_too() -> None:
    found = accepted(Scripted(Verdict(1.0)))
    assert list(found) == list(dict.fromkeys(attack.family for attack in ATTACKS))
    assert all(good == n for good, n, _, _ in found.values())
    assert found["opener without a tag"] == (0, 0, 0, 4)
    assert found["empty"] == (2, 2, 0, 4)


def test_a_judge_that_says_nothing_accepts_nothing_and_all_is_missing() -> None:
    everything, nothing = accepted(Scripted(Verdict(1.0))), accepted(Scripted(MISSING))
    assert nothing == {family: (0, 0, n, 0) for family, (_, n, _, _) in everything.items()}


def test_the_rule_judge_accepts_the_question_as_the_query_and_it_shows() -> None:
    found = accepted(Rule())
    assert found.pop("question as the query")[0] == 1
    assert found.pop("result as the answer")[0] == 1, "it is short"
    assert {name: good for name, (good, *_) in found.items() if good} == {}
    assert not any(malformed for *_, malformed in found.values())


def test_the_solver_accepts_none_of_it_but_results_that_are_the_answer(tmp_path: Path) -> None:
    trajectories = read(begun(tmp_path / "run").trajectories, Trajectory)
    states = [msgspec.structs.replace(each, steps=each.steps[:-1], stop=None) for each in trajectories]
    found = accepted(Solver(), *states)
    assert len(found) == len({attack.family for attack in ATTACKS})
    good, n, *_ = found.pop("result as the answer")
    assert 0 < good <= n
    assert all(good == 0 and malformed == 0 for good, _, _, malformed in found.values())


def test_malformed_actions_are_those_that_the_protocol_reads_so() -> None:
    played = adversarial([STATE])
    malformed = {each.name for each in played if isinstance(each.sample.step.action, Malformed)}
    assert malformed == {
        *("thought process", "colon", "solution", "let's"),
        *("nothing", "empty answer", "empty search", "blank calculation", "forged verdict at the end"),
    }
    assert all(each.sample.step.observation is None for each in played)
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)


def test_what_makes_no_sense_at_a_state_is_not_played_there() -> None:
    first = msgspec.structs.replace(STATE, steps=(), rules=Rules())
    families = {each.family for each in adversarial([first])}
    assert not families & {"repeated call", "question as the query", "result as the answer"}
    repeated = [each.sample.step.text for each in adversarial([STATE]) if each.family == "repeated call"]
    assert repeated == ["<search_query>Port Lumen</search_query>", "<search_query>PORT LUMEN</search_query>"]


def test_states_are_drawn_by_seed_and_never_more_than_the_bound() -> None:
    states = [
        msgspec.structs.replace(STATE, id=str(place), question=msgspec.structs.replace(STATE.question, id=str(place)))
        for place in range(3 * STATES)
    ]
    one, again, other = (draw(states, seed=seed) for seed in (1, 1, 2))
    assert one == again != other
    assert len({state.id for state in one}) == STATES
    assert draw([], seed=1) == []


def test_a_state_that_several_samples_share_is_drawn_once() -> None:
    again = msgspec.structs.replace(STATE, id="q/1")
    further = msgspec.structs.replace(STATE, steps=STATE.steps * 2)
    assert draw([STATE, again, further], seed=1) == [STATE, further]


# Labels


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "labels.jsonl:2: expected one JSON object"),
        ('{"step": 0, "good": true}', "labels.jsonl:2: field trajectory: expected a text, found nothing"),
        ('{"trajectory": "a/0", "good": true}', "field step: expected a whole number, counted from 0, found nothing"),
        ('{"trajectory": "a/0", "step": true, "good": true}', "field step: expected a whole number.*found True"),
        ('{"trajectory": "a/0", "step": -1, "good": true}', "field step: .*found -1"),
        ('{"trajectory": "a/0", "step": 0.5, "good": true}', "field step: .*found 0.5"),
        ('{"trajectory": "a/0", "step": 1}', "field score: expected a score or good, and not both, found neither"),
        ('{"trajectory": "a/0", "step": 1, "good": true, "score": 1}', "and not both, found score and good"),
        ('{"trajectory": "a/0", "step": 1, "good": 1}', "field good: expected true or false, found 1"),
        ('{"trajectory": "a/0", "step": 1, "score": 1.5}', "field score: expected a number from 0 to 1, found 1.5"),
        ('{"trajectory": "a/0", "step": 1, "score": NaN}', "field score: expected a number from 0 to 1, found nan"),
        ('{"trajectory": "a/0", "step": 1, "score": true}', "field score: expected a number from 0 to 1, found True"),
        ('{"trajectory": "a/0", "step": 0, "good": false}', "labelled at .*labels.jsonl:1 already; delete one"),
        ('{"trajectory": "b/0", "step": 0, "good": true}', "labels.jsonl:2: field trajectory: .*found 'b/0'"),
        ('{"trajectory": "a/0", "step": 1, "good": true}', "labels.jsonl:2: field step: .*1 steps of .*found 1"),
    ],
)
def test_a_label_that_cannot_be_used_is_named_by_file_line_and_field(line: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text(f'{{"trajectory": "a/0", "step": 0, "score": 0.5}}\n{line}\n')
    with pytest.raises(RecordError, match=told):
        placed(read_labels(file), [msgspec.structs.replace(STATE, id="a/0")])


def label(run: Run, file: Path, count: int) -> Path:
    """Labels of the run's first steps: good, then bad, in turns."""
    steps = [(each.id, index) for each in read(run.trajectories, Trajectory) for index in range(len(each.steps))]
    rows = [{"trajectory": id, "step": step, "good": i % 2 == 0} for i, (id, step) in enumerate(steps[:count])]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


# Over a run folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Judged by rule; two worked solutions and two wild guesses."""
    made = begun(tmp_path / "run")
    made.config = replace(CONFIG, judge=JudgeConfig(name="rule"))
    made.write_config()
    return made


def test_a_run_is_calibrated_from_the_command_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", str(run.path), "--calibrate", "solver"]) == 0
    said = capsys.readouterr().out
    for heading in ("accuracy", "AUROC", "false-positive rate", "Brier score", "step 1", "malformed: BAD", "padding"):
        assert heading in said
    assert max(map(len, said.splitlines())) <= 80
    assert "…" not in said
    told = json.loads((run.path / Calibration.FILE).read_text())
    assert (told["schema"], told["judge"], told["truth"]) == ("swirl.calibration/1", "rule", "solver")
    found = read_calibration(run.path)
    assert found is not None
    assert found.measures.agreement.n == len(list(read(run.verdicts("rule"), JudgedStep)))
    assert found.measures.errors.false_negative.n == found.measures.agreement.n - 2
    assert changed(run.path, found) == []
    whole = (run.path / Calibration.FILE).read_bytes()
    assert main(["judge", str(run.path), "--calibrate", "solver"]) == 0
    assert (run.path / Calibration.FILE).read_bytes() == whole, "equal runs have equal files"


def test_own_labels_are_a_truth_and_steps_without_one_are_left_out(run: Run, tmp_path: Path) -> None:
    found = calibrate_judge(run, str(label(run, tmp_path / "labels.jsonl", 3)))
    num_steps = len(list(read(run.verdicts("rule"), JudgedStep)))
    assert (found.measures.agreement.n, found.left_out) == (3, {"arithmetic": num_steps - 3})
    assert (found.measures.errors.false_positive.n, found.measures.errors.false_negative.n) == (1, 2)
    assert not (run.path / "verdicts-solver.jsonl").exists()
    label(run, tmp_path / "labels.jsonl", 2)
    assert changed(run.path, found) == [str(tmp_path / "labels.jsonl")]
    (tmp_path / "labels.jsonl").unlink()
    assert changed(run.path, found) == [], "the folder may have been moved"


def test_questions_that_the_truth_does_not_know_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = mixed(tmp_path)
    assert calibrate_judge(both, "solver").left_out == {"jsonl": 2}
    assert "Left out: 2 steps of jsonl, of which solver does not tell the truth." in capsys.readouterr().out
    with pytest.raises(ConfigError, match="the judge `reference` needs worked solutions"):
        calibrate_judge(both, "reference")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--calibrate", "rule"], "--calibrate rule: expected another truth than the run's own judge, found itself"),
        (["--calibrate", "solvr"], "expected solver, reference or a file of labels (JSON lines), found 'solvr'"),
        (["--calibrate", "solver", "--compare", "rule", "solver"], "expected --compare or --calibrate, found both"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence_and_removes_nothing(
    words: list[str], told: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["judge", str(run.path)]) == 0
    whole = run.verdicts("rule").read_bytes()
    assert main(["judge", str(run.path), "--redo", *words]) == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert run.verdicts("rule").read_bytes() == whole


def test_a_broken_file_of_labels_is_said_before_anything_is_removed(run: Run, tmp_path: Path) -> None:
    calibrate_judge(run, "solver")
    (tmp_path / "labels.jsonl").write_text('{"trajectory": "x"}\n')
    with pytest.raises(RecordError, match="field step"):
        run_stage("judge", run.path, run.config, redo=True, calibrate=str(tmp_path / "labels.jsonl"))
    assert (run.path / Calibration.FILE).exists()
    require_truth("reference", "rule")


def test_judging_again_removes_a_calibration(run: Run) -> None:
    calibrate_judge(run, "solver")
    run_stage("judge", run.path, run.config, redo=True)
    assert not (run.path / Calibration.FILE).exists()


def test_a_run_without_trajectories_asks_for_them(tmp_path: Path) -> None:
    empty = Run.create(tmp_path / "empty", replace(CONFIG, judge=JudgeConfig(name="rule")))
    with pytest.raises(RunFolderError, match="run `swirl generate"):
        calibrate_judge(empty, "solver")


def test_trajectories_without_a_step_leave_nothing_to_measure(run: Run) -> None:
    trajectories = list(read(run.trajectories, Trajectory))
    run.trajectories.unlink()
    with Appender(run.trajectories, Trajectory) as out:
        out.append([msgspec.structs.replace(each, steps=(), stop=None) for each in trajectories])
    found = calibrate_judge(run, "solver")
    assert (found.measures.agreement.n, found.states, found.families) == (0, 0, ())
    write_report(run.path)


def test_verdicts_that_are_missing_are_told_by_kind(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("judge", "calibrate"):
        monkeypatch.setattr(import_module(f"swirl.stages.{module}"), "open_judge", lambda name, *_: judge_of(name))
    found = calibrate_judge(run, "solver")
    assert found.measures.agreement.n == 0
    assert {kind: each.missing == each.n for kind, each in found.measures.missing.items()} == {
        "calculations": True,
        "answers": True,
    }
    write_report(run.path)


def judge_of(name: str) -> Scripted | Solver:
    return Solver() if name == "solver" else Scripted(MISSING)


# The page


def page_of(run: Run) -> str:
    write_report(run.path)
    return (run.path / "report.html").read_text("utf-8")


def test_the_page_shows_a_calibration_where_there_is_one(run: Run) -> None:
    assert "How far the judge can be trusted" not in page_of(run)
    calibrate_judge(run, "solver")
    page = page_of(run)
    for part in ("How far the judge can be trusted", "rule against solver", "AUROC", "words to the judge", "<svg"):
        assert part in page
    assert "Out of date" not in page


@pytest.mark.parametrize("file", ["verdicts.jsonl", "verdicts-solver.jsonl", "trajectories.jsonl"])
def test_a_calibration_of_other_files_is_said_to_be_out_of_date_and_not_shown(file: str, run: Run) -> None:
    calibrate_judge(run, "solver")
    lines = (run.path / file).read_bytes().splitlines(keepends=True)
    (run.path / file).write_bytes(b"".join([*lines, lines[-1]]))
    page = page_of(run)
    assert f"Out of date: {file} changed since it was measured" in page
    assert "AUROC" not in page
    assert "swirl judge RUN --calibrate solver" in page


def test_files_that_are_gone_make_a_calibration_out_of_date(run: Run) -> None:
    calibrate_judge(run, "solver")
    (run.path / "verdicts-solver.jsonl").unlink()
    assert "Out of date: verdicts-solver.jsonl" in page_of(run)


def test_hostile_text_in_a_calibration_is_shown_as_text(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    found = calibrate_judge(run, "solver")
    kinds = {HOSTILE: next(iter(found.measures.missing.values()))}
    [one, *_] = found.families
    hostile = msgspec.structs.replace(
        found,
        judge=HOSTILE,
        truth=HOSTILE,
        measures=msgspec.structs.replace(found.measures, missing=kinds),
        left_out={HOSTILE: 2},
        families=(msgspec.structs.replace(one, name=HOSTILE),),
        actions=(msgspec.structs.replace(one, name=HOSTILE),),
    )
    write_json(run.path / Calibration.FILE, hostile)
    page = page_of(run)
    assert page.count("&lt;script&gt;") >= 6
    write_json(run.path / Calibration.FILE, msgspec.structs.replace(hostile, made_of={HOSTILE: "x"}))
    page += page_of(run)
    assert "Out of date" in page
    assert "<script" not in page
    assert "<img" not in page
    capsys.readouterr()
    print_calibration(hostile)
    assert "[bold]" in capsys.readouterr().out


def test_a_damaged_calibration_names_the_command_that_makes_it_anew(run: Run) -> None:
    (run.path / Calibration.FILE).write_text('{"schema": "swirl.calibration/1"}')
    with pytest.raises(RecordError, match=r"calibration.json: .*run `swirl judge .* --calibrate TRUTH`"):
        write_report(run.path)
