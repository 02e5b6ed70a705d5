"""What a study says about its arms: paired with the control, question by question."""

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs
from rich.console import Console

from swirl import stages
from swirl.errors import ConfigError
from swirl.evaluate import EvaluateConfig, EvaluatedTrajectory, ToolUse
from swirl.recipe import Arm, Recipe, load_recipe
from swirl.records import Appender
from swirl.run import Run
from swirl.services.ledger import Request, Usage
from swirl.settings import RunConfig, configure
from swirl.study import Outcome, _borrow, read_outcome, run_study, table_rows, terminal_table
from swirl.tasks import Grade
from swirl.types import PromptStyle, Question, Rules, Trajectory

NAMES = [f"q{i}" for i in range(40)]


def outcome(arm: str, seed: int, after: int) -> Outcome:
    """10 of 40 right before, the first `after` right afterwards."""
    right = {"before": 10, "after": after}
    return Outcome(
        arm,
        seed,
        {
            (when, "t", "greedy"): {name: float(i < count) for i, name in enumerate(NAMES)}
            for when, count in right.items()
        },
    )


def test_an_arm_is_compared_with_the_control_on_the_same_questions() -> None:
    [control, arm] = table_rows([outcome("control", 1, 12), outcome("rl", 1, 30)], control="control")
    assert (control["arm"], control["against_control"].mean, control["against_control"].high) == ("control", 0.0, 0.0)
    assert arm["before"].mean == 0.25
    assert arm["after"].mean == 0.75
    assert arm["gain"].mean == pytest.approx(0.5)
    assert arm["against_control"].mean == pytest.approx(18 / 40)
    assert 0 < arm["against_control"].low < 18 / 40 < arm["against_control"].high


def test_seeds_are_averaged_and_shown() -> None:
    [row] = table_rows([outcome("rl", 1, 20), outcome("rl", 2, 30)], control="rl")
    assert row["seeds"] == 2
    assert row["gains_by_seed"] == [0.25, 0.5]
    assert row["gain"].mean == pytest.approx(0.375)


def test_outcomes_are_read_from_a_run_per_task_and_overall(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", RunConfig())
    run.evaluation.mkdir()
    for when, correct in (("before", False), ("after", True)):
        with Appender(run.evaluation / f"{when}-t-greedy.jsonl", EvaluatedTrajectory) as out:
            out.append([record(when, correct), record(when, not correct, PromptStyle.REASONED)])
    found = read_outcome(run, "rl", 3)
    assert (found.arm, found.seed) == ("rl", 3)
    for task in ("t", "overall"):
        assert found.correct["before", task, "greedy"] == {"t/q": 0.0}
        assert found.correct["after", task, "greedy"] == {"t/q": 1.0}


@pytest.mark.parametrize(("tools", "share"), [(("with", "without"), 0.75), (("without",), 0.0)])
def test_an_outcome_is_of_all_answers_with_tools_where_they_are_on_offer(
    tools: tuple[ToolUse, ...], share: float, tmp_path: Path
) -> None:
    """Whatever the order of the files, and wherever the right answers stand."""
    run = Run.create(tmp_path / "run", replace(RunConfig(), evaluate=EvaluateConfig(tools=tools)))
    run.evaluation.mkdir()
    for use in tools:
        name = f"before-t-greedy{'-without' if use == 'without' else ''}.jsonl"
        right = (True, True, True, False) if use == "with" else (False, False, False, False)
        with Appender(run.evaluation / name, EvaluatedTrajectory) as out:
            out.append([structs.replace(record("before", correct), tools=use == "with") for correct in right])
    assert read_outcome(run, "rl", 3).correct["before", "t", "greedy"] == {"t/q": share}


def test_an_arm_that_was_not_evaluated_in_some_way_has_no_row_there() -> None:
    greedy = outcome("rl", 1, 20)
    sampled = Outcome("odd", 1, {(when, task, "sampled"): a for (when, task, _), a in greedy.correct.items()})
    rows = table_rows([greedy, sampled], control="rl")
    assert [(row["arm"], row["mode"]) for row in rows] == [("rl", "greedy"), ("odd", "sampled")]
    assert rows[1]["against_control"] is None


def test_the_table_shows_names_as_they_are() -> None:
    console = Console(width=200)
    with console.capture() as shown:
        console.print(terminal_table(table_rows([outcome("[/red]", 1, 12)], control="[/red]")))
    assert "[/red]" in shown.get()
    assert "+0.050 [" in shown.get()


def record(when: str, correct: bool, prompt: PromptStyle = PromptStyle.TERSE) -> EvaluatedTrajectory:
    trajectory = Trajectory(id="q/0", question=Question(id="q", task="t", text="?"), rules=Rules())
    return EvaluatedTrajectory(
        policy="before" if when == "before" else "after",
        task="t",
        mode="greedy",
        prompt=prompt,
        trajectory=trajectory,
        grade=Grade(correct=correct, f1=float(correct)),
    )


@pytest.mark.parametrize(
    ("own", "borrowed"),
    [
        ({"filter": {"rule": "none"}}, ["evaluation/before-t-greedy.jsonl", "trajectories.jsonl", "verdicts.jsonl"]),
        ({"judge": {"name": "solver"}}, ["trajectories.jsonl"]),
        ({"generate": {"tasks": ["world"]}}, ["evaluation/before-t-greedy.jsonl"]),
        ({"generate": {"prompt": "bare"}}, []),
        ({"generate": {"tasks": ["world"]}, "warm_start": {"questions": 4}}, []),
        ({"seed": 2}, []),
    ],
)
def test_arms_share_what_their_settings_do_not_decide(
    own: dict[str, object], borrowed: list[str], tmp_path: Path
) -> None:
    """The untrained policy is evaluated once for arms that train on different tasks, unless a warm start shows them these."""
    both = {"warm_start": own["warm_start"]} if "warm_start" in own else {}
    donor = Run.create(tmp_path / "donor", configure(both))
    run = Run.create(tmp_path / "run", configure(own))
    donor.evaluation.mkdir()
    files = [
        "trajectories.jsonl",
        "verdicts.jsonl",
        "evaluation/before-t-greedy.jsonl",
        "evaluation/after-t-greedy.jsonl",
    ]
    for name in files:
        (donor.path / name).write_text("x")
    _borrow(run, donor)
    assert sorted(str(path.relative_to(run.path)) for path in run.path.rglob("*.jsonl")) == borrowed


def test_a_study_says_that_its_seeds_are_its_own(tmp_path: Path) -> None:
    recipe = load_recipe("filters")
    with pytest.raises(ConfigError, match=r"found seed = 9; set study.seeds"):
        run_study(recipe, replace(recipe.config, seed=9), tmp_path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"judge": {"name": "reference"}}, "the judge `reference` needs worked solutions"),
        ({"seed": 4}, r"arm last: .* found seed = 4; set study.seeds"),
    ],
)
def test_an_arm_that_cannot_work_is_found_before_the_first_runs(
    changes: dict[str, object], told: str, tmp_path: Path
) -> None:
    recipe = load_recipe("filters")
    assert recipe.study is not None
    study = replace(recipe.study, arms=(*recipe.study.arms, Arm(name="last", changes=changes)))
    few = replace(
        recipe.config,
        generate=replace(recipe.config.generate, questions=2),
        evaluate=replace(recipe.config.evaluate, questions=2),
    )
    with pytest.raises(ConfigError, match=told):
        run_study(replace(recipe, study=study), few, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_recipe_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"recipe 'demo' has no \[study\]"):
        run_study(Recipe(name="demo", table={}), RunConfig(), tmp_path)


def test_a_study_says_what_all_its_runs_asked_of_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def asking(path: Path, config: RunConfig) -> Run:
        run = Run.create(path, config)
        request = Request(stage="judge", service="judge", model="m", seconds=1.0, usd=0.25, usage=Usage(tokens_in=10))
        run.ledger("judge").note(request)
        return run

    monkeypatch.setattr(stages, "run_all", asking)
    recipe = load_recipe("filters")
    assert recipe.study is not None
    few = replace(recipe, study=replace(recipe.study, seeds=(1, 2), arms=recipe.study.arms[:2]))
    run_study(few, recipe.config, tmp_path / "out")
    assert "all runs so far: 4 requests to services; 40 tokens in, 0 out; $1.0000" in " ".join(
        capsys.readouterr().err.split()
    )
