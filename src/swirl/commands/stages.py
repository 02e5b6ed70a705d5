"""`swirl warm-start`, `generate` and `judge`: one stage over a run folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from swirl import stages
from swirl.commands.words import Command, Settings, flag, parse, take
from swirl.errors import ConfigError
from swirl.judges import JudgeName
from swirl.recipe import load_recipe
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.shards import Part


@dataclass(frozen=True, kw_only=True)
class StageCommand:
    """One stage of a run."""

    config: Settings
    redo: bool = False
    """Remove what this stage and those after it have written, and do it again."""


C = TypeVar("C", bound=StageCommand)


def over_run(name: str, words: Sequence[str], kind: type[C]) -> tuple[Path, C]:
    """The run folder that comes first, which has to be there, and the flags after it, laid over its settings."""
    usage = f"{name} RUN"
    first, flags = take(words, usage)
    path = Path(first)
    return path, parse(usage, flags, kind(config=Run.open(path).config if first else RunConfig()))


@dataclass(frozen=True, kw_only=True)
class WarmStartCommand(StageCommand):
    """Train on demonstrations first, for a model that does not know the protocol yet.

    Example: swirl warm-start runs/mine --recipe gsm8k --warm-start.questions 1000
    """

    recipe: str = ""
    """The recipe to take settings from, for a new run folder."""


@dataclass(frozen=True, kw_only=True)
class GenerateCommand(StageCommand):
    """Write trajectories.jsonl: the policy answers each training question several times, step by step, with its tools.

    Example: swirl generate runs/mine --recipe gsm8k --generate.questions 100
    Example: swirl generate runs/mine --part 2/8
    """

    recipe: str = ""
    """The recipe to take settings from, for a new run folder."""
    part: str = ""
    """Only every n-th shard, e.g. 2/8 for the second of eight parts: start the others beside it, here or on machines that share the disk.
    Budgets of servers are counted by each from what was spent when it began."""


@dataclass(frozen=True, kw_only=True)
class JudgeCommand(StageCommand):
    """Write verdicts.jsonl: a verdict on every step, blind to its result and to what came later.

    Example: swirl judge runs/mine --compare rule reference
    Example: swirl judge runs/mine --calibrate labels.jsonl
    """

    compare: tuple[JudgeName, ...] = ()
    """Two judges: judge with both and print how far they agree, the second taken as the truth."""
    part: str = ""
    """Only every n-th shard, e.g. 2/8, whose trajectories are there: start the other parts beside it, as those of swirl generate."""
    calibrate: str = ""
    """Measure the run's judge against a truth, and on adversarial actions: reference, solver, or a file of your own labels."""


_KINDS: Mapping[str, type[StageCommand]] = {
    "warm-start": WarmStartCommand,
    "generate": GenerateCommand,
    "judge": JudgeCommand,
}


def _stage(name: str, words: Sequence[str]) -> None:
    kind, usage, stage = _KINDS[name], f"{name} RUN", name.replace("-", "_")
    first, flags = take(words, usage)
    path, recipe = Path(first), flag(flags, "--recipe")
    config = load_recipe(recipe).config if recipe else Run.open(path).config if first else RunConfig()
    command = parse(usage, flags, kind(config=config))
    if isinstance(command, GenerateCommand | JudgeCommand) and command.part:
        return _part(stage, path, command)
    asked = command if isinstance(command, JudgeCommand) else JudgeCommand(config=config)
    stages.run_stage(stage, path, command.config, redo=command.redo, compare=asked.compare, calibrate=asked.calibrate)


def _part(stage: str, path: Path, command: GenerateCommand | JudgeCommand) -> None:
    if isinstance(command, JudgeCommand) and (command.compare or command.calibrate):
        raise ConfigError("--part: expected neither --compare nor --calibrate beside it, which need all of the run")
    stages.run_part(stage, path, command.config, Part.read(command.part), redo=command.redo)


COMMANDS = {name: Command(kind, _stage) for name, kind in _KINDS.items()}
