"""Every task as a task of Inspect (the package inspect_ai, extra `inspect`): `inspect eval swirl/arithmetic --model hf/MODEL`.

Inspect asks the model, keeps the log and shows it (`inspect view`); the prompt, the grammar, the tools, the caps and the grades are ours,
so that equal replies make equal trajectories. `-T` sets what `TaskConfig` has. A finished sample's metadata holds the trajectory as a
record under `swirl`.

Inspect loads this module by its entry point, and finds the tasks, the solver and the scorer registered.
"""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from inspect_ai import Task, task
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from msgspec import to_builtins
from rich.markup import escape

from swirl.catalog import TASKS
from swirl.errors import ConfigError, SwirlError
from swirl.inspect_tasks.config import TaskConfig as TaskConfig
from swirl.inspect_tasks.config import as_table, configure, opened
from swirl.inspect_tasks.scorer import graded as graded
from swirl.inspect_tasks.solver import KEY
from swirl.inspect_tasks.solver import steps as steps
from swirl.policies import Sampling
from swirl.protocol import render
from swirl.rollout import begin
from swirl.types import Question, Rules

_PREFIX = "" if {"site-packages", "dist-packages"} & set(Path(__file__).parts) else "swirl/"
"""Inspect itself puts the package's name before names of what is in site-packages, and not before those of an editable install."""


def build(name: str, settings: dict[str, Any]) -> Task:
    """The task of a name in `swirl.catalog.TASKS`, as Inspect's; `settings` are those of `-T`.

    Raises `ConfigError` for a setting that cannot be, as the tasks and tools themselves do.
    """
    config = configure(settings)
    spec = f"{name}:{config.location}" if config.location else name
    source = opened(spec)
    rules = config.rules(source)
    questions = list(islice(source.questions(config.split, config.draw), config.questions))
    if not questions:
        raise ConfigError(f"task {name!r} has no questions in its split {config.split!r}; choose the other: -T split=")
    return Task(
        dataset=MemoryDataset([_sample(question, rules) for question in questions], name=name),
        solver=steps(spec, **config.for_solver),
        scorer=graded(spec),
        config=GenerateConfig(max_tokens=Sampling().max_tokens),
        metadata={KEY: as_table(config)},
    )


def _sample(question: Question, rules: Rules) -> Sample:
    first = begin(question, rules)
    return Sample(
        input=render(first).messages[0].text,
        target=list(question.answers),
        id=question.id,
        metadata={KEY: to_builtins(first)},
    )


def _registered(name: str) -> Callable[..., Task]:
    def make(**settings: Any) -> Task:
        try:
            return build(name, settings)
        except SwirlError as error:
            raise PrerequisiteError(f"error: {escape(str(error))}") from error

    make.__name__ = name
    make.__doc__ = f"The task `{name}`, with swirl's protocol, tools and grades. Settings are those of `TaskConfig`."
    made: Callable[..., Task] = task(name=_PREFIX + name)(make)
    return made


INSPECT_TASKS = {name: _registered(name) for name in TASKS}
"""Name -> what Inspect has registered as `swirl/NAME`."""
