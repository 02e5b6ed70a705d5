"""`swirl evaluate`: over a run folder, or any policy on its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from swirl import stages
from swirl.commands.results import show
from swirl.commands.stages import StageCommand
from swirl.commands.words import Command, flag, parse
from swirl.engine import BUNDLED
from swirl.errors import ConfigError
from swirl.recipe import load_recipe
from swirl.run import Run
from swirl.settings import RunConfig


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


def _evaluate(name: str, words: Sequence[str]) -> None:
    """Over a run folder, or, without one, a run folder of its own for the policy that is named."""
    has_run = bool(words and words[0] and not words[0].startswith("-"))
    usage = f"{name} RUN" if has_run else name
    base = Run.open(Path(words[0])).config if has_run else _base(words)
    command = parse(usage, words[1:] if has_run else words, EvaluateCommand(config=base))
    config, out = command.settings, Path(words[0]) if has_run else command.out
    if has_run and (given := [name for name in ("--out", "--recipe") if flag(words, name)]):
        raise ConfigError(
            f"{given[0]} is for an evaluation without a run folder, found the run folder {out} too; leave one out"
        )
    if not has_run:
        _require_free(out)
        config = replace(config, generate=replace(config.generate, tasks=config.evaluate.tasks))
    stages.run_stage("evaluate", out, config, redo=command.redo)
    if not has_run:
        stages.run_stage("report", out, config)
    show(out, every=True)


def _require_free(out: Path) -> None:
    """The folder of an evaluation on its own may hold an evaluation, and no run that has begun: its stages are not to be done again."""
    run = Run.open(out) if (out / "run.toml").is_file() else None
    if begun := [stage for stage in ("warm_start", "generate", "train") if run and run.has(stage)]:
        raise ConfigError(
            f"{out} holds a run (`{begun[0]}` has written in it): evaluate it by `swirl evaluate {out}`, or name another folder as --out"
        )


def _base(words: Sequence[str]) -> RunConfig:
    """The settings that an evaluation without a run folder starts from."""
    model = flag(words, "--policy") or flag(words, "--policy.model")
    if recipe := flag(words, "--recipe"):
        return load_recipe(recipe).config
    if not model and not {"-h", "--help"}.intersection(words):
        found = f"found {words[0]!r} and no --policy" if words else "found neither"
        raise ConfigError(
            f"expected `swirl evaluate RUN`, or `swirl evaluate --tasks TASK,TASK --policy MODEL`, {found}"
        )
    return load_recipe("demo").config if model == BUNDLED else RunConfig()


COMMANDS = {"evaluate": Command(EvaluateCommand, _evaluate)}
