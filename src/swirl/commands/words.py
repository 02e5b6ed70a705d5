"""Command-line words: which come first, and the flags after them."""

from collections.abc import Callable, Sequence
from inspect import getdoc
from typing import Annotated, NamedTuple, TypeVar

import tyro

from swirl.errors import ConfigError
from swirl.settings import RunConfig

T = TypeVar("T")
Settings = Annotated[RunConfig, tyro.conf.arg(name="")]


class Command(NamedTuple):
    """One command."""

    kind: type
    """Its flags; the first line of the docstring is its help."""
    run: Callable[[str, Sequence[str]], int | None]
    """Does it, given its name and the words after that; the exit status, where that is not 0."""


def parse(usage: str, words: Sequence[str], default: T) -> T:
    """Command-line words over a default; tyro prints help and complaints, and exits."""
    kind = type(default)
    flags = (tyro.conf.EnumChoicesFromValues,)
    return tyro.cli(
        kind, args=list(words), default=default, prog=f"swirl {usage}", config=flags, description=_described(kind)
    )


def _described(kind: type) -> str:
    """What its docstring says, each example in a line of its own: tyro joins what no empty line parts."""
    return (getdoc(kind) or "").replace("\nExample: ", "\n\nExample: ").replace("\n\n\nExample: ", "\n\nExample: ")


def take(words: Sequence[str], usage: str) -> tuple[str, Sequence[str]]:
    """The word that has to come first, and the flags after it; nothing is needed where only help is asked for."""
    if words and words[0] and not words[0].startswith("-"):
        return words[0], words[1:]
    if {"-h", "--help"}.intersection(words):
        return "", words
    found = f"found {words[0]!r}" if words else "found nothing"
    raise ConfigError(f"expected `swirl {usage} [OPTIONS]`, {found} in place of {usage.split()[-1]}")


def flag(words: Sequence[str], name: str) -> str:
    """The value of a flag that has to be known before the rest can be parsed."""
    for here, after in zip(words, [*words[1:], ""], strict=False):
        if here.startswith(f"{name}="):
            return here.removeprefix(f"{name}=")
        if here == name:
            return after
    return ""
