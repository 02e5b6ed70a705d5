"""`swirl recipes`: those that come with the package."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from swirl.commands.words import Command, parse
from swirl.errors import ConfigError
from swirl.recipe import bundled_recipes
from swirl.settings import nearest


@dataclass(frozen=True, kw_only=True)
class RecipesCommand:
    """List the bundled recipes, or copy one to the current folder.

    Example: swirl recipes copy gsm8k
    """

    action: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ACTION")] = "list"
    """list or copy."""
    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")] = ""
    """The recipe to copy."""


def _recipes(name: str, words: Sequence[str]) -> None:
    command, recipes = parse(name, words, RecipesCommand()), bundled_recipes()
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


COMMANDS = {"recipes": Command(RecipesCommand, _recipes)}
