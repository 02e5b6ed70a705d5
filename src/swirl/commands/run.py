"""`swirl run` and `swirl demo`: a whole recipe."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from swirl import stages
from swirl.commands.results import look_closer, show
from swirl.commands.words import Command, Settings, parse, take
from swirl.recipe import Recipe, load_recipe


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


def _run(name: str, words: Sequence[str]) -> None:
    usage = f"{name} RECIPE"
    first, flags = take(words, usage)
    recipe = load_recipe(first or "demo")
    out = Path("runs") / (recipe.name if first else "RECIPE")
    command = parse(usage, flags, RunCommand(config=recipe.config, out=out))
    if command.dry_run:
        return _estimate(recipe, command)
    if recipe.study is None:
        show(stages.run_all(command.out, command.config).path)
        return
    from swirl.study import run_study

    run_study(recipe, command.config, command.out)
    look_closer(command.out)


def _estimate(recipe: Recipe, command: RunCommand) -> None:
    from swirl.stages.dry_run import dry_run

    if recipe.study is None:
        return dry_run([(command.out, command.config)])
    from swirl.study import planned

    dry_run([(run.path, run.config) for run in planned(recipe, command.config, command.out)])


def _demo(name: str, words: Sequence[str]) -> None:
    command = parse(name, words, DemoCommand(config=load_recipe("demo").config))
    config = command.config
    if command.test_draw:
        config = replace(config, evaluate=replace(config.evaluate, draw=command.test_draw))
    show(stages.run_all(command.out, config).path)


COMMANDS = {"demo": Command(DemoCommand, _demo), "run": Command(RunCommand, _run)}
