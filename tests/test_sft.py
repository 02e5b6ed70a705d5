"""Supervised training imitates actions, and nothing else of a trajectory."""

from pathlib import Path

import pytest
import torch

from swirl.engine.model import LanguageModel
from swirl.errors import ConfigError, TrainingError
from swirl.records import read
from swirl.train import Metrics, TrainConfig
from swirl.train.sft import finetune, pair
from swirl.types import Step
from word_model import ids, state, step, word_model

WHOLE = state("3 1", step("<math_exp> 3 </math_exp>", "5"), step("<answer> 5 </answer>"))
SFT = TrainConfig(objective="sft", updates=4, states=8, learning_rate=0.02, warmup_updates=1)


@pytest.fixture
def lm(tmp_path: Path) -> LanguageModel:
    return word_model(tmp_path / "model")


def test_a_trajectory_is_imitated_action_by_action_and_observations_are_context(lm: LanguageModel) -> None:
    """`User: 3 1 Assistant:` asks for the call; the call, `<end>`, and the turn `3 -> 5` ask for the answer."""
    assert pair(lm, WHOLE, 0) == ((2, 12, 10, 3), (6, 12, 7))
    assert pair(lm, WHOLE, 1) == ((2, 12, 10, 3, 6, 12, 7, 1, 2, 12, 8, 14, 3), (4, 14, 5))


def test_recorded_ids_are_imitated_as_they_are_and_text_without_ids_is_encoded(lm: LanguageModel) -> None:
    written = step("<answer> 5 </answer>")
    other_ids = Step(text=written.text, action=written.action, token_ids=(4, 14, 5, 1))
    no_ids = Step(text=written.text, action=written.action)
    assert pair(lm, state("3", other_ids), 0)[1] == (4, 14, 5, 1)
    assert pair(lm, state("3", no_ids), 0)[1] == (4, 14, 5)


def test_it_learns_the_demonstrated_actions(lm: LanguageModel, tmp_path: Path) -> None:
    wholes = [
        state(f"{a} {b}", step(f"<math_exp> {b} </math_exp>", f"{b}"), step(f"<answer> {b} </answer>"))
        for a in range(6)
        for b in range(6)
    ]
    finetune(lm, wholes, TrainConfig(**{**vars(SFT), "updates": 40, "states": 16}), seed=1, folder=tmp_path / "sft")
    metrics = list(read(tmp_path / "sft/metrics.jsonl", Metrics))
    assert metrics[-1].loss < 0.5 * metrics[0].loss
    trained = word_model(tmp_path / "sft/model")
    context, action = (
        ids("User: 2 4 Assistant: <math_exp> 4 </math_exp> <end> User: 4 -> 4 Assistant:"),
        ids("<answer> 4 </answer>"),
    )
    logits = trained.network(input_ids=torch.tensor([[*context, *action]])).logits[0, len(context) - 1 : -1]
    assert tuple(logits.argmax(-1).tolist()) == action


def test_what_has_no_meaning_for_it_is_not_recorded(lm: LanguageModel, tmp_path: Path) -> None:
    finetune(lm, [WHOLE], SFT, seed=1, folder=tmp_path / "sft")
    metrics = list(read(tmp_path / "sft/metrics.jsonl", Metrics))
    assert [m.num_samples for m in metrics] == [8] * 4
    assert metrics[0].sampled.tool_call == metrics[0].sampled.answer == 4
    assert {(m.reward, m.kl, m.entropy, m.signal) for m in metrics} == {(None, None, None, None)}
    assert metrics[0].mean_tokens == 3


def test_an_objective_with_a_reward_is_refused(lm: LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'expects train\.objective "sft", found "rloo"'):
        finetune(lm, [WHOLE], TrainConfig(), seed=1, folder=tmp_path / "sft")


def test_there_must_be_an_action_to_imitate(lm: LanguageModel, tmp_path: Path) -> None:
    for nothing in ([], [state("3")]):
        with pytest.raises(TrainingError, match="there is nothing to train on"):
            finetune(lm, nothing, SFT, seed=1, folder=tmp_path / "sft")
