"""Reading: nothing twice, and what is remembered or shared changes nothing that is sampled."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl.decompose import state_before
from swirl.engine import PolicyConfig, Sampling, decoder, plain, sampler
from swirl.engine.cache import Memory
from swirl.engine.forward import predict_rows, token_logprobs
from swirl.engine.model import LanguageModel, load
from swirl.engine.sampler import Sampled, sample
from swirl.engine.seating import families, seated
from swirl.engine.tree import num_distinct
from swirl.policies.local import LocalPolicy
from swirl.protocol import render
from swirl.rollout import begin, rollout
from swirl.tools import Toolbox
from swirl.types import OnMalformed, PromptStyle, Question, Rules
from tiny_models import FAMILIES, tiny_model, write_model

CONTEXTS = [[1, 2, 3], [5] * 30, [9, 8, 7, 6, 5], [5] * 12, [1, 2, 3, 4], [5] * 11 + [6]]
SEEDS = [[1, 2, 3], [4], [], [13, 14], [15, 16, 17, 18, 19], [20]]
SAMPLING = Sampling(max_tokens=14, stop=tuple("37abcdefxyz"))


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model") / "m")


@contextmanager
def counting(lm: LanguageModel) -> Iterator[list[int]]:
    """How many tokens the network reads, forward pass by forward pass."""
    sizes: list[int] = []
    forward = lm.network.model.forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            lm.network.model, "forward", lambda **given: sizes.append(given["input_ids"].numel()) or forward(**given)
        )
        yield sizes


@pytest.fixture
def read(lm):
    with counting(lm) as sizes:
        yield sizes


def later(contexts: list[list[int]], sampled: list[list[Sampled]]) -> list[list[int]]:
    """Where every sequence goes on: an observation after what it wrote."""
    return [
        [*context, *one.ids, 40 + j, 50, 60]
        for context, own in zip(contexts, sampled, strict=True)
        for j, one in enumerate(own)
    ]


def same(found: list[list[Sampled]], expected: list[list[Sampled]]) -> None:
    for own, others in zip(found, expected, strict=True):
        for one, other in zip(own, others, strict=True):
            assert one.ids == other.ids
            assert one.finish == other.finish
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_what_contexts_begin_with_is_read_once(lm, read):
    sample(lm, [[7] * length for length in (10, 5, 20, 15)], Sampling(max_tokens=3, stop=()), [[1, 2]] * 4)
    assert read == [20, 8, 8]


def test_contexts_that_part_share_what_is_before(lm, read):
    sample(lm, [[7] * 10 + [1] * 5, [7] * 10 + [2] * 3], Sampling(max_tokens=1, stop=()), [[1], [2]])
    assert read == [18]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_remembered_is_not_read_again_and_changes_nothing(family, tmp_path):
    """Three steps, the contexts longer than the window of the families that have one."""
    lm = tiny_model(tmp_path / "m", family)
    memory, contexts, seeds = Memory(), CONTEXTS, SEEDS
    for step in range(3):
        expected = sample(lm, contexts, SAMPLING, seeds)
        with counting(lm) as sizes:
            found = sample(lm, contexts, SAMPLING, seeds, memory)
        same(found, expected)
        if step:
            own = 4 * len(contexts)  # the last token that was sampled, and the observation
            assert own in (sizes[0], sizes[0] + sizes[1]), "read at once, or the long ones apart"
        contexts = later(contexts, found)
        seeds = [[100 * step + i] for i in range(len(contexts))]


def test_a_context_that_another_remembers_whole_is_still_predicted_after(lm):
    """As where a trajectory enters late: others of its question have gone on, and memory covers its whole context."""
    late, early = [1, 2, 3], [1, 2, 3, 4]
    memory = Memory()
    [[one]] = sample(lm, [early], Sampling(max_tokens=3, stop=()), [[1]], memory)
    contexts = [late, [*early, *one.ids, 9], [1, 2, 3, 9, 9], [*early, *one.ids[:1]]]
    seeds = [[1, 2], [3], [4], [5]]
    assert len(memory.known((*late, 9))) == len(late)
    same(sample(lm, contexts, SAMPLING, seeds, memory), sample(lm, contexts, SAMPLING, seeds))


def test_a_rollout_does_not_depend_on_how_many_are_under_way(lm):
    rules = Rules(max_calls=2, malformed=OnMalformed.OBSERVE, prompt=PromptStyle.BARE)
    states = [begin(Question(id="q", task="t", text="What is this?"), rules, sample=i) for i in range(6)]
    sampling = Sampling(max_tokens=40, max_context=500, stop=tuple("adefz37"))
    many, few = (rollout(states, LocalPolicy(lm), Toolbox([]), sampling, slots=slots) for slots in (512, 2))
    assert [[step.token_ids for step in one.steps] for one in few] == [
        [step.token_ids for step in one.steps] for one in many
    ]
    assert max(len(one.steps) for one in few) > 1


def test_contexts_of_very_different_length_are_not_padded_to_one_another(lm, monkeypatch):
    entered = []
    enter = decoder.Decoder.enter
    monkeypatch.setattr(
        decoder.Decoder,
        "enter",
        lambda self, contexts, counts: entered.append(contexts) or enter(self, contexts, counts),
    )
    contexts = [[n, *[7] * 5] for n in range(8)] + [[9] * 100]
    found = sample(lm, contexts, SAMPLING, [[n] for n in range(9)])
    assert [len(part) for part in entered] == [8, 1]
    same(found, [sample(lm, [context], SAMPLING, [[n]])[0] for n, context in enumerate(contexts)])


@pytest.mark.parametrize("change", [{"lora_rank": 4}, {"dtype": "bfloat16"}])
def test_adapters_and_coarse_weights_are_remembered_as_well(change, tmp_path):
    lm = load(PolicyConfig(model=str(write_model(tmp_path / "m")), device="cpu", **change))
    with torch.no_grad():
        for name, weight in lm.network.named_parameters():
            if "lora" in name:
                weight += 0.05
    memory = Memory()
    first = sample(lm, CONTEXTS, SAMPLING, SEEDS, memory)
    contexts = later(CONTEXTS, first)
    seeds = [[i] for i in range(len(contexts))]
    found = sample(lm, contexts, SAMPLING, seeds, memory)
    for context, [one] in zip(contexts, found, strict=True):
        said = token_logprobs(predict_rows(lm.network, [(tuple(context), one.ids)], lm.device))[0]
        assert one.logprobs == pytest.approx(said, abs=1e-4 if "lora_rank" in change else 0.2)


def test_only_what_there_is_room_for_is_remembered(lm, read, monkeypatch):
    """Two contexts with what was sampled after them, of three."""
    memory = Memory()
    monkeypatch.setitem(decoder._CHUNK, "cpu", 8)
    token = sampler._cache_bytes(lm.network.config, lm.network.dtype)
    monkeypatch.setitem(sampler._MEMORY, "cpu", 30 * token)
    contexts = [[1] * 8, [2] * 8, [3] * 8]
    found = sample(lm, contexts, Sampling(max_tokens=6, stop=()), [[1], [2], [3]], memory)
    assert memory.keys.count <= 30
    known = [len(memory.known(tuple(context))) for context in later(contexts, found)]
    assert known == [8 + 5, 8 + 5, 0]


def test_a_rollout_reads_every_distinct_token_once(lm, read):
    """Two questions, three trajectories of each, actions that are refused and told so."""
    rules = Rules(max_calls=3, malformed=OnMalformed.OBSERVE, prompt=PromptStyle.BARE)
    states = [
        begin(Question(id=name, task="t", text=f"What is {name}?"), rules, sample=i)
        for name in ("this", "that")
        for i in range(3)
    ]
    done = rollout(
        states, LocalPolicy(lm), Toolbox([]), Sampling(max_tokens=40, max_context=500, stop=tuple("adefz37"))
    )
    first = {tuple(lm.chat.context_ids(render(state))) for state in states}
    expected = num_distinct([(context, (0,)) for context in first])
    for trajectory in done:
        before = lm.chat.context_ids(render(state_before(trajectory, len(trajectory.steps) - 1)))
        expected += len(before) - len(lm.chat.context_ids(render(state_before(trajectory, 0))))
        expected += len(trajectory.steps[-1].token_ids) - 1
    assert sum(read) == expected
    assert sum(len(trajectory.steps) for trajectory in done) > 12


@pytest.mark.parametrize("family", FAMILIES)
def test_without_packed_trees_the_same_is_sampled_row_by_row(family, tmp_path, monkeypatch):
    lm = tiny_model(tmp_path / "m", family)
    expected = sample(lm, CONTEXTS, SAMPLING, SEEDS)
    monkeypatch.setattr(sampler, "obstacle", lambda network: "for once")
    monkeypatch.setattr(plain, "_CHUNK", 40)
    entered, reads = [], plain._read
    monkeypatch.setattr(plain, "_read", lambda *given: entered.append(1) or reads(*given))
    same(sample(lm, CONTEXTS, SAMPLING, SEEDS), expected)
    assert len(entered) > 1


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=5).map(tuple), min_size=1, max_size=6, unique=True),
    st.data(),
)
def test_everyone_gets_a_seat_in_a_row_whose_trunk_begins_with_their_context(contexts, data):
    owners = np.array(data.draw(st.lists(st.integers(0, len(contexts) - 1), min_size=1, max_size=30)))
    lines = families(contexts)
    assert sorted(context for line in lines for context in line) == list(range(len(contexts)))
    seating = seated(lines, owners)
    assert len(set(seating.places.tolist())) == len(owners)
    for owner, place in zip(owners, seating.places, strict=True):
        trunk = contexts[seating.trunks[place // seating.num_seats]]
        assert trunk[: len(contexts[owner])] == contexts[owner]
    assert len(owners) <= len(seating.trunks) * seating.num_seats <= 1.1 * len(owners)


def test_contexts_hold_their_keys_until_the_last_sequence_read_with_them_ends(lm):
    """So that those that wait do not enter into memory that is not free yet."""
    going = decoder.Decoder(lm.network, lm.device, None, 0)
    going.enter([(1,) * 10, (2,) * 10], [1, 1])
    assert going.held == 20 + 2 * 10, "read, and laid out"
    going.leave(np.array([True, False]))
    assert going.held == 20 + 10
    going.leave(np.array([True]))
    assert going.held == 0
