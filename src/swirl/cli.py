"""The command line: `swirl COMMAND`. Flags are generated from the configuration dataclasses, so their help is the dataclasses' own.

A user's mistake is answered with one sentence and exit status 2, wrong records that `swirl verify` finds with status 1;
Ctrl-C with what to do next and status 130.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata

from swirl import processes
from swirl.commands import (
    evaluate,
    export,
    filter,
    import_,
    index,
    recipes,
    report,
    run,
    show,
    stages,
    stats,
    train,
    verify,
    view,
)
from swirl.commands.words import Command
from swirl.errors import ConfigError, SwirlError
from swirl.settings import nearest
from swirl.terminal import say

COMMANDS: Mapping[str, Command] = {
    **run.COMMANDS,
    **stages.COMMANDS,
    **filter.COMMANDS,
    **train.COMMANDS,
    **evaluate.COMMANDS,
    **report.COMMANDS,
    **view.COMMANDS,
    **show.COMMANDS,
    **stats.COMMANDS,
    **export.COMMANDS,
    **import_.COMMANDS,
    **verify.COMMANDS,
    **index.COMMANDS,
    **recipes.COMMANDS,
}
_TOGETHER = ("train", "warm-start")
"""Commands that several processes can run together."""
_GONE_ON_WITH = "everything finished so far is kept, and the same command goes on from there"
_BEGUN_ANEW = {
    name: f"nothing of the {name} is kept, and the same command begins it anew" for name in ("index", "import")
}
_SPINS = "1000"
"""How long a thread of torch's waits awake for the others. Where other programs share the cores, the default makes a small model 20 times
slower; it has to be set before torch is imported."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _dispatch(words[0] if words else "help", words[1:])
        sys.stdout.flush()
        return status
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
        say(f"stopped; {_BEGUN_ANEW.get(words[0], _GONE_ON_WITH) if words else _GONE_ON_WITH}")
        return 130


def _dispatch(name: str, words: Sequence[str]) -> int:
    if name in ("-h", "--help", "help"):
        _overview()
        return 0
    if name == "--version":
        print(f"swirl {metadata.version('swirl-rl')}")
        return 0
    if name not in COMMANDS:
        raise ConfigError(f"unknown command {name!r}: `swirl --help` lists them all{nearest(name, COMMANDS)}")
    count = processes.count()
    if count > 1 and name not in _TOGETHER:
        raise ConfigError(
            f"`swirl {name}` works in one process, and torchrun started {count}: run it without torchrun, and share training alone: "
            f"torchrun --nproc-per-node {count} -m swirl train RUN"
        )
    return COMMANDS[name].run(name, words) or 0


def _overview() -> None:
    """`swirl --help`."""
    print("swirl: step-wise reinforcement learning for tool-using language models\n\nusage: swirl COMMAND [--help]\n")
    for name, command in COMMANDS.items():
        print(f"  {name:<11} {(command.kind.__doc__ or '').splitlines()[0]}")
    print("\nFirst: swirl demo. Then your own: swirl recipes copy gsm8k, edit it, swirl run gsm8k.toml")
