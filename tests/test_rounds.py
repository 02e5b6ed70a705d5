"""Several rounds: each goes on from what the one before has trained, in a run folder of its own, which can be gone on with."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from finished_run import finished_run, small
from killing import content, run_and_kill
from swirl import rounds
from swirl.cli import main
from swirl.engine.model import load
from swirl.errors import ConfigError, RunFolderError
from swirl.evaluate import EvaluateConfig, EvaluatedTrajectory
from swirl.filters import Decision, Rule
from swirl.judges import JudgeConfig, JudgeServerConfig
from swirl.policies import PolicyConfig, PolicyServerConfig
from swirl.recipe import load_recipe
from swirl.records import read
from swirl.report import view
from swirl.rollout import GenerateConfig
from swirl.round_figures import kept_share, mean_reward
from swirl.round_tables import accuracy_rows, data_curves
from swirl.run import Run
from swirl.selection import Selection
from swirl.services.ledger import Request, Usage
from swirl.settings import RunConfig, WarmStartConfig
from swirl.stages import run_all
from swirl.stages.dry_run import dry_run, estimated
from swirl.stages.rounds import check_rounds, configured, planned, require_start
from swirl.study import read_outcome
from swirl.summary import read_summary
from swirl.train import Metrics, TrainConfig
from swirl.train.loop import train
from swirl.types import Trajectory
from word_model import EchoJudge, state, write_word_model

TWO = ("--rounds", "2")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one round, to which another was added. Who changes it takes a copy."""
    folder = finished_run(tmp_path_factory.mktemp("rounds") / "run")
    assert main(small(folder, *TWO)) == 0
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def contents(folder: Path) -> dict[str, dict[str, bytes]]:
    return {name: content(folder / name) for name in (".", "rounds/2")}


def test_a_round_asks_the_same_questions_of_the_policy_that_the_last_one_trained(made: Path) -> None:
    first, second = (list(read(folder / "trajectories.jsonl", Trajectory)) for folder in (made, made / "rounds" / "2"))
    assert [each.id for each in first] == [each.id for each in second]
    assert not {each.seed for each in first} & {each.seed for each in second}
    [trained] = {each.trajectory.policy for each in _answers(made, "after")}
    assert {each.policy for each in second} == {trained}
    assert {each.policy for each in first}.isdisjoint({trained})


def _answers(folder: Path, when: str) -> list[EvaluatedTrajectory]:
    files = sorted((folder / "evaluation").glob(f"{when}-*.jsonl"))
    return [each for file in files for each in read(file, EvaluatedTrajectory)]


def test_what_a_round_starts_from_was_evaluated_already(copy: Path) -> None:
    second = copy / "rounds" / "2"
    there = content(second)
    assert {each.policy for each in _answers(second, "before")} == {"before"}
    assert main(["evaluate", str(second), "--redo"]) == 0
    assert content(second) == there


def _checkpoint(folder: Path) -> dict[str, Any]:
    run: dict[str, Any] = json.loads((folder / "train/checkpoints/update-000002/checkpoint.json").read_text())["run"]
    return run


def test_training_is_held_to_the_policy_before_the_first_round_or_to_the_last_rounds(copy: Path) -> None:
    second = copy / "rounds" / "2"
    assert _checkpoint(second)["reference"] == _checkpoint(copy)["policy"]
    assert "reference" not in _checkpoint(copy)
    assert main(["train", str(second), "--train.reference", "previous", "--redo"]) == 0
    assert "reference" not in _checkpoint(second)
    [first, _] = read(second / "train" / "metrics.jsonl", Metrics)
    assert first.kl == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("settings", [{}, {"lora_rank": 2}])
@pytest.mark.parametrize("kl", ["full", "k1"])
def test_the_kl_is_to_another_policy_where_one_is_given(settings: dict[str, int], kl: str, tmp_path: Path) -> None:
    start, other = (write_word_model(tmp_path / name, seed) for name, seed in (("start", 0), ("other", 1)))
    found = {}
    for name, initial in (("own", None), ("same", start), ("other", other)):
        policies = [PolicyConfig(model=str(each), device="cpu", threads=1) for each in (start, initial) if each]
        lm = load(replace(policies[0], **settings), 1, *policies[1:])
        config = TrainConfig(
            updates=1, states=4, actions=4, max_tokens=6, max_context=40, kl="full" if kl == "full" else "k1"
        )
        states = [state(f"{digit} 1") for digit in range(4)]
        train(lm, states, EchoJudge(), config, seed=1, folder=tmp_path / name / "out")
        [update] = read(tmp_path / name / "out" / "metrics.jsonl", Metrics)
        found[name] = update.kl
    assert found["own"] == pytest.approx(0.0, abs=1e-6)
    assert found["same"] == pytest.approx(0.0, abs=1e-6)
    assert abs(found["other"] or 0.0) > 0.01


def test_a_moved_run_can_be_gone_on_with(made: Path, copy: Path, tmp_path: Path) -> None:
    moved = copy.rename(tmp_path / "moved")
    _, (folder, config) = planned(moved, Run.open(moved).config)
    run = Run.create(folder, config)
    assert run.config == Run.open(folder).config
    assert run.config.policy.model == str(moved / "train" / "model")
    require_start(run)


def test_a_round_whose_start_was_trained_anew_is_refused(copy: Path) -> None:
    shutil.copyfile(copy / "rounds/2/train/model/model.safetensors", copy / "train/model/model.safetensors")
    told = r"rounds/2 was made with model@\w+, and the round before has trained model@\w+ since; delete the folder"
    with pytest.raises(RunFolderError, match=told):
        require_start(Run.open(copy / "rounds" / "2"))


def test_the_summary_the_page_and_the_terminal_show_each_round(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = read_summary(made)["rounds"]
    assert [each["round"] for each in found] == [0, 1, 2]
    for number, folder in ((1, made), (2, made / "rounds" / "2")):
        selection = json.loads((folder / "selection.json").read_text())
        kept = sum(decision["kept"] for decision in selection["decisions"])
        assert (found[number]["trajectories"], found[number]["kept"]) == (16, kept)
        assert found[number]["kept_share"]["mean"] == kept / 16
        headline = read_summary(folder)["after"]
        [overall] = [
            each for each in found[number]["standings"] if (each["task"], each["mode"]) == ("overall", "sampled")
        ]
        assert overall["accuracy"]["mean"] == headline["accuracy"]
        assert overall["accuracy"]["ci95"] == headline["accuracy_ci95"]
    assert "rounds" not in read_summary(made / "rounds" / "2")
    page = (made / "report.html").read_text()
    assert "Round by round" in page
    assert accuracy_rows(found)[0][2] in page
    assert view(made / "rounds" / "2")["name"] == "run, round 2"
    assert main(["report", str(made)]) == 0
    said = capsys.readouterr().out
    assert "Round by round" in said
    assert "…" not in said, "it fits a terminal of 80 columns"


def test_a_study_looks_at_what_was_there_before_the_first_round_and_after_the_last(made: Path) -> None:
    own = Run.open(made)
    outcome = read_outcome(own, "arm", 1)
    second = read_outcome(Run.open(made / "rounds" / "2"), "arm", 1)
    first = read_outcome(Run(made, replace(own.config, rounds=1)), "arm", 1)
    place = ("overall", "sampled")
    assert outcome.correct["before", *place] == first.correct["before", *place]
    assert outcome.correct["after", *place] == second.correct["after", *place]
    assert outcome.num_trained == first.num_trained + second.num_trained


@pytest.mark.slow
def test_a_run_that_was_killed_in_a_later_round_ends_like_one_that_was_not(made: Path, tmp_path: Path) -> None:
    """Where all its rounds were asked for at once and a kill comes in any of them: `crash_stages.py`."""
    folder = finished_run(tmp_path / "run")
    metrics = folder / "rounds/2/train/metrics.jsonl"
    assert run_and_kill(small(folder, *TWO), lambda _: metrics.exists() and bool(metrics.stat().st_size))
    assert main(small(folder, *TWO)) == 0
    ended, expected = contents(folder), contents(made)
    assert not [
        (where, name) for where in ended for name in ended[where] if ended[where][name] != expected[where][name]
    ]
    assert ended == expected
    assert read_summary(folder)["rounds"] == read_summary(made)["rounds"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"policy_server": PolicyServerConfig(url="http://localhost:1/v1")}, "names a server that would know nothing"),
        ({"evaluate": EvaluateConfig(against="bundled")}, "evaluate.against names another model"),
    ],
)
def test_what_cannot_go_on_in_rounds_is_said_before_anything_is_done(
    changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    config = replace(load_recipe("smoke").config, rounds=2, **changes)
    with pytest.raises(ConfigError, match=told):
        run_all(tmp_path / "run", config)
    assert not (tmp_path / "run").exists()
    check_rounds(replace(config, rounds=1))


@pytest.mark.parametrize("name", ["rounds", "round"])
def test_there_is_at_least_one_round(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be at least 1, found 0"):
        RunConfig(**{name: 0})


def test_a_round_is_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"to go on after training set rounds = 3"):
        Run.create(tmp_path / "run", RunConfig(round=3))


def test_more_rounds_may_be_asked_for_later(tmp_path: Path) -> None:
    run = Run.create(tmp_path, RunConfig())
    run.trajectories.write_text("{}\n")
    assert Run.create(tmp_path, RunConfig(rounds=3)).config.rounds == 3


def test_a_round_is_found_from_wherever_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run" / "rounds" / "2"
    folder.mkdir(parents=True)
    for here, path in ((tmp_path, "run/rounds/2"), (folder.parent, "2"), (folder, "."), (folder, "../../rounds/2")):
        monkeypatch.chdir(here)
        assert rounds.home(Path(path), 2).resolve() == tmp_path / "run"
        assert rounds.is_at_home(Path(path), 2)
        assert rounds.label(Path(path), 2) == "run, round 2"
    assert [path.name for path in rounds.everything(folder, 2)] == ["run", "2"]


def test_rounds_differ_in_their_policy_and_in_what_is_drawn_for_training_alone(tmp_path: Path) -> None:
    config = replace(
        load_recipe("smoke").config,
        rounds=3,
        warm_start=WarmStartConfig(questions=4),
        judge=JudgeConfig(name="model"),
    )
    first, second, third = planned(tmp_path, config)
    assert first == (tmp_path, config)
    assert [path.relative_to(tmp_path).as_posix() for path, _ in (second, third)] == ["rounds/2", "rounds/3"]
    assert second[1].policy == replace(config.policy, model=str(tmp_path / "train" / "model"))
    assert third[1].policy.model == str(tmp_path / "rounds" / "2" / "train" / "model")
    assert second[1].judge.model == str(tmp_path / "warm_start" / "model"), "who judges does not learn"
    same = ("generate", "filter", "train", "evaluate", "seed")
    assert all(getattr(own, name) == getattr(config, name) for _, own in (second, third) for name in same)
    assert len({Run(*each).seed for each in (first, second, third)}) == 3
    assert configured(tmp_path, replace(config, judge=JudgeConfig(name="rule")), 2).judge.model == ""


def test_all_rounds_have_one_budget(tmp_path: Path) -> None:
    config = RunConfig(rounds=2)
    runs = [Run.create(*each) for each in planned(tmp_path, config)]
    for run in runs:
        run.ledger("judge").note(
            Request(stage="judge", service="judge", model="m", seconds=1.0, usd=0.25, usage=Usage(tokens_in=10))
        )
    assert [run.spent("judge") for run in runs] == [0.5, 0.5]


def test_a_dry_run_counts_the_rounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = JudgeServerConfig(url="http://127.0.0.1:1/v1", usd_per_million_in=1.0, usd_per_million_out=1.0)
    config = RunConfig(
        rounds=3,
        generate=GenerateConfig(tasks=("arithmetic",), questions=2),
        judge=JudgeConfig(name="model"),
        judge_server=server,
        evaluate=EvaluateConfig(tasks=("arithmetic",), questions=2),
    )
    asked = [[one.most.requests for one in estimated(*own)] for own in planned(tmp_path / "run", config)]
    assert sum(asked[0]) > 0
    assert asked == [asked[0]] * 3
    dry_run([(tmp_path / "run", config)])
    assert "3 rounds in all." in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_the_share_that_is_kept_is_over_questions() -> None:
    decisions = tuple(
        Decision(trajectory=f"q{question}/{sample}", kept=question < 2) for question in range(4) for sample in range(5)
    )
    selection = Selection(rule=Rule.NONE, judges=(), num_trajectories=20, survival={}, fallen={}, decisions=decisions)
    share = kept_share(selection)
    assert share is not None
    assert (share.mean, share.n) == (0.5, 4)
    assert share.ci95 == (0.0, 1.0), "four questions say little, however often they are answered"
    assert kept_share(replace_decisions(selection)) is None


def replace_decisions(selection: Selection) -> Selection:
    return Selection(rule=selection.rule, judges=(), num_trajectories=0, survival={}, fallen={}, decisions=())


def test_where_nothing_is_rewarded_there_is_no_curve_of_it() -> None:
    imitated = Metrics(update=1, num_samples=4, loss=0.5, grad_norm=1.0, learning_rate=0.1, mean_tokens=6.0)
    assert mean_reward([imitated]) is None
    share = {"mean": 0.5, "ci95": [0.4, 0.6], "n": 9}
    assert list(data_curves([{"round": 0}, {"round": 1, "kept_share": share}])) == ["trajectories kept"]


def test_verify_looks_at_every_round(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(copy)]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        str(copy),
        str(copy / "rounds" / "2"),
    ]
    assert main(["verify", str(copy / "rounds" / "2")]) == 0
    answers = next((copy / "rounds" / "2" / "evaluation").glob("before-*.jsonl"))
    answers.write_bytes(answers.read_bytes().replace(b"answer", b"anSwer", 1))
    capsys.readouterr()
    assert main(["verify", str(copy)]) == 1
    assert f"{answers}:1" in capsys.readouterr().out
