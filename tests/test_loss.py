"""The gradient of a whole update: against enumeration of every action of a tiny language model, and against literal numbers."""

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from swirl.engine import PolicyConfig
from swirl.engine.chat import ChatFormat
from swirl.engine.model import LanguageModel
from swirl.train import TrainConfig
from swirl.train.advantages import Advantages, leave_one_out, weigh
from swirl.train.learner import Learner
from swirl.train.loop import weights
from swirl.train.loss import full_kl, log_policy, log_probability, loss
from swirl.train.rows import Row, imitation_rows, merge, policy_rows

CONTEXTS = ((1, 3), (2, 0, 4))
ACTIONS = tuple(product(range(5), repeat=2))
"""Every action of two tokens over a vocabulary of five."""
NUM_CONTEXTS = len(CONTEXTS)


def network(seed: int) -> LlamaForCausalLM:
    shape = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2)
    config = LlamaConfig(vocab_size=5, initializer_range=0.5, max_position_embeddings=16, **shape)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).double().eval()


def learner_on(policy: Any, recompute: bool = False, **settings: Any) -> Learner:
    """A learner whose reference is another network."""
    lm = LanguageModel(
        name="enumerable",
        network=policy,
        frozen=network(seed=5).requires_grad_(False),
        tokenizer=None,
        chat=ChatFormat((), (), (), (), encode=lambda text: []),
        device=torch.device("cpu"),
        config=PolicyConfig(recompute=recompute),
        folder=Path("nowhere"),
        end_ids=frozenset(),
        max_positions=16,
    )
    return Learner(lm, TrainConfig(**settings))


def reward(context: tuple[int, ...], action: tuple[int, ...]) -> float:
    return ((action[0] * 7 + action[1] * 3 + len(context)) % 5) / 4


def next_tokens(net: Any, context: tuple[int, ...], temperature: float) -> Tensor:
    """Log-probabilities before the first and the second token of every action, by plain passes over whole sequences."""
    tokens = torch.tensor([[*context, *action] for action in ACTIONS])
    logits = net(input_ids=tokens).logits[:, len(context) - 1 : len(context) + 1]
    return (logits / temperature).log_softmax(-1)


def log_probabilities(net: Any, context: tuple[int, ...], temperature: float) -> Tensor:
    """Of every action."""
    return next_tokens(net, context, temperature).gather(-1, torch.tensor(ACTIONS)[..., None])[..., 0].sum(dim=1)


def gradient(learner: Learner, rows: Sequence[Row]) -> list[Tensor]:
    learner.accumulate(rows)
    return [weight.grad.clone() for weight in learner.weights.values() if weight.grad is not None]


def exact_gradient(learner: Learner, objective: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(objective, list(learner.weights.values())))


def assert_equal(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    assert max(value.abs().max().item() for value in expected) > 1e-3, "equal to no gradient at all"
    for ours, theirs in zip(found, expected, strict=True):
        # Llama's norms and softmax run in single precision whatever the weights are.
        assert torch.allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def averaged_rows(
    learner: Learner,
    values: Callable[[tuple[int, ...]], Tensor],
    kl_weight: float = 0.0,
    k1: Callable[..., Tensor | None] = lambda _: None,
) -> list[Row]:
    """The rows of an update of two states and two actions each, averaged over all pairs of actions that could be sampled."""
    rows = []
    for context in CONTEXTS:
        probability = log_probabilities(learner.lm.network, context, learner.config.temperature).exp().tolist()
        all_rewards, all_k1 = values(context), k1(context)
        for i, j in product(range(len(ACTIONS)), repeat=2):
            likely = probability[i] * probability[j] / NUM_CONTEXTS
            pair_k1 = None if all_k1 is None else all_k1[[i, j]][None]
            pair = weights(all_rewards[[i, j]][None], pair_k1, learner.config)
            for row in policy_rows([context], [[ACTIONS[i], ACTIONS[j]]], pair.tolist(), kl_weight):
                rows.append(row._replace(weight=row.weight * likely, kl_weight=row.kl_weight * likely))
    return rows


def rewards_of(context: tuple[int, ...]) -> Tensor:
    return torch.tensor([reward(context, action) for action in ACTIONS], dtype=torch.float64)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("objective", ["rloo", "reinforce"])
def test_the_expected_update_is_the_gradient_of_the_expected_reward(temperature: float, objective: str) -> None:
    learner = learner_on(network(seed=1), temperature=temperature, objective=objective)
    rows = averaged_rows(learner, rewards_of)
    expected_reward = torch.stack(
        [
            log_probabilities(learner.lm.network, context, temperature).exp() @ rewards_of(context)
            for context in CONTEXTS
        ]
    ).mean()
    assert_equal(gradient(learner, rows), exact_gradient(learner, -expected_reward))


def test_k1_in_the_reward_is_the_gradient_of_the_kl_of_whole_actions() -> None:
    learner = learner_on(network(seed=1), kl="k1", kl_weight=0.3)

    def k1(context: tuple[int, ...]) -> Tensor:
        reference = learner.reference_log_probability([(context, action) for action in ACTIONS])
        there = torch.tensor([reference[context, action] for action in ACTIONS], dtype=torch.float64)
        return log_probabilities(learner.lm.network, context, 1.0).detach() - there

    rows = averaged_rows(learner, rewards_of, k1=k1)
    objective = torch.tensor(0.0, dtype=torch.float64)
    for context in CONTEXTS:
        ours = log_probabilities(learner.lm.network, context, 1.0)
        theirs = log_probabilities(learner.lm.frozen, context, 1.0)
        objective = objective + ours.exp() @ (rewards_of(context) - 0.3 * (ours - theirs)) / NUM_CONTEXTS
    assert_equal(gradient(learner, rows), exact_gradient(learner, -objective))


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_full_kl_in_the_loss_is_the_kl_at_each_token_with_the_prefix_held_fixed(temperature: float) -> None:
    learner = learner_on(network(seed=1), temperature=temperature)
    rows = averaged_rows(learner, lambda _: torch.zeros(len(ACTIONS), dtype=torch.float64), kl_weight=0.3)
    objective = torch.tensor(0.0, dtype=torch.float64)
    for context in CONTEXTS:
        ours, theirs = (next_tokens(net, context, temperature) for net in (learner.lm.network, learner.lm.frozen))
        fixed = log_probabilities(learner.lm.network, context, temperature).exp().detach()
        objective = objective + 0.3 * fixed @ (ours.exp() * (ours - theirs)).sum(dim=(1, 2)) / NUM_CONTEXTS
    assert_equal(gradient(learner, rows), exact_gradient(learner, objective))
    _, kl, _ = learner.accumulate(rows)
    assert kl == pytest.approx(objective.item() / 0.3)


def some_rows() -> list[Row]:
    """Contexts and actions of many lengths, some of them equal."""
    advantages = leave_one_out(torch.tensor([[1.0, 0, 0, 1], [0, 1, 1, 1], [1, 1, 0, torch.nan]], dtype=torch.float64))
    actions = [[(1,), (2, 3), (1,), (1,)], [(4, 4, 4), (0,), (0,), (2, 2)], [(3,), (3,), (3,), (3, 1)]]
    return policy_rows([(1, 3), (2, 0, 4, 1, 1), (2,)], actions, weigh(advantages).tolist(), kl_weight=0.1)


@pytest.mark.parametrize("budget", [1, 12, 10_000])
def test_micro_batches_do_not_change_the_gradient(budget: int) -> None:
    rows, policy = some_rows(), network(seed=1)
    reference = exact_gradient(learner := learner_on(policy), plain_loss(learner, rows))
    assert_equal(gradient(learner_on(policy, tokens_per_batch=budget), rows), reference)


def plain_loss(learner: Learner, rows: Sequence[Row]) -> Tensor:
    """Row by row, without padding, straight from the definition."""
    total = torch.tensor(0.0, dtype=torch.float64)
    for context, action, weight, kl_weight, _ in rows:
        tokens = torch.tensor([[*context, *action]])
        ours, theirs = (
            net(input_ids=tokens).logits[0, len(context) - 1 : -1].log_softmax(-1)
            for net in (learner.lm.network, learner.lm.frozen)
        )
        total = total - weight * ours[torch.arange(len(action)), torch.tensor(action)].sum()
        total = total + kl_weight * (ours.exp() * (ours - theirs)).sum()
    return total


def test_equal_pairs_are_computed_once_with_the_same_gradient() -> None:
    rows, policy = some_rows(), network(seed=1)
    assert len(rows) == 12
    assert len(merge(rows)) == 7
    assert_equal(gradient(learner_on(policy), merge(rows)), gradient(learner_on(policy), rows))


def test_pairs_without_weight_are_dropped_only_where_no_kl_is_lost_by_it() -> None:
    equal = weigh(leave_one_out(torch.ones(1, 3, dtype=torch.float64))).tolist()
    actions = [[(1,), (2,), (2,)]]
    assert merge(policy_rows([(0,)], actions, equal, kl_weight=0.0)) == []
    assert merge(policy_rows([(0,)], actions, equal, kl_weight=0.3)) == [
        Row((0,), (1,), 0.0, pytest.approx(0.1)),
        Row((0,), (2,), 0.0, pytest.approx(0.2)),
    ]


def test_states_that_count_weigh_the_same_however_many_verdicts_they_have() -> None:
    values = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    mask = torch.tensor([[True, True, True], [True, False, False], [False, False, False]])
    found = weigh(Advantages(values, mask)).flatten().tolist()
    assert [round(weight, 6) for weight in found] == [0.166667] * 3 + [0.5, 0, 0] + [0, 0, 0]


class Bigram(torch.nn.Module):
    """The logits after a token are that token's row of a table: a gradient shows which positions were trained."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(torch.zeros(10, 4, dtype=torch.float64))

    def forward(self, input_ids: Tensor, use_cache: bool, logits_to_keep: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.table[input_ids.gather(1, logits_to_keep)])


def test_an_advantage_lands_on_its_own_tokens_and_nowhere_else() -> None:
    """Context 5 6 7, action 1 2 of weight 1; context 8, action 3 of weight -2: tokens 7, 1 and 8 predict, all others are only read."""
    table = Bigram()
    found = gradient(learner_on(table), [Row((5, 6, 7), (1, 2), 1.0), Row((8,), (3,), -2.0)])[0]
    expected = torch.zeros(10, 4, dtype=torch.float64)
    expected[7] = torch.tensor([0.25, -0.75, 0.25, 0.25])
    expected[1] = torch.tensor([0.25, 0.25, -0.75, 0.25])
    expected[8] = -2 * torch.tensor([0.25, 0.25, 0.25, -0.75])
    assert torch.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("packed", [True, False])
def test_what_is_read_and_not_predicted_is_never_trained_on(packed: bool) -> None:
    """Another embedding of padding's token changes neither the loss nor any gradient."""
    rows, policy = [Row((1, 3), (2, 4), 1.0, 0.1), Row((4,), (1,), -1.0, 0.1)], network(seed=1)
    learner = learner_on(policy)
    learner.reader.packed = packed
    found = gradient(learner, rows)
    assert_equal(found, exact_gradient(learner, plain_loss(learner, rows)))
    with torch.no_grad():
        policy.model.embed_tokens.weight[0] = 50.0
    assert all(torch.equal(one, other) for one, other in zip(found[1:], gradient(learner, rows)[1:], strict=True))


def test_a_token_is_as_likely_as_the_sampling_temperature_has_it() -> None:
    logprobs = log_policy(torch.tensor([[0.0, 2.0], [2.0, 0.0]]), 2.0)
    found = log_probability(logprobs, torch.tensor([0, 1, 1]), torch.tensor([1, 1, 0]))
    assert found.tolist() == pytest.approx([-0.313262, -1.313262, -0.313262], abs=1e-5)


def test_the_kl_is_zero_at_the_reference_and_reverse_elsewhere() -> None:
    policy, reference = torch.tensor([[0.9, 0.1]]).log(), torch.tensor([[0.5, 0.5]]).log()
    assert full_kl(policy, policy).item() == 0
    assert full_kl(policy, reference).item() == pytest.approx(0.9 * 0.587787 - 0.1 * 1.609438, abs=1e-5)


def test_one_place_may_predict_many_tokens_and_counts_its_kl_once_for_each() -> None:
    logprobs, reference = torch.tensor([[0.9, 0.1]]).log(), torch.tensor([[0.5, 0.5]]).log()
    together = loss(
        logprobs, reference, torch.tensor([0, 0]), torch.tensor([0, 1]), torch.tensor([1.0, -2.0]), torch.tensor([0.3])
    )
    alone = [
        loss(logprobs, reference, torch.tensor([0]), torch.tensor([token]), torch.tensor([weight]), torch.tensor([kl]))
        for token, weight, kl in ((0, 1.0, 0.1), (1, -2.0, 0.2))
    ]
    assert together.total.item() == pytest.approx(sum(part.total.item() for part in alone))
    assert together.kl.item() == pytest.approx(sum(part.kl.item() for part in alone))


def test_imitation_is_the_mean_over_the_tokens_of_actions() -> None:
    learner = learner_on(Bigram())
    value, kl, num_read = learner.accumulate(imitation_rows([((5, 6), (1, 2)), ((7,), (3,))]))
    assert value == pytest.approx(torch.tensor(4.0).log().item())
    assert kl is None
    assert num_read == 4


def test_the_gradient_of_a_preference_is_that_of_its_loss() -> None:
    """DPO's loss from its definition, over two states, of which one has nothing to prefer."""
    learner = learner_on(network(seed=1), objective="dpo", dpo_beta=0.7)
    actions = [[(1, 2), (3, 0), (4, 4)], [(0, 1), (2, 2), (3, 3)]]
    rewards_BG = torch.tensor([[0.0, 1.0, torch.nan], [0.5, 0.5, 0.5]], dtype=torch.float64)
    gains = torch.stack([both(learner, context, own) for context, own in zip(CONTEXTS, actions, strict=True)])
    found = policy_rows(CONTEXTS, actions, weights(rewards_BG, gains.detach(), learner.config).tolist(), kl_weight=0.0)
    objective = torch.nn.functional.logsigmoid(0.7 * (gains[0, 1] - gains[0, 0]))
    assert_equal(gradient(learner, found), exact_gradient(learner, -objective))


def both(learner: Learner, context: tuple[int, ...], actions: Sequence[tuple[int, ...]]) -> Tensor:
    """How much likelier each action is than under the reference."""
    places = [ACTIONS.index(action) for action in actions]
    ours, theirs = (log_probabilities(net, context, 1.0)[places] for net in (learner.lm.network, learner.lm.frozen))
    return ours - theirs.detach()


def sampled_rows(learner: Learner) -> list[Row]:
    """GRPO's, of two states."""
    actions = [[(1, 2), (3, 0), (4, 4)], [(0, 1), (2, 2), (0, 1)]]
    rewards_BG = torch.tensor([[0.0, 1.0, 1.0], [0.5, torch.nan, 0.0]], dtype=torch.float64)
    found = policy_rows(CONTEXTS, actions, weights(rewards_BG, None, learner.config).tolist(), kl_weight=0.0)
    return [row._replace(logprobs=tuple(token_log_probabilities(learner, row).tolist())) for row in found]


def token_log_probabilities(learner: Learner, row: Row) -> Tensor:
    said = learner.lm.network(input_ids=torch.tensor([[*row.context, *row.action]])).logits[0].log_softmax(-1)
    return said[len(row.context) - 1 : -1].gather(-1, torch.tensor(row.action)[:, None])[:, 0]


def test_the_first_epoch_on_a_batch_is_the_policy_gradient() -> None:
    learner = learner_on(network(seed=1), objective="grpo")
    ratios = sampled_rows(learner)
    assert_equal(gradient(learner, ratios), gradient(learner, [row._replace(logprobs=()) for row in ratios]))


def test_a_later_epoch_counts_a_ratio_as_far_as_the_clip_goes() -> None:
    learner = learner_on(network(seed=1), objective="grpo", clip_ratio=0.2)
    stale = [
        row._replace(logprobs=tuple(value + shift for value, shift in zip(row.logprobs, (0.1, -0.5), strict=True)))
        for row in sampled_rows(learner)
    ]
    objective = torch.tensor(0.0, dtype=torch.float64)
    for row in stale:
        ratio = (token_log_probabilities(learner, row) - torch.tensor(row.logprobs, dtype=torch.float64)).exp()
        clipped = ratio.clamp(0.8, 1.2)
        objective = objective + torch.minimum(ratio * row.weight, clipped * row.weight).sum()
    expected = exact_gradient(learner, -objective)
    assert_equal(gradient(learner, stale), expected)
    assert_equal(gradient(learner, merge(stale)), expected)


@pytest.mark.parametrize("budget", [1, 10_000])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("ratio", [True, False])
def test_a_poisoned_advantage_reaches_its_own_tokens_and_no_other(budget: int, packed: bool, ratio: bool) -> None:
    """With one weight not a number, the slope of the loss is no number at that action's tokens, and the same to the last bit elsewhere."""
    learner = learner_on(network(seed=1), objective="grpo", tokens_per_batch=budget)
    learner.reader.packed = packed
    rows = [row if ratio else row._replace(logprobs=()) for row in sampled_rows(learner)]
    rows = [row._replace(weight=row.weight or 0.1) for row in rows[:5]]
    healthy, poisoned = (slopes(learner, given) for given in (rows, [rows[0]._replace(weight=torch.nan), *rows[1:]]))
    assert healthy.keys() == poisoned.keys()
    for token, slope in healthy.items():
        assert poisoned[token] != poisoned[token] if token[0] == rows[0].action else poisoned[token] == slope
    assert len({token for token in healthy if token[0] == rows[0].action}) == 2


def slopes(learner: Learner, rows: Sequence[Row]) -> dict[tuple[tuple[int, ...], tuple[int, ...], int], float]:
    """Slope of the loss at the log-probability of each token: (action, context, place) -> slope."""
    found = {}
    pairs = [(row.context, row.action) for row in rows]
    for batch in learner.reader.batches(pairs, learner.config.tokens_per_batch):
        own = [rows[i] for i in batch]
        said = learner.reader.predict(learner.lm.network, [pairs[i] for i in batch])
        logprobs_PV = log_policy(said.head(said.features_PX), 1.0)
        then = torch.tensor([value for row in own for value in row.logprobs], dtype=torch.float64)
        token_N = log_probability(logprobs_PV, said.places_N, said.tokens_N).detach().requires_grad_()
        rebuilt = logprobs_PV.detach().index_put((said.places_N, said.tokens_N), token_N)
        part = loss(
            rebuilt,
            None,
            said.places_N,
            said.tokens_N,
            torch.tensor([row.weight for row in own], dtype=torch.float64)[said.rows_N],
            torch.zeros(len(said.features_PX), dtype=torch.float64),
            then if len(then) else None,
            0.2,
        )
        [slope_N] = torch.autograd.grad(part.total, [token_N])
        counted: dict[int, int] = {}
        for n, row in enumerate(said.rows_N.tolist()):
            place = counted[row] = counted.get(row, -1) + 1
            found[own[row].action, own[row].context, place] = slope_N[n].item()
    return found
