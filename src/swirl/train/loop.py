"""Step-wise RL (paper, stage 2): at each stored state the current policy samples fresh actions, a judge scores them, and the policy
moves towards what was judged good. A contextual bandit at every step: nothing is executed, there is no return and no discount.

`train` reads: sample, judge, advantage, loss, step, log. What the paper leaves open is set in `swirl.train`.
Not here: where states come from (`swirl.decompose`), how good the policy has become (`swirl.evaluate`).
"""

import math
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import torch
from jaxtyping import Float
from torch import Tensor

from swirl.engine.model import LanguageModel
from swirl.errors import ConfigError, TrainingError
from swirl.judges import Judge
from swirl.train import Metrics, OnUpdate, TrainConfig, UpdateTiming
from swirl.train.advantages import Advantages, leave_one_out, reinforce
from swirl.train.groups import Group, count, judge_groups, missing, require_verdicts, sample
from swirl.train.learner import Learner, Learnt
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
) -> None:
    """Train a model in place on states; `lm` is the initial policy, as it was loaded. Writes `metrics.jsonl`, `checkpoints/` and `model/`
    under `folder`, and goes on where an earlier call with the same arguments was cut off.

    Raises `TrainingError` where too many verdicts are missing, or where the loss or gradient is not finite.
    """
    if config.objective == "sft":
        raise ConfigError(
            'train.objective "sft" imitates recorded actions, without a judge: use swirl.train.sft.finetune'
        )
    if not states:
        raise TrainingError("there is nothing to train on: no state was kept; see what the filter dropped, and why")
    with Session(lm, states, config, seed=seed, folder=folder, on_update=on_update) as session:
        for update in session.updates():
            clock = [perf_counter()]
            batch = [states[i] for i in draw(len(states), config.states, update, seed)]
            groups = sample(lm, batch, config, seed=seed, update=update)
            clock.append(perf_counter())
            verdicts_B_G = judge_groups(judge, groups)
            require_verdicts(groups, verdicts_B_G, max_missing=config.max_missing, update=update)
            clock.append(perf_counter())
            k1_BG = k1_estimates(session.learner, groups)
            advantages = compare(rewards(verdicts_B_G), k1_BG, config)
            learnt = session.learner.learn(rows(groups, advantages, config), update)
            clock.append(perf_counter())
            session.commit(
                measure(groups, verdicts_B_G, advantages, k1_BG, learnt, update=update, num_states=len(batch)),
                UpdateTiming.between(clock, update=update, num_rows=learnt.num_rows),
            )


def rewards(verdicts_B_G: Sequence[Sequence[Verdict]]) -> Float[Tensor, "B G"]:
    """Scores of verdicts, NaN where one is missing.

    >>> from swirl.types import VerdictStatus
    >>> rewards([[Verdict(1.0), Verdict(None, status=VerdictStatus.UNREADABLE)]]).tolist()
    [[1.0, nan]]
    """
    scores = [[math.nan if verdict.score is None else verdict.score for verdict in row] for row in verdicts_B_G]
    return torch.tensor(scores, dtype=torch.float64)


def k1_estimates(learner: Learner, groups: Sequence[Group]) -> Float[Tensor, "B G"] | None:
    """For `kl = "k1"`: how many nats likelier each action was under the policy it was sampled from than under the initial one."""
    if learner.config.kl != "k1" or not learner.config.kl_weight:
        return None
    pairs = [(group.context, step.token_ids) for group in groups for step in group.steps]
    reference = learner.reference_log_probability(pairs)
    return torch.tensor(
        [[sum(step.logprobs) - reference[group.context, step.token_ids] for step in group.steps] for group in groups],
        dtype=torch.float64,
    )


def compare(rewards_BG: Float[Tensor, "B G"], k1_BG: Float[Tensor, "B G"] | None, config: TrainConfig) -> Advantages:
    """Advantages as the objective has them; a k1 penalty is part of the reward, so baselines see it.

    >>> rewards_BG = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    >>> compare(rewards_BG, None, TrainConfig()).values_BG.tolist()
    [[1.0, -1.0]]
    >>> compare(rewards_BG, torch.tensor([[2.0, 0.0]], dtype=torch.float64), TrainConfig(kl="k1", kl_weight=0.25)).values_BG.tolist()
    [[0.5, -0.5]]
    """
    if k1_BG is not None:
        rewards_BG = rewards_BG - config.kl_weight * k1_BG
    if config.objective == "rloo":
        return leave_one_out(rewards_BG)
    return reinforce(rewards_BG, subtract_mean=config.baseline == "batch")


def rows(groups: Sequence[Group], advantages: Advantages, config: TrainConfig) -> list[Row]:
    """The weighted rows of an update; the full KL is a part of the loss, k1 is in the advantages already."""
    return policy_rows(
        [group.context for group in groups],
        [[step.token_ids for step in group.steps] for group in groups],
        advantages,
        config.kl_weight if config.kl == "full" else 0.0,
    )


def measure(
    groups: Sequence[Group],
    verdicts_B_G: Sequence[Sequence[Verdict]],
    advantages: Advantages,
    k1_BG: Float[Tensor, "B G"] | None,
    learnt: Learnt,
    *,
    update: int,
    num_states: int,
) -> Metrics:
    """What the update learnt from."""
    steps = [step for group in groups for step in group.steps]
    readable = [verdict for verdicts_G in verdicts_B_G for verdict in verdicts_G if verdict.score is not None]
    num_tokens = sum(len(step.token_ids) for step in steps)
    sampled = count(steps)
    return Metrics(
        update=update + 1,
        num_samples=len(steps),
        loss=learnt.loss,
        grad_norm=learnt.grad_norm,
        learning_rate=learnt.learning_rate,
        mean_tokens=num_tokens / len(steps),
        reward=math.fsum(verdict.score or 0.0 for verdict in readable) / len(readable),
        good=sum(verdict.good for verdict in readable) / len(readable),
        kl=learnt.kl if k1_BG is None else k1_BG.mean().item(),
        entropy=-math.fsum(logprob for step in steps for logprob in step.logprobs) / num_tokens,
        malformed=sampled.malformed / len(steps),
        truncated=sum(group.num_truncated for group in groups) / len(steps),
        signal=int((advantages.values_BG != 0).any(dim=1).sum()) / num_states,
        no_room=num_states - len(groups),
        sampled=sampled,
        missing=count(missing(groups, verdicts_B_G)),
    )
