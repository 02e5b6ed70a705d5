"""Training on what the filter kept."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct, structs

from swirl import rounds
from swirl.catalog import open_judge, open_model
from swirl.decompose import decompose
from swirl.errors import ConfigError, RunFolderError
from swirl.judges.missing import Counting
from swirl.records import digest, read_document
from swirl.run import Run
from swirl.settings import to_table
from swirl.stages.filter import kept_of
from swirl.stages.start import initial_policy, judge_server, reference_of, tagged
from swirl.terminal import Advance, progress, say
from swirl.tracking import Tracked, Tracker, without_places
from swirl.train import CIRCUMSTANCES, Metrics, OnUpdate, TrainConfig, UpdateTiming
from swirl.types import Trajectory

if TYPE_CHECKING:
    from swirl.engine.model import LanguageModel


class _Checkpoint(Struct, frozen=True, tag="swirl.checkpoint/1", tag_field="schema"):
    """What is told of a checkpoint (`swirl.train.checkpoint`), to be read where there is no torch."""

    updates: int
    run: dict[str, Any]


class _Data(NamedTuple):
    """What training is on."""

    held: Sequence[Trajectory]
    """Whole trajectories where they are imitated, else their states; without what training does not read."""
    digest: str
    """What tells them from others, as they are recorded."""


def train(run: Run) -> None:
    """Train on what the filter kept: writes `train/metrics.jsonl`, checkpoints and `train/model`."""
    config, judges = run.config.train, run.config.judge
    label, found = f"train ({config.objective})", _data(run)
    data = found.held
    if not data:
        raise ConfigError(
            f"{run.path}: the filter kept none of the trajectories, so there is nothing to train on; see `swirl filter`"
        )
    done = _updates_done(run, found)
    if run.model.exists():
        say(f"{label}: all {config.updates} updates are there already")
        return
    model = open_model(initial_policy(run), run.config.seed, reference_of(run))
    require_known_tokens(data, model.network.get_input_embeddings().weight.shape[0])
    _say_how_rows_are_read(model)
    run.lap("train", "load the policy")
    with tracker(run, "train", config) as told, progress(label, config.updates, done, "updates") as advance:
        on_update = noting(run, "train", advance, told)
        folder, seed = run.path / "train", run.seed
        if config.objective == "sft":
            from swirl.train.sft import finetune

            finetune(model, data, config, seed=seed, folder=folder, on_update=on_update, made_of=found.digest)
        else:
            from swirl.train.loop import train as train_on_states

            opened = open_judge(
                judges.rewarding, judges, initial_policy(run), run.config.seed, judge_server(run, "train")
            )
            rewarding = Counting(opened)
            train_on_states(
                model, data, rewarding, config, seed=seed, folder=folder, on_update=on_update, made_of=found.digest
            )
            if rewarding.found.count:
                say(f"{label}: {rewarding.found.told()}")


def require_known_tokens(data: Sequence[Trajectory], vocabulary: int) -> None:
    """Raise `ConfigError` where a trajectory holds a token that a model of that vocabulary has not: another model wrote it."""
    for trajectory in data:
        for place, step in enumerate(trajectory.steps):
            if (highest := max(step.token_ids, default=0)) >= vocabulary:
                raise ConfigError(
                    f"step {place} of trajectory {trajectory.id!r} holds token {highest}, and the policy has {vocabulary}: "
                    f"{trajectory.policy}, which wrote it, has another vocabulary; train that model, or generate again with --redo"
                )


def _say_how_rows_are_read(model: "LanguageModel") -> None:
    from swirl.engine.attention import obstacle

    if reason := obstacle(model.network):
        say(f"train: what states share is read again for every action, because {reason}")


def trained(run: Run) -> bool:
    """Whether there is a trained model; raises where training is unfinished, or was on other data than the filter keeps now."""
    if not run.has("train"):
        return False
    done = _updates_done(run, _data(run))
    if not run.model.exists():
        raise RunFolderError(
            f"`train` is unfinished ({done} of {run.config.train.updates} updates): run `swirl train {run.path}` first"
        )
    return True


def _data(run: Run) -> _Data:
    held: list[Trajectory] = []
    imitated = run.config.train.objective == "sft"

    def recorded() -> Iterator[Trajectory]:
        for kept in kept_of(run):
            each = structs.replace(kept, rules=tagged(kept.rules))
            held.extend([_lean(each)] if imitated else decompose(_lean(each)))
            yield from [each] if imitated else decompose(each)

    return _Data(held, digest(recorded()))


def _lean(trajectory: Trajectory) -> Trajectory:
    """As training holds it: without log-probabilities, which are of the policy that wrote it and play no part. One of 5 steps, each of 40
    tokens and 560 characters, takes 13 kB of memory so, its states included, and would take 22 with them."""
    return structs.replace(trajectory, steps=tuple(structs.replace(step, logprobs=()) for step in trajectory.steps))


def _updates_done(run: Run, data: _Data) -> int:
    """How many updates the newest checkpoint has; raises where they were on other data."""
    folders = sorted(path for path in run.path.glob("train/checkpoints/update-*") if path.suffix != ".part")
    if not folders:
        return 0
    again = f"swirl train {run.path} --redo"
    newest = read_document(folders[-1] / "checkpoint.json", _Checkpoint, again)
    now, then = data.digest, newest.run.get("training data")
    if now != then:
        raise RunFolderError(
            f"expected {run.path / 'train'} to be trained on what the filter keeps now ({now}), found {then}: run `{again}`"
        )
    return newest.updates


def tracker(run: Run, stage: str, config: TrainConfig) -> Tracker:
    """Where the updates of a stage, which trains by `config`, are told."""
    settings = {name: value for name, value in asdict(config).items() if name not in CIRCUMSTANCES}
    tracked = Tracked(
        run=rounds.label(run.path, run.config.round),
        stage=stage,
        settings=settings,
        config=without_places(to_table(run.config)),
        folder=run.path / stage,
    )
    return Tracker(run.config.train.tracker, tracked)


def noting(run: Run, stage: str, advance: Advance, told: Tracker) -> OnUpdate:
    """What happens after each update: its times are noted, the progress bar moves on, and the tracker is told."""

    def on_update(metrics: Metrics, timing: UpdateTiming) -> None:
        parts = {
            "sample": timing.sample_seconds,
            "judge": timing.judge_seconds,
            "learn": timing.learn_seconds,
        }
        tokens = round(metrics.mean_tokens * metrics.num_samples)
        run.lap(stage, f"update {metrics.update}", count=metrics.num_samples, tokens=tokens, parts=parts)
        advance(1, note(metrics, timing))
        told.log(metrics, timing)

    return on_update


def note(metrics: Metrics, timing: UpdateTiming) -> str:
    """How an update went, in a few words: its reward, or loss where nothing is rewarded, and the tokens sampled or read a second.

    >>> metrics = Metrics(update=1, num_samples=4, loss=0.5, grad_norm=1.0, learning_rate=0.1, mean_tokens=6.0, tokens_read=96)
    >>> note(metrics, UpdateTiming.between([0.0, 1.0, 1.0, 2.0], update=0))
    'loss 0.500, 48 tokens/s'
    """
    seconds = timing.sample_seconds + timing.judge_seconds + timing.learn_seconds
    sampled = 0.0 if metrics.reward is None else metrics.mean_tokens * metrics.num_samples
    went = f"loss {metrics.loss:.3f}" if metrics.reward is None else f"reward {metrics.reward:.2f}"
    return f"{went}, {(sampled + metrics.tokens_read) / seconds:,.0f} tokens/s" if seconds else went
