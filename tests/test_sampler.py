"""Sampling: what is drawn, what is kept of it, and when it ends."""

import math
import os
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swirl.engine import Finish, PolicyConfig, Sampling
from swirl.engine import sampler as sampler_module
from swirl.engine.decoder import Decoder
from swirl.engine.forward import predict_rows, token_logprobs
from swirl.engine.model import load
from swirl.engine.sampler import _draw, sample
from swirl.engine.stopping import Stopping
from swirl.errors import ConfigError, PolicyFailure
from swirl.protocol import parse
from swirl.types import Malformed
from tiny_models import FAMILIES, tiny_model

CONTEXTS = [[1, 2, 3], [5] * 30, [1, 2, 3], [9, 8, 7, 6, 5], [5] * 12, [1, 2, 3, 4], [5] * 11 + [6]]
"""Some are equal, and some begin with others."""
SEEDS = [[1, 2, 3], [4], [1, 5, 6, 7, 8, 9, 10, 11, 12], [], [13, 14], [15], [16]]


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model") / "m")


def scored(lm, context, ids, temperature=1.0):
    return token_logprobs(predict_rows(lm.network, [(tuple(context), tuple(ids))], lm.device), temperature)[0]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
def test_kept_logprobs_are_those_of_the_plain_forward_pass(family, temperature, tmp_path):
    lm = tiny_model(tmp_path / "m", family)
    result = sample(lm, CONTEXTS, Sampling(temperature=temperature, max_tokens=24, stop=tuple("37abcdefxyz")), SEEDS)
    lengths = set()
    for context, own in zip(CONTEXTS, result, strict=True):
        for one in own:
            lengths.add(len(one.ids))
            assert one.logprobs == pytest.approx(scored(lm, context, one.ids, temperature), abs=1e-4)
    assert [len(own) for own in result] == [3, 1, 9, 0, 2, 1, 1]
    assert temperature == 0 or len(lengths) > 2, "the rows are meant to end at different steps"


def test_a_sequence_does_not_depend_on_its_neighbours(lm):
    sampling = Sampling(max_tokens=24, stop=tuple("37abcdefxyz"))
    together = sample(lm, CONTEXTS, sampling, SEEDS)
    for context, seeds, own in zip(CONTEXTS, SEEDS, together, strict=True):
        for seed, one in zip(seeds, own, strict=True):
            assert sample(lm, [context], sampling, [[seed]])[0][0].ids == one.ids


def test_equal_context_and_seed_give_equal_ids_and_other_seeds_do_not(lm):
    result = sample(lm, CONTEXTS, Sampling(max_tokens=24), SEEDS)
    assert result[0][0].ids == result[2][0].ids
    assert result[0][0].logprobs == pytest.approx(result[2][0].logprobs, abs=1e-5)
    assert len({one.ids for one in result[2]}) == len(SEEDS[2])


@pytest.mark.parametrize("capacity", [0, 80, 150])
def test_where_little_fits_contexts_enter_as_others_end(capacity, lm, monkeypatch):
    """In tokens: nothing fits beside anything else; then a few do."""
    sampling = Sampling(max_tokens=12, stop=tuple("37abcdefxyz"))
    whole = sample(lm, CONTEXTS, sampling, SEEDS)
    token = sampler_module._cache_bytes(lm.network.config, lm.network.dtype)
    monkeypatch.setitem(sampler_module._MEMORY, "cpu", capacity * token)
    entered, going = [], []
    enter, step = Decoder.enter, Decoder.step
    monkeypatch.setattr(Decoder, "enter", lambda self, *given: entered.append(len(going)) or enter(self, *given))
    monkeypatch.setattr(Decoder, "step", lambda self, tokens: going.append(len(tokens)) or step(self, tokens))
    assert [[one.ids for one in own] for own in sample(lm, CONTEXTS, sampling, SEEDS)] == [
        [one.ids for one in own] for own in whole
    ]
    assert len(entered) > 1
    if capacity:
        assert any(before < after for before, after in pairwise(going)), "some are meant to enter beside others"


def test_greedy_takes_the_likeliest_token_whatever_the_seed(lm):
    result = sample(lm, [[1, 2, 3]], Sampling(temperature=0.0, max_tokens=5, stop=()), [[1, 2]])[0]
    assert result[0].ids == result[1].ids
    context = [1, 2, 3]
    for token in result[0].ids:
        assert token == lm.network(torch.tensor([context])).logits[0, -1].argmax().item()
        context.append(token)


def test_tokens_come_as_often_as_their_probability_says(lm):
    context, count = [1, 2, 3], 4000
    drawn = sample(lm, [context], Sampling(max_tokens=1, stop=()), [list(range(count))])[0]
    expected = torch.softmax(lm.network(torch.tensor([context])).logits[0, -1].float(), -1).tolist()
    found = Counter(one.ids[0] for one in drawn)
    for token, probability in enumerate(expected):
        deviation = math.sqrt(probability * (1 - probability) / count)
        assert abs(found[token] / count - probability) < 5 * deviation + 1e-3


@given(st.lists(st.floats(-30, 5), min_size=2, max_size=8), st.floats(0, 1, exclude_max=True))
def test_a_draw_is_the_inverse_of_the_cumulative_distribution(logits, uniform):
    logprobs = torch.log_softmax(torch.tensor([logits]), -1)
    token = int(_draw(logprobs, np.array([uniform]), 1.0)[0])
    cumulative = np.cumsum(logprobs.double().exp().numpy()[0])
    below = cumulative[token - 1] if token else 0.0
    assert below - 1e-6 <= uniform <= cumulative[token] + 1e-6


@given(seed=st.integers(0, 999), size=st.sampled_from([1, 255, 256, 257, 1000]))
def test_a_draw_by_blocks_is_one_over_the_whole_vocabulary(seed, size):
    random = np.random.default_rng(seed)
    logprobs = torch.log_softmax(torch.from_numpy(random.normal(0, 4, (3, size))).float(), -1)
    uniforms = random.random(3)
    cumulative = (logprobs.exp().double() * 2.0**40).round().long().cumsum(-1)
    target = (torch.from_numpy(uniforms) * cumulative[:, -1]).long()
    expected = torch.searchsorted(cumulative, target[:, None], right=True)[:, 0]
    assert _draw(logprobs, uniforms, 1.0).tolist() == expected.tolist()


def test_a_token_of_no_probability_is_never_drawn():
    logprobs = torch.log_softmax(torch.tensor([[float("-inf"), 0.0, float("-inf"), 0.0, float("-inf")]]), -1)
    drawn = {int(_draw(logprobs, np.array([u]), 1.0)[0]) for u in (0.0, 0.25, 0.5, 0.75, 1 - 2**-53)}
    assert drawn == {1, 3}


def replay(lm, text_or_ids, stop=("</answer>",)):
    ids = lm.chat.encode(text_or_ids) if isinstance(text_or_ids, str) else text_or_ids
    rule = Stopping(lm, Sampling(stop=stop))
    sequence = rule.sequence()
    for token in ids:
        rule.append(sequence, token, -1.0)
        if sequence.finish:
            break
    return lm.tokenizer.decode(sequence.ids), sequence.finish


def test_it_stops_with_the_token_that_completes_a_tag(lm):
    assert replay(lm, "So <b> it > is <answer>6</answer> and more") == (
        "So <b> it > is <answer>6</answer>",
        Finish.STOP,
    )
    assert replay(lm, "no </answer , </search_query>, </answer") == ("no </answer , </search_query>, </answer", None)


def test_a_tag_that_is_not_ascii_is_found(lm):
    assert replay(lm, "12 €uro", stop=("€",)) == ("12 €", Finish.STOP)


def test_it_stops_at_the_end_of_the_turn(lm):
    end = lm.tokenizer.eos_token_id
    assert replay(lm, [65, end, 65])[1] is Finish.STOP
    assert replay(lm, [65, 65])[1] is None


def test_it_stops_at_a_token_that_could_begin_a_turn(lm):
    turn = lm.tokenizer.convert_tokens_to_ids("<|turn|>")
    text, finish = replay(lm, [*lm.chat.encode("<answer>6"), turn, *lm.chat.encode("user\nno</answer>")])
    assert (text, finish) == ("<answer>6<|turn|>", Finish.STOP)
    assert parse(text) == Malformed("<answer> is never closed")


@given(st.text(alphabet="</answer>x", max_size=40))
def test_it_stops_exactly_where_the_decoded_text_first_holds_the_tag(text):
    lm = _SHARED[0]
    written, finish = replay(lm, text)
    at = text.find("</answer>")
    assert (written, finish) == ((text, None) if at < 0 else (text[: at + 9], Finish.STOP))


_SHARED = []


@pytest.fixture(autouse=True, scope="module")
def _share(lm):
    _SHARED.append(lm)


def test_length_means_max_tokens(lm):
    [[one]] = sample(lm, [[1, 2, 3]], Sampling(max_tokens=7, stop=()), [[3]])
    assert (len(one.ids), one.finish) == (7, Finish.LENGTH)


def test_a_prompt_without_room_for_an_action_is_not_continued(lm):
    sampling = Sampling(max_tokens=4, max_context=10, stop=())
    [[fits], [no_room]] = sample(lm, [[1] * 6, [1] * 7], sampling, [[1], [1]])
    assert (len(fits.ids), fits.finish) == (4, Finish.LENGTH)
    assert (no_room.ids, no_room.finish) == ((), Finish.CONTEXT)


def test_the_networks_own_limit_counts_too(lm):
    [[fits], [no_room]] = sample(lm, [[1] * 508, [1] * 509], Sampling(max_tokens=4), [[1], [1]])
    assert fits.finish is not Finish.CONTEXT
    assert no_room.finish is Finish.CONTEXT


def test_nothing_asked_gives_nothing(lm):
    assert sample(lm, [], Sampling(), []) == []
    assert sample(lm, [[1]], Sampling(), [[]]) == [[]]


def test_broken_weights_are_a_policy_failure(tmp_path):
    lm = tiny_model(tmp_path / "m")
    with torch.no_grad():
        lm.network.model.norm.weight.fill_(float("nan"))
    with pytest.raises(PolicyFailure, match="not finite"):
        sample(lm, [[1, 2]], Sampling(max_tokens=3), [[1]])


def test_an_action_longer_than_the_context_is_refused():
    with pytest.raises(ConfigError, match="max_tokens 10 and max_context 10"):
        Sampling(max_tokens=10, max_context=10)


@pytest.mark.skipif("SWIRL_TEST_MODEL" not in os.environ, reason="SWIRL_TEST_MODEL names no real model folder")
def test_a_real_model_keeps_the_logprobs_of_its_forward_pass():
    lm = load(PolicyConfig(model=os.environ["SWIRL_TEST_MODEL"], device="cpu"))
    contexts = [
        [*lm.chat.open, *lm.chat.encode(text), *lm.chat.generate] for text in ("What is 2 * 3?", "Name a long river.")
    ]
    result = sample(lm, contexts, Sampling(max_tokens=12), [[1, 2], [3]])
    for context, own in zip(contexts, result, strict=True):
        for one in own:
            assert one.logprobs == pytest.approx(scored(lm, context, one.ids), abs=1e-3)
