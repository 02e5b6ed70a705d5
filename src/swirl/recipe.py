"""A recipe: the whole configuration of a run, from a TOML file, dotted flags or Python; one frozen dataclass a stage.

A recipe may also hold a study: the same run repeated with other settings (arms) and seeds, see `swirl.study`.
Unknown keys and wrong types are refused with the nearest valid key: a misspelt setting that is silently ignored costs a night of training.
"""

import dataclasses
import difflib
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import tomli_w

from swirl.errors import ConfigError
from swirl.evaluate import EvaluateConfig
from swirl.filters import FilterConfig
from swirl.generation import GenerateConfig, require_distinct
from swirl.judges import JudgeConfig, JudgeServerConfig
from swirl.policies import PolicyConfig, PolicyServerConfig
from swirl.retrieval import SearchConfig
from swirl.train import TrainConfig

_WARM_START = {"warm_start": {"train": {"objective": "sft"}}}
"""What a recipe need not say."""
_ARM_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, kw_only=True)
class WarmStartConfig:
    """Supervised training on demonstrations before anything else, for a model that does not know the protocol yet."""

    questions: int = 0
    """Training questions to demonstrate, a task; 0: no warm start."""
    train: TrainConfig = field(default_factory=lambda: TrainConfig(objective="sft"))
    """How to train on them."""

    def __post_init__(self) -> None:
        if self.questions < 0:
            raise ConfigError(f"warm_start.questions must be 0 (no warm start) or above, found {self.questions}")
        if self.train.objective != "sft":
            raise ConfigError(f'warm_start.train.objective must be "sft", found "{self.train.objective}"')
        if self.train.tracker != "none":
            raise ConfigError("warm_start.train.tracker: set train.tracker, which the warm start follows too")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything a run does. Stages read their own part and the seed."""

    seed: int = 1
    """Every random decision is derived from it."""
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    policy_server: PolicyServerConfig = field(default_factory=PolicyServerConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    warm_start: WarmStartConfig = field(default_factory=WarmStartConfig)
    generate: GenerateConfig = field(default_factory=GenerateConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    judge_server: JudgeServerConfig = field(default_factory=JudgeServerConfig)
    filter: FilterConfig = field(default_factory=FilterConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    def __post_init__(self) -> None:
        for key, value in flat(to_table(self)).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{key} must be a finite number, found {value}")
        if self.policy_server.url and self.warm_start.questions:
            raise ConfigError(
                "a warm start trains the model on this machine, and policy_server.url names a server that would know nothing of it; "
                "set warm_start.questions = 0, or start a server with the warm-started model"
            )


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
    study: Study = _convert({"seeds": (), **table, "arms": arms}, Study, name, "study.")
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


def configure(table: Mapping[str, Any], place: str = "recipe") -> RunConfig:
    """A table of settings as a `RunConfig`.

    >>> configure({"train": {"updates": 3}}).train.updates
    3
    >>> configure({"train": {"update": 3}})
    Traceback (most recent call last):
    swirl.errors.ConfigError: recipe: unknown key train.update; did you mean train.updates?
    """
    check_keys(table, RunConfig, place)
    config: RunConfig = _convert(merge(_WARM_START, table), RunConfig, place)
    return config


def _convert(table: Mapping[str, Any], kind: Any, place: str, prefix: str = "") -> Any:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at ")
        key = path.strip("`").removeprefix("$").removeprefix(".")
        choices = _choices(kind, key)
        expected = (
            f"; expected one of {', '.join(map(repr, choices))}{nearest(_refused(problem), choices)}" if choices else ""
        )
        where = "" if not key or problem.startswith(f"{key}.") else f"{prefix}{key}: "
        raise ConfigError(f"{place}: {where}{_in_words_of_toml(problem)}{expected}") from error


def _in_words_of_toml(problem: str) -> str:
    return problem.replace("`array`", "`list`").replace("`object`", "`table`")


def _refused(problem: str) -> str:
    """The value that `Invalid enum value 'proces'` is about; empty for another problem."""
    found = re.search("'(.*)'", problem)
    return found[1] if found else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """How a complaint about an unknown name ends: with the known one that it is nearest to, if there is one.

    >>> nearest("sovler", ["rule", "solver"])
    "; did you mean 'solver'?"
    """
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def check_keys(table: Mapping[str, Any], kind: type, place: str, prefix: str = "") -> None:
    """Raise `ConfigError` for a key that the dataclass does not have, with the nearest one it has."""
    hints = get_type_hints(kind)
    for key, value in table.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"expected one of {', '.join(hints)}"
            raise ConfigError(f"{place}: unknown key {prefix}{key}; {hint}")
        if dataclasses.is_dataclass(hints[key]) and isinstance(value, Mapping):
            check_keys(value, hints[key], place, f"{prefix}{key}.")


def _choices(kind: Any, key: str) -> list[str]:
    """The closed set of values of a dotted key, empty where there is none."""
    for part in key.split("."):
        if not dataclasses.is_dataclass(kind):
            return []
        kind = get_type_hints(kind).get(part.partition("[")[0])
    return _texts(kind)


def _texts(kind: Any) -> list[str]:
    """The texts that an enum or a `Literal` allows, also where it is an element of a list or one of several choices."""
    if isinstance(kind, str):
        return [kind]
    if members := getattr(kind, "__members__", None):
        return [str(member.value) for member in members.values()]
    return [text for part in get_args(kind) for text in _texts(part)]


def merge(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The table with the changes laid over it, table by table.

    >>> merge({"train": {"updates": 3, "kl_weight": 0.1}}, {"train": {"updates": 5}})
    {'train': {'updates': 5, 'kl_weight': 0.1}}
    """
    merged = dict(table)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def to_table(config: RunConfig) -> dict[str, Any]:
    """A configuration as plain tables, ready for TOML; `configure` is its inverse."""
    table: dict[str, Any] = msgspec.to_builtins(dataclasses.asdict(config))
    return table


def differences(old: RunConfig, new: RunConfig) -> list[str]:
    """One line a setting that differs, e.g. `train.updates: 100 -> 200`."""
    before, after = flat(to_table(old)), flat(to_table(new))
    return [f"{key}: {before[key]!r} -> {after[key]!r}" for key in before if before[key] != after[key]]


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Tables in tables as dotted keys.

    >>> flat({"train": {"updates": 3}, "seed": 1})
    {'train.updates': 3, 'seed': 1}
    """
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found


def dump(table: Mapping[str, Any]) -> bytes:
    """The table as TOML."""
    text: str = tomli_w.dumps(table)
    return text.encode()
