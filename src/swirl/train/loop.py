"""Step-wise RL (paper, stage 2): at each stored state the current policy samples fresh actions, a judge scores them, and the policy
moves towards what was judged good. A contextual bandit at every step: nothing is executed, there is no return and no discount.

`train` reads: sample, judge, advantage, loss, step, log. What the paper leaves open is set in `swirl.train`.
Where several processes train together, each samples and judges its share; then all know all groups and verdicts, and reckon alike.
Not here: where states come from (`swirl.decompose`), how good the policy has become (`swirl.evaluate`).
"""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

import torch
from jaxtyping import Float
from torch import Tensor

from swirl.engine.model import LanguageModel
from swirl.errors import ConfigError, TrainingError
from swirl.judges import Judge
from swirl.train import Metrics, OnUpdate, TrainConfig, UpdateTiming
from swirl.train.advantages import group_normalised, leave_one_out, prefer, reinforce, weigh
from swirl.train.groups import (
    Group,
    count,
    judge_groups,
    missing,
    require_groups,
    require_verdicts,
    sample,
    sampled,
    unshared,
)
from swirl.train.learner import Learner, Learnt
from swirl.train.ranks import share, together
from swirl.train.rows import Row, policy_rows
from swirl.train.session import Session, draw, ignore
from swirl.types import Trajectory, Verdict


def train(
    lm: LanguageModel,
    states: Sequence[Trajectory],
    judge: Judge,
    config: TrainConfig,
    *,
    seed: int,
    folder: Path,
    on_update: OnUpdate = ignore,
    made_of: str = "",
) -> None:
    """Train a model in place on states; `lm` is the initial policy, as it was loaded. Writes `metrics.jsonl`, `samples.jsonl`,
    `probes.jsonl`, `checkpoints/` and `model/` under `folder`, and goes on where an earlier call with the same arguments was cut off;
    `made_of` as for `swirl.train.session.Session`.

    Raises `TrainingError` where too many verdicts are missing, or where the loss or gradient is not finite.
    """
    if config.objective == "sft":
        raise ConfigError(
            'train.objective "sft" imitates recorded actions, without a judge: use swirl.train.sft.finetune'
        )
    if not states:
        raise TrainingError("there is nothing to train on: no state was kept; see what the filter dropped, and why")
    trajectories = tuple(f"{state.question.task}/{state.id}" for state in states)
    with Session(lm, states, config, seed=seed, folder=folder, on_update=on_update, made_of=made_of) as session:
        for update in session.updates():
            clock = [perf_counter()]
            batch = [states[i] for i in draw(trajectories, config.states, update, seed)]
            own = share(range(len(batch)))
            groups = together(partial(sample, lm, batch, own, config, seed=seed, update=update))
            require_groups(groups, batch, config, update=update)
            clock.append(perf_counter())
            verdicts_B_G = together(partial(judge_groups, judge, share(groups)))
            require_verdicts(groups, verdicts_B_G, max_missing=config.max_missing, update=update)
            clock.append(perf_counter())
            drift = session.learner.drift(*sampled(groups[:1]))
            gains_BG = gains(session.learner, groups)
            weights_BG = weights(rewards(verdicts_B_G), gains_BG, config)
            session.recording.take(update, groups, verdicts_B_G, weights_BG)
            learnt = [session.learner.learn(rows(groups, weights_BG, config), update) for _ in range(config.epochs)]
            clock.append(perf_counter())
            session.commit(
                measure(
                    groups, verdicts_B_G, weights_BG, gains_BG, learnt, drift, update=update, num_states=len(batch)
                ),
                UpdateTiming.between(clock, update=update),
            )


def rewards(verdicts_B_G: Sequence[Sequence[Verdict]]) -> Float[Tensor, "B G"]:
    """Scores of verdicts, NaN where one is missing.

    >>> from swirl.types import VerdictStatus
    >>> rewards([[Verdict(1.0), Verdict(None, status=VerdictStatus.UNREADABLE)]]).tolist()
    [[1.0, nan]]
    """
    scores = [[math.nan if verdict.score is None else verdict.score for verdict in row] for row in verdicts_B_G]
    return torch.tensor(scores, dtype=torch.float64)


def gains(learner: Learner, groups: Sequence[Group]) -> Float[Tensor, "B G"] | None:
    """How many nats likelier each action was under the policy it was sampled from than under the initial one; None where nothing needs
    it."""
    config = learner.config
    if config.objective != "dpo" and not (config.kl == "k1" and config.kl_weight):
        return None
    return torch.tensor(together(partial(_gains, learner, share(groups))), dtype=torch.float64)


def _gains(learner: Learner, groups: Sequence[Group]) -> list[list[float]]:
    pairs, _ = sampled(groups)
    reference = learner.reference_log_probability(pairs)
    return [[sum(step.logprobs) - reference[group.context, step.token_ids] for step in group.steps] for group in groups]


def weights(
    rewards_BG: Float[Tensor, "B G"], gains_BG: Float[Tensor, "B G"] | None, config: TrainConfig
) -> Float[Tensor, "B G"]:
    """What each action counts, as the objective has it; a k1 penalty is part of the reward, so baselines see it.

    >>> rewards_BG = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    >>> weights(rewards_BG, None, TrainConfig()).tolist()
    [[0.5, -0.5]]
    >>> weights(rewards_BG, torch.tensor([[2.0, 0.0]], dtype=torch.float64), TrainConfig(kl="k1", kl_weight=0.25)).tolist()
    [[0.25, -0.25]]
    """
    if config.objective == "dpo":
        assert gains_BG is not None, "they are measured for DPO"
        return prefer(rewards_BG, gains_BG, config.dpo_beta)
    if gains_BG is not None:
        rewards_BG = rewards_BG - config.kl_weight * gains_BG
    match config.objective:
        case "rloo":
            return weigh(leave_one_out(rewards_BG))
        case "grpo":
            return weigh(group_normalised(rewards_BG))
        case _:
            return weigh(reinforce(rewards_BG, subtract_mean=config.baseline == "batch"))


def rows(groups: Sequence[Group], weights_BG: Float[Tensor, "B G"], config: TrainConfig) -> list[Row]:
    """The weighted rows of an update. The full KL is a part of the loss; k1 is in the weights already, and DPO has none but its own."""
    weighted = policy_rows(
        [group.context for group in groups],
        [[step.token_ids for step in group.steps] for group in groups],
        weights_BG.tolist(),
        config.kl_weight if config.kl == "full" and config.objective != "dpo" else 0.0,
    )
    if config.objective != "grpo":
        return weighted
    return [row._replace(logprobs=logprobs) for row, logprobs in zip(weighted, sampled(groups)[1], strict=True)]


def measure(
    groups: Sequence[Group],
    verdicts_B_G: Sequence[Sequence[Verdict]],
    weights_BG: Float[Tensor, "B G"],
    gains_BG: Float[Tensor, "B G"] | None,
    learnt: Sequence[Learnt],
    drift: float | None,
    *,
    update: int,
    num_states: int,
) -> Metrics:
    """What the update learnt from; loss, KL and gradient are those of its first epoch, at the policy that was sampled from."""
    first = learnt[0]
    steps = [step for group in groups for step in group.steps]
    readable = [verdict for verdicts_G in verdicts_B_G for verdict in verdicts_G if verdict.score is not None]
    num_tokens = sum(len(step.token_ids) for step in steps)
    sampled = count(steps)
    places = [(f"{state.question.task}/{state.id}", len(state.steps)) for state in (group.state for group in groups)]
    return Metrics(
        update=update + 1,
        num_samples=len(steps),
        loss=first.loss,
        grad_norm=first.grad_norm,
        learning_rate=first.learning_rate,
        mean_tokens=num_tokens / len(steps),
        reward=math.fsum(verdict.score or 0.0 for verdict in readable) / len(readable),
        good=sum(verdict.good for verdict in readable) / len(readable),
        kl=first.kl if gains_BG is None else gains_BG.mean().item(),
        entropy=-math.fsum(logprob for step in steps for logprob in step.logprobs) / num_tokens,
        malformed=sampled.malformed / len(steps),
        truncated=sum(group.num_truncated for group in groups) / len(steps),
        signal=int((weights_BG != 0).any(dim=1).sum()) / num_states,
        tokens_read=sum(one.tokens_read for one in learnt),
        naive_tokens=sum(one.naive_tokens for one in learnt),
        drift=drift,
        unshared=unshared(places, [group.context for group in groups]),
        no_room=num_states - len(groups),
        sampled=sampled,
        missing=count(missing(groups, verdicts_B_G)),
    )
