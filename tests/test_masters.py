"""Training weights that are kept in bfloat16: nothing that is learnt is rounded away, and a killed run goes on bit for bit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from swirl.engine.model import LanguageModel, save
from swirl.errors import ConfigError
from swirl.records import read
from swirl.train import Metrics, TrainConfig
from swirl.train.learner import Learner
from swirl.train.loop import train
from swirl.train.rows import Row
from test_checkpoint import CONFIG, Cut, CutJudge, contents
from word_model import STATES, EchoJudge, ids, word_model

CONTEXT = ids("User: 3 Assistant:")
ROWS = [Row(CONTEXT, ids(f"<answer> {digit} </answer>"), 0.5 - digit / 5) for digit in range(6)]
STEADY = TrainConfig(learning_rate=1e-4, warmup_updates=0, decay="none", clip_norm=1e9)
RESOLUTION = 2.0**-8
"""Of a bfloat16 number a little below 1."""


@pytest.fixture
def lm(tmp_path: Path) -> LanguageModel:
    return word_model(tmp_path / "model", dtype="bfloat16")


def norm_weight(lm: LanguageModel) -> torch.Tensor:
    """Weights that all begin at 1."""
    weight: torch.Tensor = lm.network.model.norm.weight.detach()
    return weight


def test_updates_far_below_the_resolution_add_up(lm: LanguageModel) -> None:
    learner, before = Learner(lm, STEADY), norm_weight(lm).clone()
    bare = torch.nn.Parameter(before.clone())
    optimiser = torch.optim.AdamW([bare], lr=STEADY.learning_rate, weight_decay=0.0)
    for update in range(60):
        learner.learn(ROWS, update)
        bare.grad = learner.weights["model.norm.weight"].grad.bfloat16()
        optimiser.step()
        if update == 4:
            assert torch.equal(norm_weight(lm), before), "5 updates together are less than half the resolution"
            assert (learner.weights["model.norm.weight"] != 1).all()
    assert torch.equal(bare, before), "without masters, nothing is ever learnt"
    moved = (norm_weight(lm).float() - 1).abs()
    assert (moved >= RESOLUTION / 2).float().mean() > 0.5
    assert lm.network.dtype == torch.bfloat16


def test_the_weights_are_the_masters_rounded(lm: LanguageModel) -> None:
    learner = Learner(lm, STEADY)
    learner.learn(ROWS, 0)
    for name, weight in lm.network.named_parameters():
        assert learner.weights[name].dtype == torch.float32
        assert torch.equal(weight, learner.weights[name].bfloat16())
        assert weight.grad is None


def test_gradients_of_micro_batches_are_added_up_in_single_precision(lm: LanguageModel) -> None:
    learner = Learner(lm, TrainConfig(tokens_per_batch=1))
    learner.accumulate(ROWS)
    found = {name: master.grad.clone() for name, master in learner.weights.items()}
    alone = []
    for row in ROWS:
        learner.accumulate([row])
        alone.append({name: master.grad.clone() for name, master in learner.weights.items()})
    coarse = 0
    for name, slope in found.items():
        parts = [part[name] for part in alone]
        assert torch.allclose(slope, sum(parts), rtol=1e-6, atol=1e-7)
        rounded = torch.zeros_like(slope, dtype=torch.bfloat16)
        for part in parts:
            rounded += part.bfloat16()
        coarse += int((rounded.float() - slope).abs().max() > 1e-4)
    assert coarse, "in bfloat16 the sum is another"


def test_precise_weights_are_their_own_masters(tmp_path: Path) -> None:
    lm = word_model(tmp_path / "model")
    learner = Learner(lm, STEADY)
    assert all(learner.weights[name] is weight for name, weight in lm.network.named_parameters())


def test_training_that_was_cut_off_ends_with_the_same_bytes(tmp_path: Path) -> None:
    def start(folder: str, judge: EchoJudge | None = None) -> dict[str, bytes]:
        lm = word_model(tmp_path / "model", dtype="bfloat16")
        train(lm, STATES, judge or EchoJudge(), CONFIG, seed=1, folder=tmp_path / folder)
        return contents(tmp_path / folder)

    undisturbed = start("undisturbed")
    for _ in range(2):
        with pytest.raises(Cut):
            start("cut", CutJudge(3))
    assert start("cut") == undisturbed
    masters = load_file(tmp_path / "cut/checkpoints/update-000005/weights.safetensors")
    trained = load_file(tmp_path / "cut/model/model.safetensors")
    assert {master.dtype for master in masters.values()} == {torch.float32}
    assert masters.keys() == trained.keys()
    assert any((masters[name] != trained[name].float()).any() for name in masters)
    assert all(torch.equal(masters[name].bfloat16(), trained[name]) for name in masters)


def test_with_adapters_the_coarse_weights_stay(tmp_path: Path) -> None:
    lm = word_model(tmp_path / "model", dtype="bfloat16", lora_rank=2)
    learner = Learner(lm, STEADY)
    trained = [weight for weight in lm.network.parameters() if weight.requires_grad]
    assert {weight.dtype for weight in trained} == {torch.float32}
    assert list(map(id, learner.weights.values())) == list(map(id, trained))


def test_an_adapter_beside_coarse_weights_is_not_trained(tmp_path: Path) -> None:
    save(word_model(tmp_path / "model", lora_rank=2), tmp_path / "adapter")
    settings: dict[str, Any] = {"dtype": "bfloat16"}
    with pytest.raises(ConfigError, match=r"is an adapter, which policy\.dtype = \"bfloat16\" leaves beside its base"):
        Learner(word_model(tmp_path / "adapter", **settings), STEADY)
    Learner(word_model(tmp_path / "adapter", **settings, lora_rank=2), STEADY)
    Learner(word_model(tmp_path / "adapter"), STEADY)


def test_how_far_training_is_from_sampling_is_measured_where_weights_are_coarse(tmp_path: Path) -> None:
    for dtype, low, high in (("float32", None, None), ("bfloat16", 1e-7, 0.1)):
        lm = word_model(tmp_path / dtype, dtype=dtype)
        train(lm, STATES, EchoJudge(), CONFIG, seed=1, folder=tmp_path / f"{dtype}-run")
        for metrics in read(tmp_path / f"{dtype}-run" / Metrics.FILE, Metrics):
            assert metrics.drift is None if low is None else low < (metrics.drift or 0.0) < high
