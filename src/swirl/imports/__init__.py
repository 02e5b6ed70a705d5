"""Traces of other tools, read into trajectories: a file a format, each of which finds traces and hands on their messages.

What cannot be mapped is a value (`Unmapped`) that says where, what was found and why, never a guess: a trace is mapped whole or not at all.

Not here: which run folder they go to, and how their questions are named there (`swirl.stages.importing`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from swirl.types import PromptStyle

AnswerForm = Literal["tag", "message", "boxed", "line"]


class Unmapped(Struct, frozen=True, kw_only=True, tag="swirl.unmapped/1", tag_field="schema"):
    """What could not be mapped, as `import.jsonl` lists it."""

    place: str
    """File, and line or sample."""
    found: str
    why: str


class Imported(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="swirl.imported/1", tag_field="schema"):
    """Where a trajectory came from, as `import.jsonl` lists it."""

    place: str
    """File, and line or sample."""
    trajectory: str
    """Its id here."""
    told: dict[str, Any] = {}
    """What the other tool says of it: rewards, scores, how it ended."""


class CannotMap(Exception):
    """A trace is not one of ours: raised where that is found, caught where its place is known."""

    def __init__(self, found: object, why: str) -> None:
        super().__init__(why)
        self.found = _whole(found if isinstance(found, str) else repr(found))
        self.why = _whole(why)

    def at(self, place: str) -> Unmapped:
        """The same as a value."""
        return Unmapped(place=place, found=self.found[:200], why=self.why)


def _whole(text: str) -> str:
    """With half a character, which JSON inside JSON may hold and no file can, told by its number."""
    return text.encode(errors="backslashreplace").decode()


class Trace(NamedTuple):
    """A trace of another tool, its messages as OpenAI's chat completions write them, or nearly so."""

    place: str
    messages: Sequence[Any]
    name: str = ""
    """What its question is called there; empty where it has no name."""
    answers: tuple[str, ...] = ()
    """Accepted answers to its question."""
    policy: str = ""
    """The model that wrote it."""
    offered: Sequence[Any] | None = None
    """The tools that were on offer, where that is told."""
    told: Mapping[str, Any] = {}
    """As in `Imported`."""
    restored: str = ""
    """The column `swirl` of our own export."""
    record: Mapping[str, Any] | None = None
    """The whole trajectory as a record of ours, where the trace has one."""


class Target(NamedTuple):
    """What a tool of another program is here."""

    tool: str
    """One of our tools, or `answer`."""
    argument: str = ""
    """Which of its arguments counts; empty: ours of that name, or its only one."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How traces are to be read."""

    tools: Mapping[str, Target] = field(default_factory=dict)
    """Name of a tool there -> what it is here."""
    answer: AnswerForm = "tag"
    """How the last message gives the answer."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """What is read -> the field it stands in, where that has another name."""
    offered: tuple[str, ...] = ()
    """Our tools that were on offer; empty: as the trace tells, or those that it calls."""
    prompt: PromptStyle = PromptStyle.TERSE
    max_calls: int = 10
    """Most tool calls a trajectory may have."""
    keep_thinking: bool = False

    def field(self, name: str) -> str:
        """Where something stands in a row.

        >>> Reading(fields={"text": "output"}).field("text")
        'output'
        """
        return self.fields.get(name, name)


class Source:
    """A file that is read, and how far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self.done = 0
        """Bytes of it that were read."""


class Format(NamedTuple):
    """One format."""

    name: str
    """As in `--from NAME`."""
    about: str
    """What it is, in one line of help."""
    read: Callable[[Source, Reading], Iterator[Trace | Unmapped]]
    """The traces of a file, one at a time; raises `RecordError` where it is no such file."""
    fields: tuple[str, ...] = ()
    """What it reads of a row that may stand in a field of another name."""
