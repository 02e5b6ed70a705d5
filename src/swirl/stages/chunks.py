"""What a stage has to write to a file of records: whether it is all there, and where to go on if not.

The run's configuration says what has to be there, record by record. What is made on this machine is committed in whole chunks, and made
again from the first chunk on that is not whole (`resume`). What is asked of a service is committed as it comes, in any order, and nothing
of it is made twice (`resume_any`); once all is there it is put in order (`in_order`). What was asked something else is refused, because it
may have cost a night and somebody may want it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from swirl.errors import ConfigError, RunFolderError
from swirl.records import Appender, num_lines, read, reorder
from swirl.terminal import say
from swirl.types import Question

T = TypeVar("T", bound=msgspec.Struct)


def _never(record: Any) -> bool:
    return False


class Item(NamedTuple):
    """What a record is about: its name, which no other of the file has, and what was asked."""

    name: str
    question: str = ""
    """Id of the question; empty where the name says all there is to say."""
    task: str = ""
    text: str = ""
    answers: tuple[str, ...] = ()

    @classmethod
    def about(cls, name: str, question: Question) -> "Item":
        """An item that is about a question.

        >>> Item.about("q/0", Question(id="q", task="t", text="What is 2 + 3?", answers=("5",))).text
        'What is 2 + 3?'
        """
        return cls(name, question.id, question.task, question.text, question.answers)

    def difference(self, now: "Item") -> str:
        """The first field in which what was asked differs from what is asked now; empty where none does.

        >>> Item("q/0", "q", "t", "What is 2 + 3?").difference(Item("q/0", "q", "t", "What is 2 + 4?"))
        'text'
        """
        fields = zip(self._fields, self, now, strict=True)
        return next((field for field, mine, its in fields if mine != its), "")


@dataclass(frozen=True)
class Plan(Generic[T]):
    """What has to be in a file of records, in this order."""

    stage: str
    """Which stage writes it."""
    run: Path
    """The run folder."""
    path: Path
    kind: type[T]
    item: Callable[[T], Item]
    """What a record is about."""
    chunks: Sequence[Sequence[Item]]
    unit: str
    """What the records are called, e.g. `trajectories`."""
    passing: Callable[[T], bool] = _never
    """Whether a record says of itself that it may be made again: then a later one of the same name takes its place."""

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for item in self.items:
            if item.name in seen:
                raise same_id(item.task or str(self.path), item.question)
            seen.add(item.name)

    @property
    def items(self) -> list[Item]:
        """All of them."""
        return [item for chunk in self.chunks for item in chunk]

    @property
    def command(self) -> str:
        """The command that writes the file."""
        return f"swirl {self.stage} {self.run}"

    def num_done(self) -> int:
        """How many records stand in whole chunks; 0 where there is no file yet."""
        return _whole(self, _found(self, read(self.path, self.kind)))[1] if self.path.exists() else 0


def same_id(where: str, question: str) -> ConfigError:
    """The error where two questions have one id, which what is made of them is filed under."""
    return ConfigError(
        f"{where}: expected questions with ids of their own, found two with the id {question!r}; rename one of them"
    )


def resume(out: "Appender[T]", plan: Plan[T]) -> int:
    """The first chunk that is not there whole; what is there of it, and all that follows, is dropped with a remark."""
    _tell_torn(out)
    found = _found(plan, read(plan.path, plan.kind))
    chunk, done = _whole(plan, found)
    surplus = len(found) - done
    if surplus and chunk == len(plan.chunks):
        raise RunFolderError(
            f"expected {done} {plan.unit} in {plan.path}, found {len(found)}: run `{plan.command} --redo`"
        )
    if surplus:
        rest = f"{surplus} of {len(found)} {plan.unit}, from the first chunk on that is not whole"
        say(f"{out.path.name}: dropped {rest}; they are made again")
        out.rewind(done)
    return chunk


def resume_any(out: "Appender[T]", plan: Plan[T]) -> set[str]:
    """The names of what is there, in whatever order; nothing is dropped. Raises where something is there twice."""
    _tell_torn(out)
    return {item.name for item, _ in latest(plan)}


def in_order(plan: Plan[T]) -> bool:
    """Put the records of a file into the plan's order, without those whose place was taken, whole or not at all, once all of them are
    there; whether they are. To be called by whoever holds its `Appender`, and appends nothing after that."""
    lines = {item.name: line for line, (item, _) in enumerate(latest(plan))}
    if len(lines) < len(plan.items):
        return False
    reorder(plan.path, [lines[item.name] for item in plan.items])
    return True


def _tell_torn(out: "Appender[T]") -> None:
    if out.torn_bytes:
        say(f"{out.path.name}: {out.torn_bytes} bytes of an unfinished line were cut off")


def finished(plan: Plan[T]) -> Iterator[T]:
    """The records of a file that has to be there whole, one by one, for the stages that read it. One that takes the place of another comes
    after it. Raises before the first where there are too few, so that nothing is built on what is unfinished."""
    require_whole(plan)
    names: set[str] = set()
    for item, record in latest(plan):
        names.add(item.name)
        yield record
    _require(plan, len(names))


def require_whole(plan: Plan[T]) -> None:
    """Raise where a file has fewer records than it has to; nothing of it is decoded."""
    _require(plan, num_lines(plan.path))


def _require(plan: Plan[T], found: int) -> None:
    if found < len(plan.items):
        raise RunFolderError(
            f"`{plan.stage}` is unfinished ({found} of {len(plan.items)} {plan.unit}{_place(plan)}): run `{plan.command}` first"
        )


def _place(plan: Plan[T]) -> str:
    """In which shard, where it is not the first."""
    return f" in {plan.path.name}" if re.search(r"-\d{5}\.", plan.path.name) else ""


def latest(plan: Plan[T]) -> Iterator[tuple[Item, T]]:
    """The records in the file, in its order, and what each is about; one that takes the place of another comes after it. Raises where
    two of one name stand there otherwise."""
    lines: dict[str, int] = {}
    passing: set[str] = set()
    for line, (item, record) in enumerate(_checked(plan, read(plan.path, plan.kind)), start=1):
        if item.name in lines and item.name not in passing:
            raise RunFolderError(
                f"{plan.path}:{line}: {item.name} stands in line {lines[item.name]} already; delete one of the two, "
                f"or run `{plan.command} --redo`"
            )
        lines[item.name] = line
        (passing.add if plan.passing(record) else passing.discard)(item.name)
        yield item, record


def _found(plan: Plan[T], records: Iterable[T]) -> list[Item]:
    return [item for item, _ in _checked(plan, records)]


def _checked(plan: Plan[T], records: Iterable[T]) -> Iterator[tuple[Item, T]]:
    """The records, and what each is about; raises where one is about something else than the plan."""
    expected = {item.name: item for item in plan.items}
    for line, record in enumerate(records, start=1):
        item = plan.item(record)
        if item.name not in expected:
            other = f"{item.name} is none of the {len(expected)} {plan.unit} that belong here now"
        elif field := item.difference(expected[item.name]):
            other = f"{item.name} was asked another question than its task gives now (question {item.question!r} differs in its {field})"
        else:
            yield item, record
            continue
        raise RunFolderError(f"{plan.path}:{line}: {other}; restore what it was asked, or run `{plan.command} --redo`")


def _whole(plan: Plan[T], found: Sequence[Item]) -> tuple[int, int]:
    """How many chunks are there whole from the first on, and how many records that is. Once all are there, their order is free: another
    program may have written them."""
    if len(found) == len(plan.items) and set(found) == set(plan.items):
        return len(plan.chunks), len(found)
    done = 0
    for number, chunk in enumerate(plan.chunks):
        if list(found[done : done + len(chunk)]) != list(chunk):
            return number, done
        done += len(chunk)
    return len(plan.chunks), done
