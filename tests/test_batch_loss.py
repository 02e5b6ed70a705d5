"""The loss of a micro-batch: cut into parts, the same loss and gradients, and never many logits at once."""

import pytest
import torch

from swirl.engine import forward
from swirl.engine.model import LanguageModel
from swirl.train import TrainConfig
from swirl.train.batch_loss import BatchLoss
from swirl.train.rows import Row
from test_attention import some_rows
from tiny_models import tiny_model

ROWS = [Row(context, action, (-1.0) ** i / 24, 0.1) for i, (context, action) in enumerate(some_rows())]


@pytest.fixture(params=["llama", "gemma2"])
def lm(request, tmp_path) -> LanguageModel:
    """Weights that are tied, and others."""
    return tiny_model(tmp_path / "m", request.param)


def loss_and_gradients(lm: LanguageModel, packed: bool = True, scale: float = 1.0) -> list[torch.Tensor]:
    batch_loss = BatchLoss(lm, TrainConfig(temperature=0.7))
    batch_loss.reader.packed = packed
    found = batch_loss(ROWS, with_kl=True)
    return [found.loss.detach(), *torch.autograd.grad(found.loss * scale, list(lm.network.parameters()))]


def assert_close(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    assert max(value.abs().max() for value in expected) > 1e-3
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).norm() <= 1e-5 * theirs.norm()


@pytest.mark.parametrize("packed", [True, False])
def test_parts_add_up_and_are_small(lm, packed, monkeypatch):
    whole = loss_and_gradients(lm, packed)
    made: list[int] = []
    monkeypatch.setattr(forward, "_LOGIT_BYTES", 4 * 3 * lm.network.config.vocab_size)
    monkeypatch.setattr(
        "swirl.train.batch_loss.log_policy", lambda logits, t: made.append(len(logits)) or (logits / t).log_softmax(-1)
    )
    assert_close(loss_and_gradients(lm, packed), whole)
    assert max(made) == 3
    assert len(made) > 10


def test_no_logits_are_kept_for_the_gradient(lm, monkeypatch):
    """Of everything the graph holds on to, weights aside, nothing as wide as the vocabulary is longer than a part."""
    monkeypatch.setattr(forward, "_LOGIT_BYTES", 4 * 3 * lm.network.config.vocab_size)
    weights = {weight.untyped_storage().data_ptr() for weight in lm.network.parameters()}
    kept: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda one: kept.append(one) or one, lambda one: one):
        found = BatchLoss(lm, TrainConfig())(ROWS, with_kl=True)
    wide = [one for one in kept if one.shape[-1:] == (lm.network.config.vocab_size,)]
    assert wide, "of the parts themselves"
    assert all(len(one) <= 3 for one in wide if one.untyped_storage().data_ptr() not in weights)
    assert found.loss.requires_grad
    assert not found.kl.requires_grad


def test_a_scaled_loss_has_a_scaled_gradient(lm):
    once, twice = loss_and_gradients(lm), loss_and_gradients(lm, scale=2.0)
    assert_close(twice[1:], [2 * slope for slope in once[1:]])


def test_a_head_that_is_not_trained_gets_no_gradient(tmp_path):
    lm = tiny_model(tmp_path / "m")
    lm.network.lm_head.requires_grad_(False)
    BatchLoss(lm, TrainConfig())(ROWS, with_kl=False).loss.backward()
    assert lm.network.lm_head.weight.grad is None
    assert lm.network.model.norm.weight.grad.any()
