"""Training on what the filter kept."""

from swirl.catalog import open_judge, open_model
from swirl.decompose import decompose
from swirl.errors import ConfigError
from swirl.records import read, read_json
from swirl.run import Run
from swirl.stages.start import initial_policy
from swirl.terminal import Advance, progress
from swirl.train import Metrics, OnUpdate, UpdateTiming
from swirl.types import Trajectory


def train(run: Run) -> None:
    """Train on what the filter kept: writes `train/metrics.jsonl`, checkpoints and `train/model`."""
    run.require(run.selection, "filter")
    if run.model.exists():
        return
    kept_ids = {d["trajectory"] for d in read_json(run.selection)["decisions"] if d["kept"]}
    kept = [trajectory for trajectory in read(run.trajectories, Trajectory) if trajectory.id in kept_ids]
    if not kept:
        raise ConfigError(
            f"{run.path}: the filter kept none of the trajectories, so there is nothing to train on; see `swirl filter`"
        )
    config, judges = run.config.train, run.config.judge
    reward = judges.name if judges.reward == "same" else judges.reward
    model = open_model(initial_policy(run), run.config.seed)
    run.lap("train", "load the policy")
    with progress(f"train ({config.objective})", config.updates, unit="updates") as advance:
        on_update = noting(run, "train", advance)
        folder, seed = run.path / "train", run.config.seed
        if config.objective == "sft":
            from swirl.train.sft import finetune

            finetune(model, kept, config, seed=seed, folder=folder, on_update=on_update)
        else:
            from swirl.train.loop import train as train_on_states

            states = [state for trajectory in kept for state in decompose(trajectory)]
            rewarding = open_judge(reward, judges, initial_policy(run), seed)
            train_on_states(model, states, rewarding, config, seed=seed, folder=folder, on_update=on_update)


def noting(run: Run, stage: str, advance: Advance) -> OnUpdate:
    """What happens after each update: its times are noted, and the progress bar moves on."""

    def on_update(metrics: Metrics, timing: UpdateTiming) -> None:
        parts = {
            "sample": timing.sample_seconds,
            "judge": timing.judge_seconds,
            "learn": timing.learn_seconds,
        }
        tokens = round(metrics.mean_tokens * metrics.num_samples)
        run.lap(stage, f"update {metrics.update}", count=metrics.num_samples, tokens=tokens, parts=parts)
        advance(1)

    return on_update
