"""The configuration of a run: one frozen dataclass a stage, from plain tables and back.

Unknown keys and wrong types are refused with the nearest valid key: a misspelt setting that is silently ignored costs a night of training.
"""

import dataclasses
import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import tomli_w

from swirl import rounds
from swirl.errors import ConfigError
from swirl.evaluate import EvaluateConfig
from swirl.filters import FilterConfig
from swirl.generation import GenerateConfig
from swirl.judges import JudgeConfig, JudgeServerConfig
from swirl.policies import PolicyConfig, PolicyServerConfig
from swirl.retrieval import SearchConfig
from swirl.train import TrainConfig

QUESTIONS = "questions.jsonl"
"""The questions of a run folder whose trajectories were imported."""
_WARM_START = {"warm_start": {"train": {"objective": "sft"}}}
"""What a recipe need not say."""


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
    rounds: int = 1
    """How often to generate, judge, filter, train and evaluate, each time with what the last time has trained (the paper: once)."""
    round: int = 1
    """Which of them a run folder is: `swirl run` sets it in rounds/2 and after. What is sampled for training depends on it."""
    workers: int = 0
    """Processes for work that takes the processor alone, a shard each; 0: one a core, at most 8. No result depends on it."""
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
        if self.workers < 0:
            raise ConfigError(f"workers must be 0 (one a core) or above, found {self.workers}")
        for name in ("rounds", "round"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, found {getattr(self, name)}")
        for key, value in flat(to_table(self)).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{key} must be a finite number, found {value}")


def configure(table: Mapping[str, Any], place: str = "recipe") -> RunConfig:
    """A table of settings as a `RunConfig`.

    >>> configure({"train": {"updates": 3}}).train.updates
    3
    >>> configure({"train": {"update": 3}})
    Traceback (most recent call last):
    swirl.errors.ConfigError: recipe: unknown key train.update; did you mean train.updates?
    """
    check_keys(table, RunConfig, place)
    config: RunConfig = convert(merge(_WARM_START, table), RunConfig, place)
    return config


def at_home(config: RunConfig, folder: Path) -> RunConfig:
    """A run's configuration, its own questions (`swirl import`), and the model that a round starts from, being where its folder is now,
    which may have been moved."""
    if config.round > 1:
        config = replace(config, policy=replace(config.policy, model=str(rounds.start(folder, config.round))))
    name, _, file = config.generate.tasks[0].partition(":")
    own = rounds.home(folder, config.round) / QUESTIONS
    if name != "jsonl" or Path(file).name != QUESTIONS or not own.is_file():
        return config
    return replace(config, generate=replace(config.generate, tasks=(f"jsonl:{own}",)))


def one_shard(config: RunConfig) -> RunConfig:
    """The configuration of a run from before there were shards, whose trajectories are in one file, however many they are."""
    generate = config.generate
    most = len(generate.tasks) * generate.questions * generate.samples
    return replace(config, generate=replace(generate, shard=max(generate.shard, most)))


def convert(table: Mapping[str, Any], kind: Any, place: str, prefix: str = "") -> Any:
    """A table as a dataclass; raises `ConfigError` naming the key that does not fit."""
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
