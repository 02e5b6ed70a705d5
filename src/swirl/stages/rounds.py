"""The rounds after the first: each goes on from what the one before has trained, as a run folder of its own."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from swirl import rounds
from swirl.errors import ConfigError, RunFolderError
from swirl.evaluate import EvaluatedTrajectory
from swirl.origins import Origin, keep, origins
from swirl.records import read, write_parts
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.shards import trajectories
from swirl.stages.recorded import judges_of


def check_rounds(config: RunConfig) -> None:
    """Raise `ConfigError` where a run cannot have several rounds.

    >>> check_rounds(RunConfig(rounds=3))
    """
    if config.rounds == 1:
        return
    if config.policy_server.url:
        raise ConfigError(
            "several rounds go on with what was trained on this machine, and policy_server.url names a server that would know nothing of "
            "it; set rounds = 1, start a server with the trained model, and give it to another run"
        )
    if config.evaluate.against:
        raise ConfigError(
            "several rounds are evaluated against one another, and evaluate.against names another model: leave it out, or set rounds = 1"
        )


def planned(path: Path, config: RunConfig) -> list[tuple[Path, RunConfig]]:
    """The folder and settings of each round of a run."""
    numbers = range(1, config.rounds + 1)
    return [(rounds.folder(path, number), configured(path, config, number)) for number in numbers]


def configured(path: Path, config: RunConfig, number: int) -> RunConfig:
    """The settings of a round. A judge that is the policy stays the policy before the first round, whoever is trained."""
    if number == 1:
        return config
    start = rounds.start(rounds.folder(path, number), number)
    return replace(
        config,
        rounds=1,
        round=number,
        policy=replace(config.policy, model=str(start)),
        warm_start=replace(config.warm_start, questions=0),
        judge=replace(config.judge, model=_judging(path, config)),
    )


def _judging(path: Path, config: RunConfig) -> str:
    """The model that judges, or grades, in the first round; empty where none does and none is named."""
    names = (*judges_of(config), config.judge.rewarding)
    if config.judge.model or not (config.judge_server.url or "model" in names):
        return config.judge.model
    return str(Run(path, config).warm_model) if config.warm_start.questions else config.policy.model


def require_start(run: Run) -> None:
    """Raise `RunFolderError` where what is in a round was made with another model than the round before has now."""
    from swirl.engine.model import full_name

    start = rounds.start(run.path, run.config.round)
    there = next((trajectory.policy for trajectory in trajectories(run.path)), "")
    if there and there != (now := full_name(str(start), start)):
        raise RunFolderError(
            f"{run.path} was made with {there}, and the round before has trained {now} since; delete the folder and those of later rounds"
        )


def take_over(before: Run, run: Run) -> None:
    """Have the round before's evaluation of what it trained stand as the evaluation of what this one starts from: questions, seeds and
    weights are the same, and so would the answers be."""
    made_by = {name: origin for name, origin in origins(before.path).items() if isinstance(origin, Origin)}
    for source in sorted(before.evaluation.glob("after-*.jsonl")):
        target = run.evaluation / f"before-{source.name.removeprefix('after-')}"
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            answers = (_taken_over(one, run, made_by) for one in read(source, EvaluatedTrajectory))
            write_parts(target, (msgspec.json.encode(answer) + b"\n" for answer in answers))


def _taken_over(answer: EvaluatedTrajectory, run: Run, made_by: Mapping[str, Origin]) -> EvaluatedTrajectory:
    """The same answer as this round would have given it, made with its own settings."""
    trajectory = answer.trajectory
    if origin := made_by.get(trajectory.origin):
        own = keep(run.path, msgspec.structs.replace(origin, run=run.id("evaluate")))
        trajectory = msgspec.structs.replace(trajectory, origin=own)
    return msgspec.structs.replace(answer, policy="before", trajectory=trajectory)
