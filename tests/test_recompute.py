"""Layers that are computed again: the same gradients to the last bit, and less kept for them."""

import pytest
import torch

from swirl.engine import PolicyConfig
from swirl.engine.forward import Reader
from swirl.engine.model import LanguageModel, load
from swirl.engine.recompute import recomputing
from swirl.errors import ConfigError
from swirl.train import TrainConfig
from swirl.train.learner import Learner
from swirl.train.rows import Row
from test_attention import gradients, logprobs, some_rows
from test_loss import Bigram, learner_on
from tiny_models import write_model

FAMILIES = ["llama", "gemma2"]


def model(folder, family: str, lora_rank: int = 0, **settings) -> LanguageModel:
    path = folder if folder.exists() else write_model(folder, family)
    lm = load(PolicyConfig(model=str(path), device="cpu", lora_rank=lora_rank, **settings))
    with torch.no_grad():
        for name, weight in lm.network.named_parameters():
            if "lora_B" in name:  # else an adapter's first half has no gradient
                weight += 0.05
    return lm


def slopes(lm: LanguageModel, packed: bool) -> list[torch.Tensor]:
    """The gradients of an update, KL to the initial policy included."""
    learner = Learner(lm, TrainConfig(tokens_per_batch=90))
    learner.reader.packed = packed
    learner.accumulate([Row(context, action, (-1.0) ** i, 0.1) for i, (context, action) in enumerate(some_rows())])
    return [weight.grad.clone() for weight in learner.weights.values()]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("lora_rank", [0, 4])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_the_same_to_the_last_bit(family, lora_rank, packed, tmp_path):
    kept, again = (
        slopes(model(tmp_path / "m", family, lora_rank, recompute=recompute), packed) for recompute in (False, True)
    )
    assert max(slope.abs().max() for slope in kept) > 1e-3
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(again, kept, strict=True))


def bytes_kept(lm: LanguageModel, packed: bool, recompute: bool) -> int:
    """Bytes of the distinct storages, weights left out, that a forward pass keeps for the gradient."""
    reader = Reader(lm.network, lm.device)
    reader.packed = packed
    own = {weight.untyped_storage().data_ptr() for weight in lm.network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        if recompute:
            with recomputing(lm.network):
                said = reader.predict(lm.network, some_rows())
        else:
            said = reader.predict(lm.network, some_rows())
    assert said.features_PX.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_less_is_kept(family, packed, tmp_path):
    lm = model(tmp_path / "m", family)
    assert bytes_kept(lm, packed, recompute=True) < 0.5 * bytes_kept(lm, packed, recompute=False)


def test_nothing_of_it_is_left_behind(tmp_path):
    """The next pass keeps everything again, and sampling, which needs its cache, is not touched."""
    lm = model(tmp_path / "m", "llama")
    before = bytes_kept(lm, packed=True, recompute=False)
    bytes_kept(lm, packed=True, recompute=True)
    assert bytes_kept(lm, packed=True, recompute=False) == before
    assert not any(module.training for module in lm.network.modules())


def test_a_gradient_may_be_asked_for_after_another_pass(tmp_path):
    """Plain attention has been used in between; the packed pass is still computed again as the packed one."""
    lm = model(tmp_path / "m", "gemma2")
    reader, rows = Reader(lm.network, lm.device), some_rows()
    expected = gradients(lm, logprobs(reader.predict(lm.network, rows)))
    with recomputing(lm.network):
        said = reader.predict(lm.network, rows)
    lm.network(torch.tensor([[1, 2, 3]]))
    assert all(torch.equal(*pair) for pair in zip(gradients(lm, logprobs(said)), expected, strict=True))


def test_a_network_without_such_layers_is_told():
    with pytest.raises(ConfigError, match=r"policy\.recompute: Bigram has no layers"):
        learner_on(Bigram(), recompute=True)
