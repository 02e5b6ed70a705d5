"""The loop on a tiny language model: what it samples, whom it asks, what it learns from, when it refuses to go on."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pytest
from msgspec.structs import replace

from swirl.engine.model import LanguageModel
from swirl.errors import ConfigError, TrainingError
from swirl.judges import Judge, StepSample
from swirl.judges.missing import Counting
from swirl.protocol import parse, render
from swirl.records import read
from swirl.train import Metrics, TrainConfig, UpdateTiming
from swirl.train.groups import Group, judge_groups, require_verdicts, unshared
from swirl.train.learner import learning_rate
from swirl.train.loop import train
from swirl.train.session import draw
from swirl.types import Malformed, Question, Step, ToolCall, Trajectory, Verdict, VerdictStatus
from word_model import STATES as PAIRS
from word_model import EchoJudge, ids, state, step, word_model

GOLDEN = Path(__file__).parent / "golden" / "losses.json"
SMALL = TrainConfig(
    updates=3, states=4, actions=4, learning_rate=0.01, warmup_updates=1, max_tokens=6, max_context=40, kl_weight=0.01
)
STATES = [*PAIRS, *[state(f"{digit}", step(f"<math_exp> {digit} </math_exp>", f"{digit}")) for digit in range(6)]]


@pytest.fixture
def lm(tmp_path: Path) -> LanguageModel:
    return word_model(tmp_path / "model")


def run(
    lm: LanguageModel,
    folder: Path,
    config: TrainConfig = SMALL,
    judge: Judge | None = None,
    states: Sequence[Trajectory] = STATES,
) -> list[Metrics]:
    train(lm, states, judge or EchoJudge(), config, seed=1, folder=folder)
    return list(read(folder / "metrics.jsonl", Metrics))


def changed(config: TrainConfig, **settings: object) -> TrainConfig:
    return TrainConfig(**{**vars(config), **settings})


def test_training_raises_the_reward(lm: LanguageModel, tmp_path: Path) -> None:
    config = changed(SMALL, updates=30, states=12, actions=8, learning_rate=0.03)
    metrics = run(lm, tmp_path / "train", config)
    first, last = ([m.reward or 0.0 for m in part] for part in (metrics[:5], metrics[-5:]))
    assert sum(first) / 5 < 0.15
    assert sum(last) / 5 > 0.35
    assert metrics[0].kl == pytest.approx(0.0, abs=1e-6)
    assert (metrics[-1].kl or 0.0) > 0.1


def test_twenty_updates_have_the_losses_they_always_had(lm: LanguageModel, tmp_path: Path) -> None:
    """After a change that is meant to change them, write the losses found to the golden file."""
    found = [m.loss for m in run(lm, tmp_path / "train", changed(SMALL, updates=20, states=16))]
    assert found == pytest.approx(json.loads(GOLDEN.read_text())["losses"], rel=1e-4, abs=1e-6)


def test_equal_runs_have_equal_metrics_byte_for_byte(tmp_path: Path) -> None:
    for name in "ab":
        run(word_model(tmp_path / "model"), tmp_path / name)
    assert (tmp_path / "a/metrics.jsonl").read_bytes() == (tmp_path / "b/metrics.jsonl").read_bytes()
    assert (tmp_path / "a/model/model.safetensors").read_bytes() == (
        tmp_path / "b/model/model.safetensors"
    ).read_bytes()


def test_a_training_goes_on_with_another_tracker(lm: LanguageModel, tmp_path: Path) -> None:
    first = run(lm, tmp_path / "train")
    again = run(word_model(tmp_path / "model"), tmp_path / "train", changed(SMALL, tracker="wandb"))
    assert again == first


def test_an_update_says_how_many_states_their_next_ones_do_not_begin_with(lm: LanguageModel, tmp_path: Path) -> None:
    """The two states of a trajectory meet in the update. Where history is kept, the first is read as a part of the second."""
    first = state("1 2")
    second = replace(first, steps=(step("<math_exp> 3 </math_exp>", "3"),))
    config = changed(SMALL, updates=1, states=2)
    [shared] = run(lm, tmp_path / "shared", config, states=[first, second])
    [alone] = run(word_model(tmp_path / "model"), tmp_path / "alone", config, states=[first, state("1 3")])
    other = replace(second, question=replace(first.question, text="4 5"))
    [apart] = run(word_model(tmp_path / "model"), tmp_path / "apart", config, states=[first, other])
    assert (shared.unshared, alone.unshared, apart.unshared) == (0.0, None, 1.0)


@pytest.mark.parametrize("what", ["twice", "no order"])
def test_a_state_that_comes_twice_is_not_its_own_next_one(what: str) -> None:
    places = [("a", 0), ("a", 0)] if what == "twice" else [("a", 1), ("a", 0)]
    contexts = [(1,), (1,)] if what == "twice" else [(1, 2), (1,)]
    assert unshared(places, contexts) == (None if what == "twice" else 0.0)


@pytest.mark.parametrize("objective", ["rloo", "reinforce"])
@pytest.mark.parametrize("kl", ["full", "k1"])
def test_the_token_budget_changes_nothing_but_rounding(tmp_path: Path, objective: str, kl: str) -> None:
    config = changed(SMALL, objective=objective, kl=kl, kl_weight=0.1, updates=1, states=16)
    [whole] = run(word_model(tmp_path / "model"), tmp_path / "whole", config)
    [cut] = run(word_model(tmp_path / "model"), tmp_path / "cut", changed(config, tokens_per_batch=1))
    assert whole.sampled == cut.sampled
    assert whole.grad_norm > 0.01
    assert (whole.loss, whole.grad_norm) == pytest.approx((cut.loss, cut.grad_norm), rel=1e-4)


def test_the_judge_sees_the_state_and_the_fresh_action_and_no_observation(lm: LanguageModel, tmp_path: Path) -> None:
    judge = EchoJudge()
    run(lm, tmp_path / "train", judge=judge)
    assert judge.asked
    for sample in judge.asked:
        assert sample.state in STATES
        assert sample.step.observation is None
        assert sample.step.action == parse(sample.step.text)
        assert ids(sample.step.text) == sample.step.token_ids


class Fussy:
    """Fails on what no judge should be asked, and cannot read tool calls."""

    name = "fussy"

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        keys = [(sample.state.id, sample.step.text) for sample in samples]
        assert len(set(keys)) == len(keys), "asked twice"
        assert not any(isinstance(sample.step.action, Malformed) for sample in samples)
        return [self._verdict(sample.step) for sample in samples]

    def _verdict(self, step: Step) -> Verdict:
        if isinstance(step.action, ToolCall):
            return Verdict(None, status=VerdictStatus.UNREADABLE)
        return Verdict(1.0)


def test_malformed_actions_are_bad_without_asking_and_equal_actions_are_judged_once() -> None:
    steps = tuple(
        map(
            step, ["<answer> 3 </answer>", "<answer> 3 </math_exp>", "<answer> 3 </answer>", "<math_exp> 3 </math_exp>"]
        )
    )
    found = judge_groups(Fussy(), [Group(state("1"), (0,), steps), Group(state("2"), (0,), steps[:1])])
    assert [[verdict.score for verdict in row] for row in found] == [[1.0, 0.0, 1.0, None], [1.0]]


def test_missing_verdicts_are_counted_by_action_type_and_never_a_zero(lm: LanguageModel, tmp_path: Path) -> None:
    for update in run(lm, tmp_path / "train", changed(SMALL, max_missing=1.0), Fussy()):
        assert update.missing.tool_call == update.sampled.tool_call > 0
        assert (update.missing.answer, update.missing.malformed) == (0, 0)
        readable = update.sampled.answer + update.sampled.malformed
        assert update.reward == update.good == pytest.approx(update.sampled.answer / readable)


class Silent:
    """Never gives a readable verdict."""

    name = "silent"

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        return [Verdict(None, status=VerdictStatus.REFUSED) for _ in samples]


def test_a_judge_that_gives_no_verdict_stops_training_before_anything_is_learnt(
    lm: LanguageModel, tmp_path: Path
) -> None:
    before = {name: weight.clone() for name, weight in lm.network.named_parameters()}
    with pytest.raises(
        TrainingError, match=r"update 1: (\d+) of \1 verdicts are missing \(refused; on \d+ tool calls, \d+ answers\)"
    ):
        run(lm, tmp_path / "train", SMALL, Silent())
    assert all((before[name] == weight).all() for name, weight in lm.network.named_parameters())
    assert (tmp_path / "train/metrics.jsonl").read_bytes() == b""


def test_what_is_missing_in_training_is_told_by_reason_and_kind() -> None:
    steps = tuple(map(step, ["<math_exp> 3 </math_exp>", "<answer> 3 </answer>", "<answer> 3 </math_exp>"]))
    counting = Counting(Fussy())
    judge_groups(counting, [Group(state("1"), (0,), steps)])
    assert counting.found.told() == "1 of 2 verdicts are missing (1 unreadable; on 1 calculations)"
    assert counting.name == "fussy"


def test_malformed_actions_do_not_hide_a_silent_judge() -> None:
    steps = tuple(map(step, [*["<answer> 3 </math_exp>"] * 5, *["<answer> 3 </answer>"] * 3]))
    groups = [Group(state("1"), (0,), steps)]
    with pytest.raises(TrainingError, match="3 of 3 verdicts are missing"):
        require_verdicts(groups, judge_groups(Silent(), groups), max_missing=0.5, update=0)


def test_a_gradient_that_is_not_finite_is_never_applied(lm: LanguageModel, tmp_path: Path) -> None:
    class Wild:
        name = "wild"

        def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
            return [Verdict(1e308 if i % 2 else -1e308) for i in range(len(samples))]

    before = {name: weight.clone() for name, weight in lm.network.named_parameters()}
    with pytest.raises(TrainingError, match="update 1: expected a finite loss and gradient"):
        run(lm, tmp_path / "train", SMALL, Wild())
    assert all((before[name] == weight).all() for name, weight in lm.network.named_parameters())


def test_a_model_that_only_writes_malformed_actions_is_counted_and_stays_as_it_was(
    lm: LanguageModel, tmp_path: Path
) -> None:
    before = {name: weight.clone() for name, weight in lm.network.named_parameters()}
    for update in run(lm, tmp_path / "train", changed(SMALL, max_tokens=2, kl_weight=0.0), Silent()):
        assert (update.malformed, update.reward, update.signal) == (1.0, 0.0, 0.0)
        assert (update.truncated or 0.0) > 0.5
        assert (update.loss, update.grad_norm, update.kl) == (0.0, 0.0, None)
    assert all((before[name] == weight).all() for name, weight in lm.network.named_parameters())


def test_states_without_room_for_an_action_are_left_out_and_counted(lm: LanguageModel, tmp_path: Path) -> None:
    short, long = state("1"), state(" ".join("1" * 40))
    [update] = run(lm, tmp_path / "some", changed(SMALL, updates=1, warmup_updates=0), states=[short, long])
    assert (update.no_room, update.num_samples) == (2, 8)
    with pytest.raises(
        TrainingError, match=re.escape("none of its 4 states leaves room for an action of train.max_tokens (6)")
    ):
        run(lm, tmp_path / "none", SMALL, states=[long])


def test_there_must_be_something_to_train_on(lm: LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="there is nothing to train on"):
        run(lm, tmp_path / "train", states=[])


def test_supervised_training_is_refused_by_name(lm: LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"use swirl\.train\.sft\.finetune"):
        run(lm, tmp_path / "train", changed(SMALL, objective="sft"))


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # transformers, by way of peft
def test_adapters_alone_are_trained_where_there_are_some(tmp_path: Path) -> None:
    lm = word_model(tmp_path / "model", lora_rank=2)
    before = {name: weight.clone() for name, weight in lm.network.named_parameters()}
    metrics = run(lm, tmp_path / "train")
    different = {name for name, weight in lm.network.named_parameters() if (before[name] != weight).any()}
    assert different
    assert all("lora_" in name for name in different)
    assert metrics[0].kl == pytest.approx(0.0, abs=1e-6)
    assert (metrics[-1].kl or 0.0) > 0


def test_timings_are_handed_out_and_not_recorded(lm: LanguageModel, tmp_path: Path) -> None:
    seen: list[tuple[Metrics, UpdateTiming]] = []
    train(lm, STATES, EchoJudge(), SMALL, seed=1, folder=tmp_path / "train", on_update=lambda *both: seen.append(both))
    assert [metrics for metrics, _ in seen] == list(read(tmp_path / "train/metrics.jsonl", Metrics))
    assert [timing.update for _, timing in seen] == [1, 2, 3]
    assert b"seconds" not in (tmp_path / "train/metrics.jsonl").read_bytes()


def test_every_epoch_visits_every_state_once_in_an_order_of_its_own() -> None:
    drawn = [place for update in range(14) for place in draw("aabbbcd", 3, update, seed=1)]
    epochs = [drawn[start : start + 7] for start in range(0, 42, 7)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_states_of_a_trajectory_are_drawn_together() -> None:
    trajectories = ["a", "b", "a", "c", "b", "a"]
    drawn = [trajectories[place] for update in range(2) for place in draw(trajectories, 3, update, seed=1)]
    assert len([name for name, _ in groupby(drawn)]) == 3


def test_what_states_share_is_read_once(tmp_path: Path) -> None:
    """Three states of one trajectory: its tokens, and those of the actions less the last, which only are predicted."""
    steps = [step(f"<math_exp> {digit} </math_exp>", f"{digit}") for digit in (1, 2)]
    states = [state("3 4", *steps[:count]) for count in range(3)]
    lm = word_model(tmp_path / "model")
    [metrics] = run(lm, tmp_path / "train", changed(SMALL, updates=1, states=3, actions=8), states=states)
    longest = len(lm.chat.context_ids(render(states[-1])))
    assert longest < metrics.tokens_read <= longest + 24 * 5
    assert metrics.naive_tokens > 2 * metrics.tokens_read


def test_an_update_may_be_larger_than_the_data() -> None:
    drawn = draw("ab", 5, 0, seed=1)
    assert [sorted(drawn[:2]), sorted(drawn[2:4]), len(drawn)] == [[0, 1], [0, 1], 5]


@pytest.mark.parametrize(
    ("decay", "expected"),
    [("none", [1, 2, 2, 2, 2, 2]), ("linear", [1, 2, 2, 1.5, 1, 0.5]), ("cosine", [1, 2, 2, 1.707107, 1, 0.292893])],
)
def test_the_learning_rate_rises_and_falls(decay: str, expected: list[float]) -> None:
    config = changed(SMALL, updates=6, warmup_updates=2, learning_rate=2.0, decay=decay)
    assert [learning_rate(config, update) for update in range(6)] == pytest.approx(expected, abs=1e-6)


def test_a_warm_up_longer_than_the_run_never_reaches_the_peak() -> None:
    config = changed(SMALL, updates=2, warmup_updates=4, learning_rate=1.0)
    assert [learning_rate(config, update) for update in range(2)] == [0.25, 0.5]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"updates": 0}, "train.updates must be at least 1, found 0"),
        ({"actions": 1}, 'train.actions must be at least 2 for "rloo", which compares actions at one state, found 1'),
        ({"learning_rate": 0.0}, "train.learning_rate must be above 0, found 0.0"),
        ({"kl_weight": -0.1}, "train.kl_weight must be at least 0, found -0.1"),
        ({"max_missing": 1.5}, "train.max_missing must be a share between 0 and 1, found 1.5"),
        ({"max_tokens": 40}, "max_tokens 40 and max_context 40"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        changed(SMALL, **settings)


def test_settings_are_read_without_torch_and_a_wrong_choice_is_named() -> None:
    program = "import sys, swirl.train as t; print('torch' in sys.modules); t.TrainConfig(kl='k3')"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout == "False\n"
    assert found.stderr.endswith("ConfigError: train.kl must be one of full, k1, found 'k3'\n")


def test_questions_that_render_alike_are_still_different_states() -> None:
    """Two trajectories of one question share a context; their actions are judged and sampled for each."""
    twin = replace(state("1"), id="other", question=Question(id="other", task="words", text="1"))
    steps = (step("<answer> 1 </answer>"),)
    judge = EchoJudge()
    judge_groups(judge, [Group(state("1"), (0,), steps), Group(twin, (0,), steps)])
    assert [sample.state.id for sample in judge.asked] == ["1/0", "other"]
