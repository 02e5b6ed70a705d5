"""A packed tree against the plain pass: the same logits and gradients, for every family."""

import re
from functools import cache, partial
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl.engine import PolicyConfig, flex
from swirl.engine import tree as trees
from swirl.engine.attention import obstacle
from swirl.engine.forward import Predictions, predict_packed, predict_rows
from swirl.engine.model import LanguageModel, load, reference
from swirl.engine.tree import Pair, grow, num_distinct
from test_tree import ROWS, trajectories
from tiny_models import FAMILIES, tiny_model, write_model


def some_rows(length: int = 12) -> list[Pair]:
    """Two trajectories of one prompt and three states, longer than the window of the families that have one."""
    numbers = np.random.default_rng(0).integers(0, 200, 1000).tolist()
    take = iter(numbers)
    prompt = tuple(islice(take, length))
    rows = []
    for _ in range(2):
        context = prompt
        for state in range(3):
            actions = [tuple(islice(take, n)) for n in (1, 3, 5 + state)]
            actions.append((*actions[-1][:2], *islice(take, 3)))
            rows += [(context, action) for action in actions]
            context = (*context, *actions[-1], *islice(take, 4))
    return rows


def logprobs(said: Predictions) -> torch.Tensor:
    """Of all action tokens, with gradient."""
    return said.head(said.features_PX).log_softmax(-1)[said.places_N, said.tokens_N]


def gradients(lm: LanguageModel, logprobs_N: torch.Tensor) -> list[torch.Tensor]:
    weights = torch.linspace(-1, 1, len(logprobs_N), dtype=logprobs_N.dtype, device=logprobs_N.device)
    return list(torch.autograd.grad((logprobs_N * weights).sum(), list(lm.network.parameters())))


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probabilities_and_gradients_are_those_of_the_plain_pass(family, tmp_path):
    lm = tiny_model(tmp_path / "m", family)
    rows = some_rows()
    plain, packed = (logprobs(predict(lm.network, rows, lm.device)) for predict in (predict_rows, predict_packed))
    assert (plain - packed).abs().max() < 2e-5
    for ours, theirs in zip(gradients(lm, packed), gradients(lm, plain), strict=True):
        assert (ours - theirs).norm() < 1e-5 * theirs.norm()


@pytest.fixture(scope="module")
def windowed(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model") / "m", "gemma2")


@settings(deadline=None, max_examples=30)
@given(rows=st.one_of(ROWS, trajectories()), limits=st.sampled_from([(1, 1), (3, 4), (1024, 256)]))
def test_any_rows_in_any_blocks_have_the_log_probabilities_of_the_plain_pass(windowed, rows, limits):
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(trees, "_TRUNK", limits[0])
        patch.setattr(trees, "_BRANCHES", limits[1])
        packed = logprobs(predict_packed(windowed.network, rows, windowed.device))
        assert (logprobs(predict_rows(windowed.network, rows, windowed.device)) - packed).abs().max() < 2e-5


def test_adapters_are_read_and_trained_like_weights(tmp_path):
    lm = load(PolicyConfig(model=str(write_model(tmp_path / "m")), device="cpu", lora_rank=4))
    adapters = {name: weight for name, weight in lm.network.named_parameters() if weight.requires_grad}
    with torch.no_grad():
        for weight in adapters.values():
            weight += 0.05
    rows = some_rows()
    slopes = []
    for predict in (predict_rows, predict_packed):
        found = logprobs(predict(lm.network, rows, lm.device))
        slopes.append(torch.autograd.grad(found.sum(), list(adapters.values())))
        with reference(lm) as initial:
            before = logprobs(predict(initial, rows, lm.device))
        assert (before - found).abs().max() > 1e-3
    for ours, theirs in zip(*slopes, strict=True):
        assert (ours - theirs).norm() < 2e-5 * theirs.norm()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, None),
        ({"model_type": "mamba"}, "mamba is not one of the families"),
        ({"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4}}, "position encoding .dynamic. depends"),
        ({"use_bidirectional_attention": True}, "not causal"),
    ],
)
def test_what_cannot_be_packed_is_told_why(change, told, tmp_path):
    lm = tiny_model(tmp_path / "m")
    for name, value in change.items():
        setattr(lm.network.config, name, value)
    reason = obstacle(lm.network)
    assert reason is None if told is None else re.search(told, reason)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("family", FAMILIES)
def test_flex_attention_reads_the_same(family, tmp_path, monkeypatch):
    """Uncompiled, on the processor, padding included."""
    lm = tiny_model(tmp_path / "m", family)
    rows = some_rows()
    with torch.no_grad():
        sliced = logprobs(predict_packed(lm.network, rows, lm.device))
        monkeypatch.setattr(flex, "serves", lambda device: True)
        monkeypatch.setattr(flex, "_compiled", lambda: flex.flex_attention)
        assert (logprobs(predict_packed(lm.network, rows, lm.device)) - sliced).abs().max() < 2e-5


def test_flex_attention_stays_compiled_whatever_the_number_of_sizes(monkeypatch):
    """Without its kernel, which the processor has not: what is counted is how often torch compiles."""
    monkeypatch.setattr(flex, "serves", lambda device: True)
    monkeypatch.setattr(flex, "_compiled", cache(flex._compiled.__wrapped__))
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        for length in range(20, 30):
            mask = flex.block_mask(grow([((1,), tuple(range(length)))]), None, torch.device("cpu"))
            ones = torch.ones(1, 1, length, 16)
            assert torch.allclose(flex.attend(ones, ones, ones, mask, 1.0, None), ones)


@pytest.mark.parametrize("window", [None, 1, 3, 8])
@settings(deadline=None)
@given(rows=trajectories())
def test_the_predicate_of_flex_attention_is_visibility(window: int | None, rows: list[Pair]) -> None:
    tree = flex.padded(grow(rows), flex.bucket(num_distinct(rows)))
    count = num_distinct(rows)
    places = np.arange(len(tree.ids_N))
    expected = tree.sees(places, places)
    if window is not None:
        expected &= tree.positions_N[:, None] - tree.positions_N < window
    mask = flex.block_mask(tree, window, torch.device("cpu"))
    one = torch.tensor(0)
    found = mask.mask_mod(one, one, torch.from_numpy(places)[:, None], torch.from_numpy(places))
    assert np.array_equal(found.numpy(), expected)
    assert np.array_equal(expected[count:], np.eye(len(places), dtype=bool)[count:]), "padding sees itself alone"
    assert not expected[:count, count:].any()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
@pytest.mark.parametrize("family", FAMILIES)
def test_on_a_gpu_log_probabilities_and_gradients_are_those_of_the_plain_pass(family, tmp_path):
    lm = load(PolicyConfig(model=str(write_model(tmp_path / "m", family)), device="cuda"))
    rows = some_rows()
    plain, packed = (logprobs(predict(lm.network, rows, lm.device)) for predict in (predict_rows, predict_packed))
    assert (plain - packed).abs().max() < 1e-4
    for ours, theirs in zip(gradients(lm, packed), gradients(lm, plain), strict=True):
        assert (ours - theirs).norm() < 1e-4 * theirs.norm()
