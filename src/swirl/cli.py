"""The command line: `swirl COMMAND`. Flags are generated from the configuration dataclasses, so their help is the dataclasses' own.

A user's mistake is answered with one sentence and exit status 2; Ctrl-C with what to do next and status 130.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from inspect import getdoc
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import tyro
from rich.console import Console

from swirl import processes, stages
from swirl.catalog import open_encoder
from swirl.commands import (
    KINDS,
    STAGE_KINDS,
    DemoCommand,
    EvaluateCommand,
    IndexCommand,
    JudgeCommand,
    RecipesCommand,
    RunCommand,
)
from swirl.engine import BUNDLED
from swirl.errors import ConfigError, SwirlError
from swirl.recipe import Recipe, load_recipe
from swirl.retrieval.sources import count, read_corpus
from swirl.run import Run
from swirl.settings import RunConfig, nearest
from swirl.summary import read_summary
from swirl.tables import terminal_figures, terminal_table
from swirl.terminal import say

if TYPE_CHECKING:
    from swirl.retrieval.index import Manifest

T = TypeVar("T")
_TOGETHER = ("train", "warm-start")
"""Commands that several processes can run together."""
_GONE_ON_WITH = "everything finished so far is kept, and the same command goes on from there"
_BEGUN_ANEW = "nothing of the index is kept, and the same command begins it anew"
_SPINS = "1000"
"""How long a thread of torch's waits awake for the others. Where other programs share the cores, the default makes a small model 20 times
slower; it has to be set before torch is imported."""


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
        say(f"stopped; {_BEGUN_ANEW if words[:1] == ['index'] else _GONE_ON_WITH}")
        return 130


def _dispatch(name: str, words: Sequence[str]) -> None:
    if name in ("-h", "--help", "help"):
        return _overview()
    if name == "--version":
        return print(f"swirl {metadata.version('swirl-rl')}")
    if name not in COMMANDS:
        raise ConfigError(f"unknown command {name!r}: `swirl --help` lists them all{nearest(name, COMMANDS)}")
    count = processes.count()
    if count > 1 and name not in _TOGETHER:
        raise ConfigError(
            f"`swirl {name}` works in one process, and torchrun started {count}: run it without torchrun, and share training alone: "
            f"torchrun --nproc-per-node {count} -m swirl train RUN"
        )
    COMMANDS[name](name, words)


def _overview() -> None:
    """`swirl --help`."""
    print("swirl: step-wise reinforcement learning for tool-using language models\n\nusage: swirl COMMAND [--help]\n")
    for name, kind in KINDS.items():
        print(f"  {name:<11} {(kind.__doc__ or '').splitlines()[0]}")
    print("\nFirst: swirl demo. Then your own: swirl recipes copy gsm8k, edit it, swirl run gsm8k.toml")


def _parse(usage: str, words: Sequence[str], default: T) -> T:
    """Command-line words over a default; tyro prints help and complaints, and exits."""
    kind = type(default)
    flags = (tyro.conf.EnumChoicesFromValues,)
    return tyro.cli(
        kind, args=list(words), default=default, prog=f"swirl {usage}", config=flags, description=getdoc(kind)
    )


def _take(words: Sequence[str], usage: str) -> tuple[str, Sequence[str]]:
    """The word that has to come first, and the flags after it; nothing is needed where only help is asked for."""
    if words and words[0] and not words[0].startswith("-"):
        return words[0], words[1:]
    if {"-h", "--help"}.intersection(words):
        return "", words
    found = f"found {words[0]!r}" if words else "found nothing"
    raise ConfigError(f"expected `swirl {usage} [OPTIONS]`, {found} in place of {usage.split()[-1]}")


def _flag(words: Sequence[str], flag: str) -> str:
    """The value of a flag that has to be known before the rest can be parsed."""
    for here, after in zip(words, [*words[1:], ""], strict=False):
        if here.startswith(f"{flag}="):
            return here.removeprefix(f"{flag}=")
        if here == flag:
            return after
    return ""


def _run(name: str, words: Sequence[str]) -> None:
    usage = f"{name} RECIPE"
    first, flags = _take(words, usage)
    recipe = load_recipe(first or "demo")
    out = Path("runs") / (recipe.name if first else "RECIPE")
    command = _parse(usage, flags, RunCommand(config=recipe.config, out=out))
    if command.dry_run:
        return _estimate(recipe, command)
    if recipe.study is None:
        _show(stages.run_all(command.out, command.config).path)
        return
    from swirl.study import run_study

    run_study(recipe, command.config, command.out)


def _estimate(recipe: Recipe, command: RunCommand) -> None:
    from swirl.stages.dry_run import dry_run

    if recipe.study is None:
        return dry_run([(command.out, command.config)])
    from swirl.study import planned

    dry_run([(run.path, run.config) for run in planned(recipe, command.config, command.out)])


def _demo(name: str, words: Sequence[str]) -> None:
    command = _parse(name, words, DemoCommand(config=load_recipe("demo").config))
    config = command.config
    if command.test_draw:
        config = replace(config, evaluate=replace(config.evaluate, draw=command.test_draw))
    _show(stages.run_all(command.out, config).path)


def _show(path: Path, every: bool = False) -> None:
    """What the run in a folder came to, every figure where that is asked for, and where to read on; as much of it as is there."""
    if (path / "summary.json").exists():
        summary, console = read_summary(path), Console(highlight=False)
        if every:
            console.print(terminal_figures(summary))
        console.print(terminal_table(summary))
    if (path / "report.html").exists():
        say(f"report: {path / 'report.html'}")


def _stage(name: str, words: Sequence[str]) -> None:
    kind, usage, stage = STAGE_KINDS[name], f"{name} RUN", name.replace("-", "_")
    first, flags = _take(words, usage)
    path, recipe = Path(first), _flag(flags, "--recipe")
    config = load_recipe(recipe).config if recipe else Run.open(path).config if first else RunConfig()
    command = _parse(usage, flags, kind(config=config))
    asked = command if isinstance(command, JudgeCommand) else JudgeCommand(config=config)
    stages.run_stage(stage, path, command.config, redo=command.redo, compare=asked.compare, calibrate=asked.calibrate)
    if name == "report":
        _show(path)


def _evaluate(name: str, words: Sequence[str]) -> None:
    """Over a run folder, or, without one, a run folder of its own for the policy that is named."""
    has_run = bool(words and words[0] and not words[0].startswith("-"))
    usage = f"{name} RUN" if has_run else name
    base = Run.open(Path(words[0])).config if has_run else _base(words)
    command = _parse(usage, words[1:] if has_run else words, EvaluateCommand(config=base))
    config, out = command.settings, Path(words[0]) if has_run else command.out
    if has_run and (given := [flag for flag in ("--out", "--recipe") if _flag(words, flag)]):
        raise ConfigError(
            f"{given[0]} is for an evaluation without a run folder, found the run folder {out} too; leave one out"
        )
    if not has_run:
        _require_free(out)
        config = replace(config, generate=replace(config.generate, tasks=config.evaluate.tasks))
    stages.run_stage("evaluate", out, config, redo=command.redo)
    if not has_run:
        stages.run_stage("report", out, config)
    _show(out, every=True)


def _require_free(out: Path) -> None:
    """The folder of an evaluation on its own may hold an evaluation, and no run that has begun: its stages are not to be done again."""
    run = Run.open(out) if (out / "run.toml").is_file() else None
    if begun := [stage for stage in ("warm_start", "generate", "train") if run and run.has(stage)]:
        raise ConfigError(
            f"{out} holds a run (`{begun[0]}` has written in it): evaluate it by `swirl evaluate {out}`, or name another folder as --out"
        )


def _base(words: Sequence[str]) -> RunConfig:
    """The settings that an evaluation without a run folder starts from."""
    model = _flag(words, "--policy") or _flag(words, "--policy.model")
    if recipe := _flag(words, "--recipe"):
        return load_recipe(recipe).config
    if not model and not {"-h", "--help"}.intersection(words):
        found = f"found {words[0]!r} and no --policy" if words else "found neither"
        raise ConfigError(
            f"expected `swirl evaluate RUN`, or `swirl evaluate --tasks TASK,TASK --policy MODEL`, {found}"
        )
    return load_recipe("demo").config if model == BUNDLED else RunConfig()


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
        known = f"expected one of {', '.join(recipes)}{nearest(command.name, recipes)}"
        raise ConfigError(f"unknown recipe {command.name!r}: {known}")
    target = Path(f"{command.name}.toml")
    if target.exists():
        raise ConfigError(f"{target} is there already; move it away first")
    target.write_text(recipes[command.name], "utf-8")
    print(f"{target} is yours to edit; then: swirl run {target}")


def _index(name: str, words: Sequence[str]) -> None:
    usage = "index CORPUS"
    source, flags = _take(words, usage)
    out = Path(f"{Path(source).name.split('.')[0] or 'CORPUS'}.index")
    command = _parse(usage, flags, IndexCommand(out=out))
    from swirl.retrieval import index

    if command.verify:
        return _whole(Path(source).expanduser(), index.verify(Path(source).expanduser()))
    made = index.build(
        read_corpus(source, command.split),
        command.out,
        engine=command.engine,
        encoder=open_encoder(command.encoder, command.device) if command.encoder else None,
        model=command.encoder,
        expected=count(source),
    )
    _whole(command.out, made)


def _whole(folder: Path, made: "Manifest") -> None:
    print(f"{folder}: {made.passages:,} passages, {made.bytes / 1e6:,.1f} MB, for search.engine {made.engine}; whole")


COMMANDS: Mapping[str, Callable[[str, Sequence[str]], None]] = {
    **dict.fromkeys(KINDS, _stage),
    "demo": _demo,
    "run": _run,
    "evaluate": _evaluate,
    "index": _index,
    "recipes": _recipes,
}
