"""The stages that need no model, over small run folders whose trajectories a script wrote."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from playing import play
from swirl.catalog import open_task
from swirl.decompose import decompose
from swirl.errors import ConfigError, RunFolderError
from swirl.evaluate import EvaluateConfig
from swirl.filters import FilterConfig
from swirl.filters import Rule as Passes
from swirl.judges import JudgeConfig
from swirl.policies import PolicyConfig
from swirl.records import Appender, digest, read
from swirl.rollout import GenerateConfig
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.stages import STAGES, run_stage
from swirl.stages.check import check
from swirl.stages.compare import compare, print_agreement
from swirl.stages.evaluate import _parts, _trained_on
from swirl.stages.filter import select
from swirl.stages.generate import generate
from swirl.stages.judge import judge, measured
from swirl.stages.start import initial_policy, rules_of, training_questions
from swirl.stages.train import _data, require_known_tokens, train
from swirl.stages.warm_start import demonstrate
from swirl.tasks import Split
from swirl.tasks.arithmetic import Arithmetic
from swirl.tasks.jsonl import Jsonl
from swirl.tools import Toolbox
from swirl.tools.calculator import Calculator
from swirl.types import Answer, JudgedStep, Question, Rules, Step, Trajectory

CONFIG = RunConfig(
    generate=GenerateConfig(tasks=("arithmetic",), questions=4, samples=1), judge=JudgeConfig(name="solver")
)
ANSWERS_AT_ONCE = ["<answer>1000003</answer>"]


def begun(path: Path) -> Run:
    """Two worked solutions and two wild guesses."""
    task, made = Arithmetic(), Run.create(path, CONFIG)
    questions = list(islice(task.questions("train", 1), 4))
    scripts = [task.demonstration(question) for question in questions[:2]]
    with Appender(made.trajectories, Trajectory) as out:
        out.append([play(question, script or []) for question, script in zip(questions[:2], scripts, strict=True)])
        out.append([play(question, ANSWERS_AT_ONCE) for question in questions[2:]])
    return made


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return begun(tmp_path / "run")


def test_every_step_gets_one_verdict_in_order(run: Run) -> None:
    judge(run)
    verdicts = list(read(run.path / "verdicts.jsonl", JudgedStep))
    steps = [(t.id, index) for t in read(run.trajectories, Trajectory) for index in range(len(t.steps))]
    assert [(record.trajectory, record.step) for record in verdicts] == steps
    assert [record.verdict.good for record in verdicts] == [True] * (len(steps) - 2) + [False] * 2


def test_judging_again_changes_nothing_and_a_cut_file_is_completed(run: Run) -> None:
    judge(run)
    path = run.path / "verdicts.jsonl"
    whole = path.read_bytes()
    judge(run)
    assert path.read_bytes() == whole
    path.write_bytes(whole[: len(whole) // 2])
    judge(run)
    assert path.read_bytes() == whole


def test_two_judges_are_compared_on_the_same_steps(run: Run) -> None:
    found = compare(run, "rule", "solver").whole
    assert (found.missing, found.n) == (0, len(list(read(run.path / "verdicts.jsonl", JudgedStep))))
    assert (run.path / "verdicts-rule.jsonl").exists()
    assert found.truth == pytest.approx((found.n - 2) / found.n)


def test_agreement_is_told_for_each_kind_of_action(run: Run) -> None:
    found = compare(run, "rule", "solver")
    assert list(found.by_kind) == ["calculations", "answers"]
    assert sum(figures.n for figures in found.by_kind.values()) == found.whole.n
    assert (found.by_kind["answers"].n, found.by_kind["answers"].truth) == (4, 0.5)
    assert not found.left_out
    low, high = found.whole.accuracy_ci95
    assert low < found.whole.accuracy <= high


def mixed(path: Path) -> Run:
    """A run over word problems, judged by rule, and over a file of questions, whose solutions no judge knows."""
    file = path / "mine.jsonl"
    file.write_text('{"id": "1", "question": "What is 2 + 3?", "answer": "5"}\n')
    config = replace(
        CONFIG,
        generate=replace(CONFIG.generate, tasks=("arithmetic", f"jsonl:{file}"), questions=1),
        judge=JudgeConfig(name="rule"),
    )
    made, task = Run.create(path / "run", config), Arithmetic()
    [known], [unknown] = (training_questions(made, each, 1) for each in (task, Jsonl(str(file))))
    with Appender(made.trajectories, Trajectory) as out:
        out.append([play(known, task.demonstration(known))])
        out.append([play(unknown, ["<math_exp>2 + 3</math_exp>", "<answer>5</answer>"])])
    return made


def test_a_comparison_leaves_out_what_a_judge_does_not_know_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = mixed(tmp_path)
    found = compare(both, "rule", "solver")
    assert found.left_out == {"jsonl": 2}
    assert found.whole.n == len(next(iter(read(both.trajectories, Trajectory))).steps)
    assert found.whole.missing == 0
    print_agreement(both, ("rule", "solver"))
    said = capsys.readouterr().out
    assert "Left out: 2 steps of jsonl, whose questions rule or solver does not know." in said
    for heading in ("n", "missing", "accuracy [95 %]", "precision", "recall", "kappa", "calculations", "answers"):
        assert heading in said
    assert "…" not in said, "it fits a terminal of 80 columns"


def test_a_comparison_with_a_judge_that_knows_nothing_of_it_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the judge `reference` needs worked solutions"):
        compare(mixed(tmp_path), "rule", "reference")


def test_the_runs_own_judge_refuses_nothing_quietly(tmp_path: Path) -> None:
    both = mixed(tmp_path)
    both.config = replace(both.config, judge=JudgeConfig(name="solver"))
    with pytest.raises(ConfigError, match="of 'jsonl'"):
        compare(both, "rule", "solver")


def test_flags_beside_a_comparison_count(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    judge(run)
    changed = replace(CONFIG, judge=JudgeConfig(name="solver", max_tokens=7))
    with pytest.raises(RunFolderError, match=r"`judge` has run with other settings .*max_tokens"):
        run_stage("judge", run.path, changed, compare=("rule", "solver"))
    run_stage("judge", run.path, changed, redo=True, compare=("rule", "solver"))
    assert Run.open(run.path).config.judge.max_tokens == 7
    assert "rule against solver" in capsys.readouterr().out


def test_one_question_without_a_solution_leaves_a_judge_unmeasured(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "question": "2 + 3?", "answer": ["5"], "meta": {"answer": "2 + 3 = <<2+3=5>>5\n#### 5"}},
        {"id": "2", "question": "2 + 4?", "answer": ["6"]},
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    config = replace(
        CONFIG, generate=replace(CONFIG.generate, tasks=(f"gsm8k:{tmp_path}",)), judge=JudgeConfig(name="rule")
    )
    own = Run.create(tmp_path / "run", config)
    questions = training_questions(own, open_task(f"gsm8k:{tmp_path}"), 2)
    with Appender(own.trajectories, Trajectory) as out:
        out.append([play(question, ANSWERS_AT_ONCE) for question in questions])
    judge(own)
    assert [len(found) for found in (questions, list(read(own.trajectories, Trajectory)))] == [2, 2]
    assert measured(own) is None


def test_a_judge_is_measured_against_one_that_knows_the_solutions(run: Run) -> None:
    run.config = replace(CONFIG, judge=JudgeConfig(name="rule"))
    judge(run)
    found = measured(run)
    assert found is not None
    assert (found["judge"], found["against"]) == ("rule", "solver")
    assert found["accuracy"] == compare(run, "rule", "solver").whole.accuracy
    run.config = CONFIG
    assert measured(run) is None, "the solver is not measured against itself"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"policy": PolicyConfig(model="ADAPTER", dtype="bfloat16")}, "train adapters on top"),
        ({"judge": JudgeConfig(name="reference")}, "the judge `reference` needs worked solutions"),
        ({"judge": JudgeConfig(name="rule", reward="reference")}, "the judge `reference` needs worked solutions"),
        ({"generate": GenerateConfig(tasks=("jsonl:FILE",)), "judge": JudgeConfig(name="solver")}, "of 'jsonl'"),
        (
            {"generate": GenerateConfig(tasks=("jsonl:FILE",)), "filter": FilterConfig(rule=Passes.OUTCOME)},
            "question '1' has none",
        ),
        ({"evaluate": EvaluateConfig(tasks=("jsonl:FILE",))}, "question '1' of jsonl:.* has no accepted answer"),
    ],
)
def test_what_is_bound_to_fail_is_said_before_anything_is_paid_for(
    changed: dict[str, Any], told: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"id": "1", "question": "What is 2 + 3?"}\n')
    (tmp_path / "adapter_config.json").touch()
    config = replace(replace(CONFIG, judge=JudgeConfig(name="rule")), **changed)
    if config.policy.model == "ADAPTER":
        config = replace(config, policy=replace(config.policy, model=str(tmp_path)))
    for part in ("generate", "evaluate"):
        tasks = tuple(task.replace("FILE", str(file)) for task in getattr(config, part).tasks)
        config = replace(config, **{part: replace(getattr(config, part), tasks=tasks)})
    with pytest.raises(ConfigError, match=told):
        check(config, STAGES)


def test_the_filter_tells_why_each_trajectory_fell_and_what_other_rules_would_keep(run: Run) -> None:
    judge(run)
    decisions = select(run)
    assert [decision.kept for decision in decisions] == [True, True, False, False]
    assert all(decision.reason.startswith("step 1 was judged bad") for decision in decisions[2:])
    selection = json.loads(run.selection.read_text())
    assert selection["survival"] == {
        "none": {"steps": 4},
        "process": {"steps": 4, "process": 2},
        "outcome": {"steps": 4, "outcome": 2},
        "both": {"steps": 4, "process": 2, "outcome": 2},
        "either": {"steps": 4, "either": 2},
    }
    assert selection["fallen"] == {"steps": {}, "process": {"step 1 was judged bad": 2}}


def test_the_filter_trims_to_the_size_asked_for(run: Run) -> None:
    judge(run)
    run.config = replace(CONFIG, filter=FilterConfig(rule=Passes.NONE, size=3))
    assert sum(decision.kept for decision in select(run)) == 3


@pytest.fixture
def own(tmp_path: Path) -> Run:
    """A run on two questions of a file, the first without an answer."""
    file = tmp_path / "mine.jsonl"
    file.write_text(
        '{"id": "q1", "question": "What is 2 + 3?"}\n{"id": "q2", "question": "What is 2 + 4?", "answer": 6}\n'
    )
    generating = GenerateConfig(tasks=(f"jsonl:{file}",), samples=1)
    made = Run.create(tmp_path / "own", RunConfig(generate=generating, judge=JudgeConfig(name="rule")))
    with Appender(made.trajectories, Trajectory) as out:
        out.append([play(question, ANSWERS_AT_ONCE) for question in Jsonl(str(file)).questions("train", 1)])
    return made


def test_the_outcome_rule_names_the_question_without_an_answer(own: Run) -> None:
    judge(own)
    own.config = replace(own.config, filter=FilterConfig(rule=Passes.OUTCOME))
    with pytest.raises(ConfigError, match="question 'q1' has none"):
        select(own)
    own.config = replace(own.config, filter=FilterConfig(rule=Passes.PROCESS))
    assert len(select(own)) == 2


def test_a_question_that_was_changed_under_a_run_is_named_and_nothing_is_made_again(own: Run, tmp_path: Path) -> None:
    judge(own)
    whole = own.trajectories.read_bytes()
    file = tmp_path / "mine.jsonl"
    file.write_text(file.read_text().replace("2 + 4", "2 + 5"))
    for stage in (generate, judge, select):
        with pytest.raises(RunFolderError, match=r"'q2' differs in its text.*run `swirl generate .* --redo`"):
            stage(own)
    assert own.trajectories.read_bytes() == whole


def test_a_trajectory_of_a_task_that_the_run_does_not_have_is_named(run: Run) -> None:
    judge(run)
    run.trajectories.write_text(run.trajectories.read_text().replace('"task":"arithmetic"', '"task":"geometry"', 1))
    with pytest.raises(RunFolderError, match=r"trajectories.jsonl:1: .* differs in its task"):
        select(run)


def test_stages_say_what_they_found_or_did(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    judge(run)
    select(run)
    generate(run)
    judge(run)
    told = capsys.readouterr().err.splitlines()
    num_steps = sum(len(trajectory.steps) for trajectory in read(run.trajectories, Trajectory))
    assert told[1:] == [
        "filter (process): 4 trajectories",
        "filter (process): 2 of 4 trajectories kept",
        "generate: all 4 trajectories are there already",
        f"judge (solver): all {num_steps} verdicts are there already",
    ]


def test_stages_ask_for_what_comes_before_them(tmp_path: Path) -> None:
    empty = Run.create(tmp_path / "empty", CONFIG)
    with pytest.raises(RunFolderError, match="run `swirl generate"):
        judge(empty)
    with pytest.raises(RunFolderError, match="run `swirl filter"):
        train(empty)


def test_training_on_nothing_is_refused(run: Run) -> None:
    judge(run)
    select(run)
    told = json.loads(run.selection.read_text())
    run.selection.write_text(json.dumps(told | {"decisions": [{**d, "kept": False} for d in told["decisions"]]}))
    with pytest.raises(ConfigError, match="kept none of the trajectories"):
        train(run)


def test_training_holds_less_than_is_recorded_and_knows_its_data_by_all_of_it(run: Run) -> None:
    recorded = [
        structs.replace(each, steps=tuple(structs.replace(step, logprobs=(-0.5,)) for step in each.steps))
        for each in read(run.trajectories, Trajectory)
    ]
    with Appender(run.trajectories, Trajectory) as out:
        out.rewind(0)
        out.append(recorded)
    judge(run)
    run.config = replace(run.config, filter=FilterConfig(rule=Passes.NONE))
    select(run)
    states = [state for each in recorded for state in decompose(each)]
    found = _data(run)
    assert found.digest == digest(states), (
        "so that a checkpoint of the version before, which held all, is still of these"
    )
    assert [len(each.steps) for each in found.held] == [len(each.steps) for each in states]
    assert not any(step.logprobs for each in found.held for step in each.steps)


def test_fewer_questions_than_asked_for_are_used_with_a_remark(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.jsonl").write_text('{"id": "1", "question": "What is 2 + 3?"}\n')
    assert len(training_questions(run, Jsonl(str(tmp_path / "mine.jsonl")), 9)) == 1
    assert "9 training questions asked for, 1 are there" in " ".join(capsys.readouterr().err.split())


def test_the_cap_is_the_tasks_own_unless_the_recipe_has_one(run: Run) -> None:
    assert rules_of(run, Arithmetic()).max_calls == Arithmetic().max_calls
    run.config = replace(CONFIG, generate=GenerateConfig(tasks=("arithmetic",), max_calls=3))
    assert rules_of(run, Arithmetic()).max_calls == 3
    [part, *_] = _parts(run, Arithmetic())
    assert part.rules.max_calls == 3, "evaluated as trained"
    run.config = replace(run.config, evaluate=replace(run.config.evaluate, max_calls=4))
    [part, *_] = _parts(run, Arithmetic())
    assert part.rules.max_calls == 4


@pytest.mark.parametrize(("split", "found"), [("", {"jsonl": 2}), (', "split": "test"', {})])
def test_questions_that_were_trained_on_are_counted(split: str, found: dict[str, int], tmp_path: Path) -> None:
    rows = [f'{{"id": "{i}", "question": "What is {i} + 3?", "answer": "5"{split}}}' for i in range(2)]
    rows.append('{"id": "t", "question": "What is 9 + 3?", "answer": "12", "split": "train"}')
    (tmp_path / "mine.jsonl").write_text("\n".join(rows))
    spec = f"jsonl:{tmp_path / 'mine.jsonl'}"
    config = replace(CONFIG, generate=replace(CONFIG.generate, tasks=(spec,)), judge=JudgeConfig(name="rule"))
    run = Run.create(tmp_path / "run", config)
    assert _trained_on(run, list(_parts(run, open_task(spec))), {}) == found


class Copied(Arithmetic):
    """Holds out a question of another task's training, in other letters and with other spaces, and two of its own."""

    name = "copied"

    def questions(self, split: Split, seed: int | None = None) -> Iterator[Question]:
        taught = next(super().questions("train", CONFIG.seed))
        yield replace_text(taught, f"  {taught.text.upper()}!")
        yield from (replace_text(question, "?!") for question in islice(super().questions("test", seed), 2))


def replace_text(question: Question, text: str) -> Question:
    return structs.replace(question, id=f"copy of {question.id}", text=text)


def test_overlap_is_sought_across_tasks_by_normalised_text_and_counted_once_a_question(run: Run) -> None:
    """However many parts the question is in; a question without a word is like no other."""
    run.config = replace(run.config, evaluate=replace(CONFIG.evaluate, questions=3, tools=("with", "without")))
    parts = [part for task in (Arithmetic(), Copied()) for part in _parts(run, task)]
    assert len(parts) == 8
    assert _trained_on(run, parts, {}) == {"copied": 1}


def test_what_a_warm_start_demonstrates_was_trained_on_too(run: Run) -> None:
    class Late(Arithmetic):
        name = "late"

        def questions(self, split: Split, seed: int | None = None) -> Iterator[Question]:
            yield list(islice(super().questions("train", CONFIG.seed), 6))[-1]

    run.config = replace(run.config, evaluate=replace(CONFIG.evaluate, questions=1))
    parts = list(_parts(run, Late()))
    assert _trained_on(run, parts, {}) == {}
    run.config = replace(run.config, warm_start=replace(CONFIG.warm_start, questions=6))
    assert _trained_on(run, parts, {}) == {"late": 1}


def test_without_tools_none_is_offered_and_nobody_labels_the_one_step(run: Run) -> None:
    run.config = replace(run.config, evaluate=replace(CONFIG.evaluate, tools=("with", "without"), modes=("greedy",)))
    offered, alone = _parts(run, Arithmetic())
    assert (offered.rules.tools, list(offered.toolbox.tools)) == (("calculator",), ["calculator"])
    assert (alone.rules.tools, alone.rules.max_calls, list(alone.toolbox.tools)) == ((), 0, [])
    assert offered.questions == alone.questions
    assert offered.labelling is not None
    assert alone.labelling is None


def test_the_warm_started_model_is_asked_for_where_the_recipe_has_a_warm_start(run: Run) -> None:
    assert initial_policy(run) == CONFIG.policy
    run.config = replace(CONFIG, warm_start=replace(CONFIG.warm_start, questions=5))
    with pytest.raises(RunFolderError, match="run `swirl warm-start"):
        initial_policy(run)


def test_demonstrations_are_played_against_the_real_tools() -> None:
    task = Arithmetic()
    questions = list(islice(task.questions("train", 1), 5))
    rules = Rules(tools=("calculator",), max_calls=10)
    played = demonstrate(task, questions, rules, Toolbox([Calculator()]))
    assert [trajectory.question for trajectory in played] == questions
    assert all(isinstance(trajectory.steps[-1].action, Answer) for trajectory in played)


@pytest.mark.parametrize("stage", ["generate", "warm_start", "train", "evaluate", "judge"])
def test_without_torch_a_stage_that_needs_a_model_says_which_extra_to_install(run: Run, stage: str) -> None:
    """In an interpreter that cannot find the heavy packages."""
    judge(run)
    select(run)
    config = replace(CONFIG, judge=JudgeConfig(name="model")) if stage == "judge" else CONFIG
    run.config = (
        replace(config, warm_start=replace(CONFIG.warm_start, questions=2)) if stage == "warm_start" else config
    )
    run.write_config()
    for written in (
        {"generate": run.trajectories, "judge": run.path / "verdicts.jsonl"}.get(stage, run.path / "none"),
        run.summary,
    ):
        written.unlink(missing_ok=True)
    program = """
import sys
from importlib.machinery import PathFinder
heavy = {"torch", "transformers", "peft", "accelerate", "safetensors", "tokenizers", "jaxtyping"}
found = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name.partition(".")[0] in heavy else found(name, *rest)
from swirl.cli import main
sys.exit(main(sys.argv[1:]))
"""
    words = [stage.replace("_", "-"), str(run.path)]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "pip install 'swirl-rl[train]'" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_tokens_of_another_vocabulary_are_refused_before_training() -> None:
    question = Question(id="q", task="t", text="?")
    steps = (
        Step(text="a", action=Answer("a"), token_ids=(1, 9)),
        Step(text="b", action=Answer("b"), token_ids=(3, 12)),
    )
    written = Trajectory(id="q/0", question=question, rules=Rules(), policy="other@host", steps=steps)
    require_known_tokens([written], 13)
    with pytest.raises(
        ConfigError, match=r"step 1 of trajectory 'q/0' holds token 12, and the policy has 12: other@host"
    ):
        require_known_tokens([written], 12)
