"""The plain forward pass, against the network read one row at a time without any padding."""

import pytest
import torch

from swirl.engine.forward import action_logits, token_logprobs
from tiny_models import FAMILIES, tiny_model

ROWS = [([1, 2, 3], [4, 5]), ([6] * 20, [7]), ([8], [9, 10, 11, 12, 13]), ([1, 2, 3], [5, 4, 3])]


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_and_batching_change_nothing(family, tmp_path):
    lm = tiny_model(tmp_path / "m", family)
    scored = action_logits(lm.network, [context for context, _ in ROWS], [action for _, action in ROWS], lm.device)
    for row, (context, action) in enumerate(ROWS):
        alone = lm.network(torch.tensor([context + action])).logits[0, len(context) - 1 : -1]
        assert torch.allclose(scored.logits_BTV[row, : len(action)], alone, atol=1e-5)


def test_the_mask_and_the_tokens_are_these(tmp_path):
    lm = tiny_model(tmp_path / "m")
    scored = action_logits(lm.network, [[1, 2, 3], [6]], [[4, 5], [7, 8, 9]], lm.device)
    assert scored.tokens_BT.tolist() == [[4, 5, 0], [7, 8, 9]]
    assert scored.mask_BT.tolist() == [[True, True, False], [True, True, True]]


def test_logprobs_follow_the_temperature_and_are_zero_in_the_padding(tmp_path):
    lm = tiny_model(tmp_path / "m")
    scored = action_logits(lm.network, [[1, 2, 3], [6]], [[4, 5], [7, 8, 9]], lm.device)
    for temperature, divisor in ((1.0, 1.0), (0.5, 0.5), (0.0, 1.0)):
        expected = torch.log_softmax(scored.logits_BTV / divisor, -1)
        found = token_logprobs(scored, temperature)
        assert torch.allclose(found[0, 0], expected[0, 0, 4])
        assert torch.allclose(found[1, 2], expected[1, 2, 9])
        assert found[0, 2] == 0


def test_the_gradient_reaches_every_weight(tmp_path):
    lm = tiny_model(tmp_path / "m")
    token_logprobs(action_logits(lm.network, [[1, 2, 3]], [[4, 5]], lm.device)).sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in lm.network.parameters())


def test_an_empty_action_is_a_programmers_mistake(tmp_path):
    lm = tiny_model(tmp_path / "m")
    with pytest.raises(AssertionError, match="at least one token each"):
        action_logits(lm.network, [[1]], [[]], lm.device)
