"""What `-T` sets of a task in Inspect: `-T questions=100 -T search.top_k=3`. Not here: how the model samples, which Inspect is told
(`--temperature`, `--max-tokens`)."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import msgspec

from swirl.catalog import open_task, open_toolbox
from swirl.errors import ConfigError
from swirl.policies import PolicyConfig
from swirl.retrieval import SearchConfig
from swirl.settings import check_keys, convert, merge
from swirl.tasks import Split, Task
from swirl.tools import Toolbox
from swirl.types import OnMalformed, PromptStyle, Rules

ToolCalls = Literal["tags", "native"]

_PLACE = "-T"
_NOT_HERE = "a model elsewhere"
"""Names a policy of which no file is on this machine."""


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """A task in Inspect."""

    location: str = ""
    """What stands behind the colon in a recipe: a file, a folder or a hub id; empty: where the task looks by itself."""
    questions: int = 300
    """Most questions; Inspect's `--limit` takes fewer of them."""
    split: Split = "test"
    """test or train."""
    draw: int = 0
    """Which draw of questions, as evaluate.draw; another number, other questions."""
    prompt: PromptStyle = PromptStyle.TERSE
    """terse, reasoned or bare, as generate.prompt."""
    max_calls: int = 0
    """Most tool calls a question; 0: the task's own cap."""
    malformed: OnMalformed = OnMalformed.STOP
    """What a malformed action does: stop or observe."""
    tools: ToolCalls = "tags"
    """tags (calls are written into the text) or native (the model's own tool calls)."""
    stop: bool = True
    """Whether stop strings are sent to providers that leave them in the text (hf, vllm, sglang); text after a closing tag is cut anyway."""
    tokenizer: str = ""
    """The model, a folder or a hub id, whose tokens search.max_tokens counts; empty: one token is estimated for four characters."""
    search: SearchConfig = field(default_factory=SearchConfig)

    def __post_init__(self) -> None:
        if self.questions < 1 or min(self.draw, self.max_calls) < 0:
            raise ConfigError(
                f"{_PLACE}: questions must be at least 1, draw and max_calls 0 or above, found {self.questions}, {self.draw} and "
                f"{self.max_calls}"
            )

    def rules(self, task: Task) -> Rules:
        """What a trajectory of the task is allowed.

        >>> from swirl.catalog import open_task
        >>> TaskConfig(max_calls=3).rules(open_task("arithmetic"))
        Rules(prompt=<PromptStyle.TERSE: 'terse'>, tools=('calculator',), max_calls=3, malformed=<OnMalformed.STOP: 'stop'>, \
keep_thinking=False, native_calls=False)
        """
        return Rules(
            prompt=self.prompt,
            tools=task.tools,
            max_calls=self.max_calls or task.max_calls,
            malformed=self.malformed,
            native_calls=self.tools == "native",
        )

    @property
    def for_solver(self) -> dict[str, Any]:
        """What the solver is told, in plain values, which Inspect writes into its log."""
        return {
            "stop": self.stop,
            "tokenizer": self.tokenizer,
            "search": msgspec.to_builtins(dataclasses.asdict(self.search)),
        }


def configure(settings: Mapping[str, Any]) -> TaskConfig:
    """The values of `-T`, dots for tables, as a configuration.

    >>> configure({"questions": 100, "search.top_k": 3}).search.top_k
    3
    >>> configure({"question": 100})
    Traceback (most recent call last):
    swirl.errors.ConfigError: -T: unknown key question; did you mean questions?
    """
    table: dict[str, Any] = {}
    for key, value in settings.items():
        for part in reversed(key.split(".")):
            value = {part: value}
        table = merge(table, value)
    check_keys(table, TaskConfig, _PLACE)
    config: TaskConfig = convert(table, TaskConfig, _PLACE)
    return config


def as_table(config: TaskConfig) -> dict[str, Any]:
    """A configuration as plain tables, for the log."""
    table: dict[str, Any] = msgspec.to_builtins(dataclasses.asdict(config))
    return table


@cache
def opened(spec: str) -> Task:
    """The task a recipe would name so, opened once: its questions, its corpus and its grades belong together."""
    return open_task(spec)


def toolbox(spec: str, tokenizer: str, search: Mapping[str, Any]) -> Toolbox:
    """The tools of a task, for a model that Inspect asks."""
    config = convert(search, SearchConfig, _PLACE, "search.")
    return open_toolbox(opened(spec), config, PolicyConfig(model=tokenizer or _NOT_HERE), served=not tokenizer)
