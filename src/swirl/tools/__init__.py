"""What an action can do: a `Tool` runs calls in batches, a `Toolbox` hands each call to its tool."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from msgspec import Struct

from swirl.protocol import TAGS
from swirl.types import Observation, ToolCall


class ToolInput(Struct, frozen=True):
    """One call as a tool sees it. It never holds the gold answer."""

    arguments: str
    scope: tuple[str, ...] = ()
    """Ids of the passages a search may look at; empty: all."""


@runtime_checkable
class Tool(Protocol):
    """Something an action can call; its `name` has a tag in `swirl.protocol.TAGS`."""

    name: str
    description: str

    def run(self, calls: Sequence[ToolInput]) -> list[Observation]:
        """One observation a call. Misuse gives an observation with `refused=True` that tells the model what was wrong; a broken service
        raises `ToolFailure`. Where the policy is behind a server, several threads may be in here at once."""
        ...


class Toolbox:
    """The tools on offer, by name.

    >>> from swirl.tools.calculator import Calculator
    >>> [six, refusal] = Toolbox([Calculator()]).run([(ToolCall("calculator", "2 * 3"), ()), (ToolCall("search", "Ada"), ())])
    >>> six.text, refusal.text
    ('6', 'Error: <search_query> is not on offer here; use <math_exp>')
    """

    def __init__(self, tools: Iterable[Tool]) -> None:
        self.tools: Mapping[str, Tool] = MappingProxyType({tool.name: tool for tool in tools})

    def run(self, calls: Sequence[tuple[ToolCall, tuple[str, ...]]]) -> list[Observation]:
        """Observations of (call, scope) pairs, in order; each tool is run once, on all of its calls."""
        observations = [self._refusal(call) for call, _ in calls]
        for name, tool in self.tools.items():
            mine = [i for i, (call, _) in enumerate(calls) if call.tool == name]
            if mine:
                results = tool.run([ToolInput(calls[i][0].arguments, calls[i][1]) for i in mine])
                for i, result in zip(mine, results, strict=True):
                    observations[i] = result
        return observations

    def _refusal(self, call: ToolCall) -> Observation:
        offered = " or ".join(f"<{TAGS[name]}>" for name in self.tools) or "no tool"
        return Observation(
            f"Error: <{TAGS.get(call.tool, call.tool)}> is not on offer here; use {offered}", refused=True
        )
