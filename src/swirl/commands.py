"""What each command is told: its flags, and the help that stands beside them. Their settings are the configuration's own dataclasses.

Not here: what a command does (`swirl.cli`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from swirl.errors import ConfigError
from swirl.judges import JudgeName
from swirl.retrieval import Engine
from swirl.settings import RunConfig

Settings = Annotated[RunConfig, tyro.conf.arg(name="")]


@dataclass(frozen=True, kw_only=True)
class RunCommand:
    """Run a whole recipe: warm start, generate, judge, filter, train, evaluate before and after, report.

    RECIPE is a TOML file, or the name of a bundled recipe (`swirl recipes` lists them); its settings are the defaults below. Killed or
    stopped, the same command goes on where it was. A recipe with a [study] runs all its arms and seeds.

    Example: swirl run recipes/gsm8k.toml --policy.model PATH_OR_HUB_ID --out runs/gsm8k
    Example: swirl run gsm8k --judge.name model --judge-server.url http://localhost:8000/v1 --dry-run
    """

    config: Settings
    out: Path = Path("runs/RECIPE")
    """The run folder."""
    dry_run: bool = False
    """Only estimate what services would be asked for, and what that costs: nothing is sent to them, nothing is written."""


@dataclass(frozen=True, kw_only=True)
class DemoCommand:
    """Show step-wise RL at work on two bundled tasks, from nothing but this package.

    Example: swirl demo --out runs/demo --seed 1
    """

    config: Settings
    out: Path = Path("runs/demo")
    """The run folder; summary.json and report.html end up in it."""
    test_draw: int = 0
    """Which draw of held-out questions to evaluate on; another number, other questions."""


@dataclass(frozen=True, kw_only=True)
class StageCommand:
    """One stage of a run."""

    config: Settings
    redo: bool = False
    """Remove what this stage and those after it have written, and do it again."""


@dataclass(frozen=True, kw_only=True)
class GenerateCommand(StageCommand):
    """Write trajectories.jsonl: the policy answers each training question several times, step by step, with its tools.

    Example: swirl generate runs/mine --recipe gsm8k --generate.questions 100
    """

    recipe: str = ""
    """The recipe to take settings from, for a new run folder."""


@dataclass(frozen=True, kw_only=True)
class WarmStartCommand(StageCommand):
    """Train on demonstrations first, for a model that does not know the protocol yet.

    Example: swirl warm-start runs/mine --recipe gsm8k --warm-start.questions 1000
    """

    recipe: str = ""
    """The recipe to take settings from, for a new run folder."""


@dataclass(frozen=True, kw_only=True)
class JudgeCommand(StageCommand):
    """Write verdicts.jsonl: a verdict on every step, blind to its result and to what came later.

    Example: swirl judge runs/mine --compare rule reference
    Example: swirl judge runs/mine --calibrate labels.jsonl
    """

    compare: tuple[JudgeName, ...] = ()
    """Two judges: judge with both and print how far they agree, the second taken as the truth."""
    calibrate: str = ""
    """Measure the run's judge against a truth, and on adversarial actions: reference, solver, or a file of your own labels."""


@dataclass(frozen=True, kw_only=True)
class FilterCommand(StageCommand):
    """Write selection.json: which trajectories training sees, and why the rest fell. Nothing is judged again.

    Example: swirl filter runs/mine --filter.rule both --redo
    """


@dataclass(frozen=True, kw_only=True)
class TrainCommand(StageCommand):
    """Step-wise RL on the kept trajectories' states (or supervised training, --train.objective sft); resumes from its last checkpoint.

    Example: swirl train runs/mine --train.updates 200
    """


@dataclass(frozen=True, kw_only=True)
class EvaluateCommand(StageCommand):
    """Step-wise inference on held-out questions with the policies before and after training; prints every figure.

    RUN is a run folder; its summary.json is written. Without one, any policy is evaluated, on its own or against another one on the same
    questions, in a run folder of its own, with a report. Killed or stopped, the same command goes on where it was.

    Example: swirl evaluate runs/mine --evaluate.questions 500 --redo
    Example: swirl evaluate --tasks arithmetic,world --policy bundled --out runs/evaluation
    """

    tasks: str = ""
    """Tasks to evaluate on, commas between them; empty: evaluate.tasks."""
    policy: str = ""
    """The model to evaluate: a folder, a hub id or bundled; empty: policy.model."""
    against: str = ""
    """A second model to compare it with, question by question; empty: evaluate.against."""
    out: Path = Path("runs/evaluation")
    """The run folder of an evaluation without RUN."""
    recipe: str = ""
    """The recipe to take settings from, without RUN; empty: demo for the bundled policy, else the defaults."""

    @property
    def settings(self) -> RunConfig:
        """The configuration, the short flags laid over it."""
        config = self.config
        evaluating, policy = config.evaluate, config.policy
        if self.tasks:
            evaluating = replace(
                evaluating, tasks=tuple(name.strip() for name in self.tasks.split(",") if name.strip())
            )
        if self.against:
            evaluating = replace(evaluating, against=self.against)
        if self.policy:
            policy = replace(policy, model=self.policy)
        return replace(config, evaluate=evaluating, policy=policy)


@dataclass(frozen=True, kw_only=True)
class ReportCommand(StageCommand):
    """Write report.html: one page that needs no network.

    Example: swirl report runs/mine
    """


@dataclass(frozen=True, kw_only=True)
class RecipesCommand:
    """List the bundled recipes, or copy one to the current folder.

    Example: swirl recipes copy gsm8k
    """

    action: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ACTION")] = "list"
    """list or copy."""
    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")] = ""
    """The recipe to copy."""


@dataclass(frozen=True, kw_only=True)
class IndexCommand:
    """Make an index of a corpus on disk, for search.index; or check one.

    CORPUS is a file of passages with id, title and text (JSON lines, JSON or Parquet; gzip is read too), or a data set of the hub. The
    index is mapped into memory, and every byte of it is checked when it is opened.

    Example: swirl index passages.jsonl.gz --out indexes/mine
    """

    out: Path = Path("CORPUS.index")
    """The folder to make."""
    engine: Engine = "bm25"
    """bm25, dense, or hybrid, which can be searched by both."""
    encoder: str = ""
    """For dense and hybrid: a sentence-embedding model, a folder or a hub id."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the encoder runs."""
    split: str = "train"
    """Of a data set of the hub: the split that holds the passages."""
    verify: bool = False
    """CORPUS is an index: check every byte of it, and say what is in it."""

    def __post_init__(self) -> None:
        if self.engine == "bm25" and self.encoder:
            raise ConfigError("--encoder is for --engine dense or hybrid; add one of them, or leave it out")
        if self.engine != "bm25" and not self.encoder:
            raise ConfigError(
                f"--engine {self.engine} needs --encoder, a sentence-embedding model: a folder or a hub id"
            )


STAGE_KINDS: Mapping[str, type[StageCommand]] = {
    "warm-start": WarmStartCommand,
    "generate": GenerateCommand,
    "judge": JudgeCommand,
    "filter": FilterCommand,
    "train": TrainCommand,
    "evaluate": EvaluateCommand,
    "report": ReportCommand,
}

KINDS: Mapping[str, type] = {
    "demo": DemoCommand,
    "run": RunCommand,
    **STAGE_KINDS,
    "index": IndexCommand,
    "recipes": RecipesCommand,
}
