"""A recipe: the settings of a run as a TOML file, one's own or bundled.

A recipe may also hold a study: the same run repeated with other settings (arms) and seeds, see `swirl.study`.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from swirl.errors import ConfigError
from swirl.generation import require_distinct
from swirl.settings import RunConfig, check_keys, configure, convert, merge, nearest

_ARM_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One arm of a study: its name, and what it sets differently."""

    name: str
    changes: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Study:
    """The same run with other settings and seeds."""

    seeds: tuple[int, ...]
    arms: tuple[Arm, ...]
    control: str = ""
    """The arm that the others are compared with; empty: the first."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A TOML recipe, read."""

    name: str
    table: Mapping[str, Any]
    """The run's settings as written, without the study."""
    study: Study | None = None

    @property
    def config(self) -> RunConfig:
        """The run's settings, checked."""
        return configure(self.table, self.name)


def bundled_recipes() -> dict[str, str]:
    """The recipes that come with the package: name -> text."""
    folder = files("swirl") / "recipes"
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return {
        entry.name.removesuffix(".toml"): entry.read_text("utf-8")
        for entry in sorted(found, key=lambda entry: entry.name)
    }


def load_recipe(name: str) -> Recipe:
    """A recipe from a file, or a bundled one by name, e.g. `load_recipe("demo").config.seed`."""
    path = Path(name)
    bundled = bundled_recipes()
    if path.suffix != ".toml" and name in bundled:
        return _parse(bundled[name], name)
    if not path.is_file():
        raise ConfigError(
            f"expected a recipe file or a bundled recipe ({', '.join(bundled)}), found neither at {name!r}{nearest(path.stem, bundled)}"
        )
    try:
        return _parse(path.read_text("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: expected TOML in UTF-8, found byte {error.object[error.start]:#04x} at {error.start}"
        ) from error


def _parse(text: str, name: str) -> Recipe:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not valid TOML: {error}") from error
    written = table.pop("study", None)
    study = None if written is None else _study(written, name)
    recipe = Recipe(name=Path(name).stem, table=table, study=study)
    configure(table, name)
    for arm in recipe.study.arms if recipe.study else ():
        configure(merge(table, arm.changes), f"{name}, arm {arm.name}")
    return recipe


def _study(table: Any, name: str) -> Study:
    _require_table(table, f"{name}: study")
    check_keys(table, Study, name, "study.")
    written = table.get("arms", {})
    _require_table(written, f"{name}: study.arms")
    arms = [_arm(arm, changes, name) for arm, changes in written.items()]
    study: Study = convert({"seeds": (), **table, "arms": arms}, Study, name, "study.")
    if not study.arms or not study.seeds:
        raise ConfigError(f"{name}: a study needs at least one seed and one arm, e.g. [study.arms.process]")
    if study.control and study.control not in written:
        near = nearest(study.control, written)
        raise ConfigError(f"{name}: study.control: expected one of {', '.join(written)}, found {study.control!r}{near}")
    require_distinct(f"{name}: study.seeds", study.seeds)
    return study


def _arm(arm: str, changes: Any, name: str) -> dict[str, Any]:
    if not _ARM_NAME.fullmatch(arm):
        raise ConfigError(
            f"{name}: study.arms: an arm's name becomes a folder's: expected letters, digits, `_`, `-` and `.`, found {arm!r}; rename it"
        )
    _require_table(changes, f"{name}: study.arms.{arm}")
    return {"name": arm, "changes": changes}


def _require_table(value: Any, place: str) -> None:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{place}: expected a table, found {value!r}; e.g. [study.arms.process]")
