"""Supervised fine-tuning: imitate the recorded actions of whole trajectories.

The control that SWiRL is compared with in the paper, and the warm start of a model that does not know the protocol yet. Only
actions are imitated: questions, instructions and observations are context and get no gradient, as in step-wise RL. The context of an
action is rendered as it was when the action was taken.
"""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from swirl.decompose import state_before
from swirl.engine.model import LanguageModel
from swirl.engine.tree import Ids
from swirl.errors import ConfigError, TrainingError
from swirl.protocol import render
from swirl.train import Metrics, OnUpdate, TrainConfig, UpdateTiming
from swirl.train.groups import count, unshared
from swirl.train.rows import imitation_rows
from swirl.train.session import Session, draw, ignore
from swirl.types import Trajectory


def finetune(
    lm: LanguageModel,
    trajectories: Sequence[Trajectory],
    config: TrainConfig,
    *,
    seed: int,
    folder: Path,
    on_update: OnUpdate = ignore,
    made_of: str = "",
) -> None:
    """Train a model in place on the actions of trajectories, `config.states` of them an update. Writes and resumes like
    `swirl.train.loop.train`."""
    if config.objective != "sft":
        raise ConfigError(f'supervised training expects train.objective "sft", found "{config.objective}"')
    places = [
        (trajectory, i)
        for trajectory in trajectories
        for i, step in enumerate(trajectory.steps)
        if step.token_ids or step.text
    ]
    if not places:
        raise TrainingError(
            "there is nothing to train on: no trajectory with an action was kept; see what the filter dropped, and why"
        )
    names = tuple(f"{trajectory.question.task}/{trajectory.id}" for trajectory, _ in places)
    with Session(lm, trajectories, config, seed=seed, folder=folder, on_update=on_update, made_of=made_of) as session:
        for update in session.updates():
            start = perf_counter()
            batch = [places[i] for i in draw(names, config.states, update, seed)]
            pairs = [pair(lm, trajectory, i) for trajectory, i in batch]
            learnt = session.learner.learn(imitation_rows(pairs), update)
            clock = [start, start, start, perf_counter()]
            session.commit(
                Metrics(
                    update=update + 1,
                    num_samples=len(batch),
                    loss=learnt.loss,
                    grad_norm=learnt.grad_norm,
                    learning_rate=learnt.learning_rate,
                    tokens_read=learnt.tokens_read,
                    naive_tokens=learnt.naive_tokens,
                    unshared=unshared(
                        [(f"{trajectory.question.task}/{trajectory.id}", i) for trajectory, i in batch],
                        [context for context, _ in pairs],
                    ),
                    mean_tokens=sum(len(action) for _, action in pairs) / len(pairs),
                    sampled=count([trajectory.steps[i] for trajectory, i in batch]),
                ),
                UpdateTiming.between(clock, update=update),
            )


def pair(lm: LanguageModel, trajectory: Trajectory, index: int) -> tuple[Ids, Ids]:
    """The context and the action of a step, in ids: those that were sampled, or the encoded text where they are not known."""
    step = trajectory.steps[index]
    context = tuple(lm.chat.context_ids(render(state_before(trajectory, index))))
    return context, step.token_ids or tuple(lm.chat.encode(step.text))
