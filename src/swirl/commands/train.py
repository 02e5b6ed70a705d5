"""`swirl train`: step-wise RL on what the filter kept."""

from collections.abc import Sequence
from dataclasses import dataclass

from swirl import stages
from swirl.commands.stages import StageCommand, over_run
from swirl.commands.words import Command


@dataclass(frozen=True, kw_only=True)
class TrainCommand(StageCommand):
    """Step-wise RL on the kept trajectories' states (or supervised training, --train.objective sft); resumes from its last checkpoint.

    Example: swirl train runs/mine --train.updates 200
    """


def _train(name: str, words: Sequence[str]) -> None:
    path, command = over_run(name, words, TrainCommand)
    stages.run_stage("train", path, command.config, redo=command.redo)


COMMANDS = {"train": Command(TrainCommand, _train)}
