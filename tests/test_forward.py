"""The plain pass, against the network read one row at a time without any padding; and the packed one against it."""

import pytest
import torch

from swirl.engine import forward
from swirl.engine.forward import Predictions, Reader, padded_batches, predict_packed, predict_rows, token_logprobs
from tiny_models import FAMILIES, tiny_model

ROWS = [((1, 2, 3), (4, 5)), ((6,) * 20, (7,)), ((8,), (9, 10, 11, 12, 13)), ((1, 2, 3), (5, 4, 3))]


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_and_batching_change_nothing(family, tmp_path):
    lm = tiny_model(tmp_path / "m", family)
    found = token_logprobs(predict_rows(lm.network, ROWS, lm.device))
    for (context, action), logprobs in zip(ROWS, found, strict=True):
        alone = lm.network(torch.tensor([[*context, *action]])).logits[0, len(context) - 1 : -1].log_softmax(-1)
        assert logprobs == pytest.approx(
            [row[token].item() for row, token in zip(alone, action, strict=True)], abs=1e-5
        )


@pytest.mark.parametrize("predict", [predict_rows, predict_packed])
def test_places_tokens_and_rows_are_these(predict, tmp_path):
    lm = tiny_model(tmp_path / "m")
    said = predict(lm.network, [((1, 2, 3), (4, 5)), ((6,), (7, 8, 9)), ((1, 2, 3), (4, 6))], lm.device)
    assert said.tokens_N.tolist() == [4, 5, 7, 8, 9, 4, 6]
    assert said.rows_N.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert len(said.features_PX) == (7 if predict is predict_rows else 5)
    assert len(set(said.places_N.tolist())) == len(said.features_PX)


@pytest.mark.parametrize("predict", [predict_rows, predict_packed])
def test_logits_are_made_a_few_at_a_time(predict, tmp_path, monkeypatch):
    lm = tiny_model(tmp_path / "m")
    whole = predict(lm.network, ROWS, lm.device)
    monkeypatch.setattr(forward, "_LOGIT_BYTES", 4 * 3 * whole.vocabulary)
    made: list[int] = []

    def head(features: torch.Tensor) -> torch.Tensor:
        made.append(len(features))
        return whole.head(features)

    cut = whole._replace(head=head)
    assert token_logprobs(cut) == token_logprobs(predict(lm.network, ROWS, lm.device))
    assert max(made) == 3
    assert sum(made) == len(whole.features_PX)
    assert sorted(n for part in cut.parts() for n in part.tokens.tolist()) == list(range(len(whole.tokens_N)))


def test_logprobs_follow_the_temperature(tmp_path):
    lm = tiny_model(tmp_path / "m")
    said = predict_rows(lm.network, ROWS, lm.device)
    for temperature, divisor in ((1.0, 1.0), (0.5, 0.5), (0.0, 1.0)):
        expected = torch.log_softmax(said.features_PX / divisor, -1)
        assert token_logprobs(said, temperature)[0] == pytest.approx([expected[0, 4].item(), expected[1, 5].item()])


def test_only_tested_families_are_packed(tmp_path):
    lm = tiny_model(tmp_path / "m")
    assert Reader(lm.network, lm.device).packed
    lm.network.config.model_type = "mamba"
    reader = Reader(lm.network, lm.device)
    assert not reader.packed
    assert isinstance(reader.predict(lm.network, ROWS), Predictions)
    assert list(reader.batches(ROWS, 12)) == list(padded_batches(ROWS, 12))


def test_padded_batches_keep_their_budget_with_padding_counted():
    rows = [((1,) * n, (2,)) for n in (3, 9, 1, 4, 4, 30, 2)]
    batches = list(padded_batches(rows, 12))
    assert sorted(i for batch in batches for i in batch) == list(range(len(rows)))
    assert all(len(batch) * max(len(rows[i][0]) + 1 for i in batch) <= 12 or len(batch) == 1 for batch in batches)
    assert len(batches) == 4


@pytest.mark.parametrize("predict", [predict_rows, predict_packed])
def test_an_empty_action_is_a_programmers_mistake(predict, tmp_path):
    lm = tiny_model(tmp_path / "m")
    with pytest.raises(AssertionError, match="at least one token each"):
        predict(lm.network, [((1,), ())], lm.device)
