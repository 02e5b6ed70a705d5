"""The command line: `swirl COMMAND`. Flags are generated from the configuration dataclasses, so their help is the dataclasses' own.

A user's mistake is answered with one sentence and exit status 2; Ctrl-C with what to do next and status 130.
"""

import difflib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import getdoc
from pathlib import Path
from typing import Annotated, TypeVar

import tyro
from rich.console import Console

from swirl import stages
from swirl.errors import ConfigError, SwirlError
from swirl.recipe import RunConfig, load_recipe
from swirl.records import read_json
from swirl.report import terminal_table
from swirl.run import Run, locked
from swirl.terminal import say

T = TypeVar("T")
_SPINS = "1000"
"""How long a thread of torch's waits awake for the others. Where other programs share the cores, the default makes a small model 20 times
slower; it has to be set before torch is imported."""
Settings = Annotated[RunConfig, tyro.conf.arg(name="")]


@dataclass(frozen=True, kw_only=True)
class RunCommand:
    """Run a whole recipe: warm start, generate, judge, filter, train, evaluate before and after, report.

    Killed or stopped, the same command goes on where it was. A recipe with a [study] runs all its arms and seeds.

    Example: swirl run recipes/gsm8k.toml --policy.model PATH_OR_HUB_ID --out runs/gsm8k
    """

    recipe: tyro.conf.Positional[str]
    """A TOML file, or the name of a bundled recipe (see `swirl recipes`)."""
    config: Settings
    out: Path = Path()
    """The run folder; runs/RECIPE by default."""


@dataclass(frozen=True, kw_only=True)
class DemoCommand:
    """Show step-wise RL at work on two bundled tasks, from nothing but this package.

    Example: swirl demo --out runs/demo --seed 1
    """

    config: Settings
    out: Path = Path("runs/demo")
    """The run folder; summary.json and report.html end up in it."""
    test_draw: int = -1
    """Which draw of held-out questions to evaluate on; the same as --evaluate.draw."""


@dataclass(frozen=True, kw_only=True)
class StageCommand:
    """One stage of a run."""

    run: tyro.conf.Positional[Path]
    """The run folder."""
    config: Settings
    redo: bool = False
    """Remove what this stage and those after it have written, and do it again."""


@dataclass(frozen=True, kw_only=True)
class GenerateCommand(StageCommand):
    """Write trajectories.jsonl: the policy answers each training question several times, step by step, with its tools.

    Example: swirl generate runs/mine --recipe gsm8k --generate.questions 100
    """

    recipe: str = ""
    """For a new run folder: the recipe to take settings from."""


@dataclass(frozen=True, kw_only=True)
class WarmStartCommand(StageCommand):
    """Train on demonstrations first, for a model that does not know the protocol yet.

    Example: swirl warm-start runs/mine --recipe gsm8k --warm-start.questions 1000
    """

    recipe: str = ""
    """For a new run folder: the recipe to take settings from."""


@dataclass(frozen=True, kw_only=True)
class JudgeCommand(StageCommand):
    """Write verdicts.jsonl: a verdict on every step, blind to its result and to what came later.

    Example: swirl judge runs/mine --compare rule reference
    """

    compare: tuple[str, ...] = ()
    """Two judges: judge with both and print how far they agree, the second taken as the truth."""


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
    """Step-wise inference on held-out questions with the policies before and after training; writes summary.json.

    Example: swirl evaluate runs/mine --evaluate.questions 500 --redo
    """


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

    action: tyro.conf.Positional[str] = "list"
    """list or copy."""
    name: tyro.conf.Positional[str] = ""
    """The recipe to copy."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _dispatch(words[0] if words else "help", words[1:])
        sys.stdout.flush()
        return 0
    except SwirlError as error:
        say(f"error: {error}")
        return 2
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        say(f"error: {error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        return 2
    except KeyboardInterrupt:
        say("stopped; everything finished so far is kept, and the same command goes on from there")
        return 130


def _dispatch(name: str, words: Sequence[str]) -> None:
    if name in ("-h", "--help", "help"):
        return _overview()
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"unknown command {name!r}: {hint}`swirl --help` lists them all")
    COMMANDS[name](name, words)


def _overview() -> None:
    """`swirl --help`."""
    print("swirl: step-wise reinforcement learning for tool-using language models\n\nusage: swirl COMMAND [--help]\n")
    for name, kind in _KINDS.items():
        print(f"  {name:<11} {(kind.__doc__ or '').splitlines()[0]}")
    print("\nFirst: swirl demo. Then your own: swirl recipes copy gsm8k, edit it, swirl run gsm8k.toml")


def _parse(name: str, words: Sequence[str], default: T) -> T:
    """Command-line words over a default; tyro prints help and complaints, and exits."""
    kind = type(default)
    flags = (tyro.conf.EnumChoicesFromValues,)
    return tyro.cli(
        kind, args=list(words), default=default, prog=f"swirl {name}", config=flags, description=getdoc(kind)
    )


def _first_word(words: Sequence[str]) -> str:
    return words[0] if words and not words[0].startswith("-") else ""


def _flag(words: Sequence[str], flag: str) -> str:
    """The value of a flag that has to be known before the rest can be parsed."""
    for here, after in zip(words, [*words[1:], ""], strict=False):
        if here.startswith(f"{flag}="):
            return here.removeprefix(f"{flag}=")
        if here == flag:
            return after
    return ""


def _run(name: str, words: Sequence[str]) -> None:
    recipe = load_recipe(_first_word(words) or "demo")
    command = _parse(name, words, RunCommand(recipe=_first_word(words), config=recipe.config))
    if not command.recipe:
        raise ConfigError("expected a recipe: swirl run RECIPE; `swirl recipes` lists the bundled ones")
    out = command.out if command.out != Path() else Path("runs") / recipe.name
    if recipe.study is not None:
        from swirl.study import run_study

        run_study(recipe, command.config, out)
    else:
        _show(stages.run_all(out, command.config))


def _demo(name: str, words: Sequence[str]) -> None:
    from dataclasses import replace

    command = _parse(name, words, DemoCommand(config=load_recipe("demo").config))
    config = command.config
    if command.test_draw >= 0:
        config = replace(config, evaluate=replace(config.evaluate, draw=command.test_draw))
    _show(stages.run_all(command.out, config))


def _show(run: Run) -> None:
    """What a run came to, and where to read on."""
    Console(highlight=False).print(terminal_table(read_json(run.summary)))
    say(f"report: {run.path / 'report.html'}")


def _stage(name: str, words: Sequence[str]) -> None:
    kind, path = _STAGE_KINDS[name], Path(_first_word(words) or ".")
    stage = name.replace("-", "_")
    fresh = not (path / "run.toml").exists() and (recipe := _flag(words, "--recipe"))
    config = load_recipe(recipe).config if fresh else Run.open(path).config if _first_word(words) else RunConfig()
    command = _parse(name, words, kind(run=path, config=config))
    if not _first_word(words):
        raise ConfigError(f"expected a run folder: swirl {name} RUN")
    with locked(path):
        run = Run.create(path, command.config) if fresh else Run.open(path)
        run.reconfigure(stage, command.config, command.redo)
        if compare := getattr(command, "compare", ()):
            stages.print_agreement(run, compare)
        else:
            stages.STAGES[stage](run)


def _recipes(name: str, words: Sequence[str]) -> None:
    from swirl.recipe import bundled_recipes

    command, recipes = _parse(name, words, RecipesCommand()), bundled_recipes()
    if command.action == "list":
        for recipe, text in recipes.items():
            print(f"{recipe:<10} {text.splitlines()[0].lstrip('# ')}")
        return
    if command.action != "copy":
        raise ConfigError(f"expected `swirl recipes list` or `swirl recipes copy NAME`, found {command.action!r}")
    if command.name not in recipes:
        raise ConfigError(f"unknown recipe {command.name!r}: expected one of {', '.join(recipes)}")
    target = Path(f"{command.name}.toml")
    if target.exists():
        raise ConfigError(f"{target} is there already; move it away first")
    target.write_text(recipes[command.name], "utf-8")
    print(f"{target} is yours to edit; then: swirl run {target}")


_STAGE_KINDS: Mapping[str, type[StageCommand]] = {
    "warm-start": WarmStartCommand,
    "generate": GenerateCommand,
    "judge": JudgeCommand,
    "filter": FilterCommand,
    "train": TrainCommand,
    "evaluate": EvaluateCommand,
    "report": ReportCommand,
}

_KINDS: Mapping[str, type] = {"demo": DemoCommand, "run": RunCommand, **_STAGE_KINDS, "recipes": RecipesCommand}

COMMANDS: Mapping[str, Callable[[str, Sequence[str]], None]] = {
    **dict.fromkeys(_KINDS, _stage),
    "demo": _demo,
    "run": _run,
    "recipes": _recipes,
}
