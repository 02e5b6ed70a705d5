"""The evaluation stage on the bundled policy: what it writes, compares, resumes and refuses, over a run and without one."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from playing import answer
from swirl import stages
from swirl.cli import main
from swirl.commands import evaluate as evaluate_command
from swirl.errors import ConfigError, ModelError, RecordError
from swirl.evaluate import EvaluateConfig, EvaluatedTrajectory, without_tools
from swirl.judges.grader import Grader
from swirl.policies.scripted import ScriptedPolicy
from swirl.protocol import instructions
from swirl.recipe import load_recipe
from swirl.records import Appender, read
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.stages import run_stage
from swirl.stages.evaluate import evaluate
from swirl.types import Rules, StopReason

SMOKE = load_recipe("smoke").config
SMALL = ["--evaluate.questions", "3", "--evaluate.samples", "2", "--evaluate.tools", "with", "without"]


def config(**changes: Any) -> RunConfig:
    return replace(SMOKE, evaluate=replace(SMOKE.evaluate, **{"questions": 4, "tasks": ("world",), **changes}))


def records(run: Run, name: str) -> list[EvaluatedTrajectory]:
    return list(read(run.evaluation / f"{name}.jsonl", EvaluatedTrajectory))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"samples": 0}, "evaluate.samples must be at least 1"),
        ({"samples": 4, "modes": ("greedy",)}, 'samples = 4 needs the mode sampled.*add "sampled" to evaluate.modes'),
        ({"tools": ()}, "evaluate.tools is empty"),
        ({"tools": ("with", "with")}, "evaluate.tools names with twice"),
    ],
)
def test_a_mistake_in_the_settings_is_named(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        EvaluateConfig(**changes)


def test_without_tools_the_prompt_offers_none_and_a_call_ends_the_trajectory() -> None:
    told = instructions(without_tools(Rules(tools=("search", "calculator"))))
    assert "<answer>" in told
    assert not re.search("search|math_exp|quer|tool", told)


@pytest.mark.slow
def test_a_policy_is_evaluated_and_compared_without_a_run_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "evaluation"
    words = [
        "evaluate",
        "--tasks",
        "arithmetic, world",
        "--policy",
        "bundled",
        "--against",
        "bundled",
        "--out",
        str(out),
    ]
    status, said = answer(capsys, words + SMALL)
    assert status == 0, said
    table = said[said.index("arithmetic, sampled") :]
    assert max(map(len, table.partition("report:")[0].splitlines())) <= 80
    for figure in (
        *("accuracy", "95 % interval", "exact match", "F1 of words", "precision of words", "recall of words", "pass@2"),
        *(
            "answered",
            "steps",
            "tool calls",
            "calls refused",
            "steps malformed",
            "tokens written",
            "gold passages found",
        ),
        *("after step 1", "Gained 0 questions, lost 0", "What tools are worth", "policy", "against"),
    ):
        assert figure in table, figure
    assert "accuracy by value" in table
    assert "accuracy by exact match" in table
    assert "gold_recall" not in table
    page = (out / "report.html").read_text("utf-8")
    for heading in ("Every figure", "With and without tools", "Gold passages found, step by step", "one of k samples"):
        assert heading in page
    assert "rewarded by" not in page
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["trained"], summary["policies"]["against"], summary["n"]) == (False, "bundled", 6)
    assert {(sheet["task"], sheet["mode"], sheet["tools"]) for sheet in summary["table"]} == {
        (task, mode, tools)
        for task in ("arithmetic", "world")
        for mode in ("sampled", "greedy")
        for tools in (True, False)
    }
    assert all(set(one["ci95"]) == {0.0} for sheet in summary["table"] for one in sheet["difference"].values())

    run = Run.open(out)
    assert run.config.generate.tasks == ("arithmetic", "world"), (
        "overlap is sought in the tasks' own training questions"
    )
    assert [one.trajectory.id for one in records(run, "before-world-sampled")[:3]] == [
        f"world-test-0-0000{number}/{sample}" for number, sample in ((0, 0), (0, 1), (1, 0))
    ]
    assert len(records(run, "before-world-greedy")) == 3
    alone = records(run, "after-world-greedy-without")
    assert {one.trajectory.stop for one in alone} <= {StopReason.MAX_CALLS, StopReason.MALFORMED, StopReason.ANSWERED}
    assert not any(step.observation for one in alone for step in one.trajectory.steps)
    assert not any(one.tools or one.verdicts for one in alone)

    whole = {path: path.read_bytes() for path in run.evaluation.glob("*.jsonl")}
    cut = run.evaluation / "after-world-sampled.jsonl"
    cut.write_bytes(whole[cut][: len(whole[cut]) // 2])
    status, said = answer(capsys, words + SMALL)
    assert status == 0, said
    assert {path: path.read_bytes() for path in whole} == whole
    assert "evaluate (before): all 36 answers are there already" in said

    status, said = answer(capsys, [*words, *SMALL, "--seed", "2"])
    assert status == 2
    assert "has run with other settings" in " ".join(said.split())
    assert "or use another folder" in " ".join(said.split())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "expected `swirl evaluate RUN`, or `swirl evaluate --tasks TASK,TASK --policy MODEL`, found neither"),
        (["--tasks", "world"], "found '--tasks' and no --policy"),
        (["--tasks", "wrld", "--policy", "bundled"], "unknown task 'wrld': expected one of"),
        (["--tasks", ",", "--policy", "bundled"], "evaluate.tasks is empty"),
        (["--tasks", "world", "--policy", "no/such/model"], "no/such/model"),
        (["--tasks", "world", "--policy", "bundled", "--against", "no/such/model"], "evaluate.against: "),
        (["--tasks", "world", "--policy", "bundled", "--evaluate.grader", "./nothing"], "evaluate.grader: "),
        (["no/such/run"], "expected a run folder at no/such/run"),
        (["--policy", "bundled", "--recipe", "demmo"], "did you mean 'demo'?"),
    ],
)
def test_a_mistake_on_the_command_line_gets_one_sentence(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is answered."""
    monkeypatch.chdir(tmp_path)
    status, said = answer(capsys, ["evaluate", *words])
    assert status == 2
    assert told in " ".join(said.split())
    assert "Traceback" not in said
    assert not list(tmp_path.rglob("*.jsonl")) or all(not path.stat().st_size for path in tmp_path.rglob("*.jsonl"))


def test_flags_of_an_evaluation_without_a_run_are_refused_beside_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Run.create(tmp_path / "run", config())
    status, said = answer(capsys, ["evaluate", str(tmp_path / "run"), "--out", str(tmp_path / "other")])
    assert status == 2
    assert "--out is for an evaluation without a run folder" in " ".join(said.split())


def test_a_run_that_has_begun_is_no_place_for_an_evaluation_on_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor is its owner told to generate again."""
    run = Run.create(tmp_path / "run", config())
    run.trajectories.write_text("{}")
    status, said = answer(
        capsys, ["evaluate", "--tasks", "world", "--policy", "bundled", "--out", str(run.path), "--redo"]
    )
    assert status == 2
    assert f"evaluate it by `swirl evaluate {run.path}`, or name another folder as --out" in " ".join(said.split())
    assert "--redo" not in said
    assert run.trajectories.read_text() == "{}"


def test_the_settings_fit_the_policy_unless_a_recipe_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled policy knows the bare prompt alone; others get the paper's."""
    asked: list[RunConfig] = []
    monkeypatch.setattr(stages, "run_stage", lambda name, path, config, **_: asked.append(config))
    monkeypatch.setattr(evaluate_command, "show", lambda path, every=False: None)
    for words in (["--policy", "bundled"], ["--policy=my/model"], ["--policy.model", "bundled", "--recipe", "gsm8k"]):
        assert main(["evaluate", *words]) == 0
    bundled, other, named = asked[::2]
    assert (bundled.generate.prompt, bundled.evaluate.max_tokens) == ("bare", 48)
    assert (other.policy.model, other.generate.prompt) == ("my/model", "terse")
    assert (named.policy.model, named.evaluate.tasks) == ("bundled", ("gsm8k",))


def test_a_model_grades_the_answers_and_what_it_does_not_say_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A scripted grader that finds one answer right, cannot decide on the next, and so on."""
    said = iter(["CORRECT", "I cannot tell.", "INCORRECT"] * 9)
    stage = sys.modules[evaluate.__module__]
    monkeypatch.setattr(stage, "open_grader", lambda *_: Grader(ScriptedPolicy(lambda prompt, seed: next(said))))
    monkeypatch.setattr(stage, "require_model", lambda key, model: None)
    run = Run.create(tmp_path / "run", config(questions=6, modes=("greedy",), grader="my/grader"))
    evaluate(run)
    judged = [one.judged for one in records(run, "before-world-greedy") if one.trajectory.answer is not None]
    assert judged == [[True, None, False][place % 3] for place in range(len(judged))]
    assert f"the grader's word on {judged.count(None)} of 6 answers is missing" in capsys.readouterr().err
    summary = json.loads(run.summary.read_text())
    [sheet] = summary["table"]
    assert summary["grader"] == "my/grader"
    assert sheet["before"]["judged"]["n"] == 6 - judged.count(None)
    assert sheet["before"]["judged"]["mean"] == pytest.approx(judged.count(True) / (6 - judged.count(None)), abs=1e-6)


def test_a_second_policy_that_is_not_there_is_found_before_the_first_answers(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", config(against=str(tmp_path / "nothing")))
    with pytest.raises(ModelError, match=r"evaluate\.against: .*nothing"):
        evaluate(run)
    assert not any(path.stat().st_size for path in run.evaluation.glob("*.jsonl"))


def test_a_slip_in_the_name_of_a_policy_can_be_mended_in_the_same_folder(tmp_path: Path) -> None:
    """Nothing was answered, so nothing contradicts the new settings."""
    wrong = replace(config(modes=("greedy",)), policy=replace(SMOKE.policy, model=str(tmp_path / "nothing")))
    with pytest.raises(ModelError, match="nothing"):
        run_stage("evaluate", tmp_path / "run", wrong)
    run_stage("evaluate", tmp_path / "run", config(modes=("greedy",)))
    run = Run.open(tmp_path / "run")
    assert run.config.policy.model == SMOKE.policy.model
    assert len(records(run, "before-world-greedy")) == 4
    run_stage("evaluate", run.path, config(modes=("greedy",), questions=2), redo=True)
    assert len(records(run, "before-world-greedy")) == 2, "what is there is removed where that is asked for"


def test_a_task_without_training_questions_can_be_evaluated_where_nothing_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dev").mkdir()
    rows = [{"question": f"Half of {number}?", "answer": f"{number}/2 #### {number / 2}"} for number in range(2)]
    (tmp_path / "dev" / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = ["evaluate", "--policy", "bundled", "--out", str(tmp_path / "out"), "--evaluate.modes", "greedy"]
    status, said = answer(capsys, [*words, "--tasks", f"gsm8k:{tmp_path / 'dev'}", "--evaluate.questions", "2"])
    assert status == 0, said
    assert "whether questions of gsm8k are training questions too was not looked at" in said
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["n"] == 2

    run = Run.open(tmp_path / "out")
    run.warm_model.mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"train\.jsonl"):
        evaluate(run)


def test_records_of_an_older_version_are_refused_in_one_sentence(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", config(modes=("greedy",)))
    evaluate(run)
    path = run.evaluation / "before-world-greedy.jsonl"
    path.write_text(path.read_text().replace("swirl.evaluation/2", "swirl.evaluation/1"))
    with pytest.raises(RecordError, match=r"greedy.jsonl:1: expected a record of schema 'swirl.evaluation/2'"):
        evaluate(run)


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", config(modes=("greedy",)))
    evaluate(run)
    [first, *_] = records(run, "before-world-greedy")
    changed = structs.replace(first, tools=False, judged=False)
    with Appender(tmp_path / "again.jsonl", EvaluatedTrajectory) as out:
        out.append([first, changed])
    assert list(read(tmp_path / "again.jsonl", EvaluatedTrajectory)) == [first, changed]
    assert first.correct is first.grade.correct
