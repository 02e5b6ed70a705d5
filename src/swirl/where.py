"""A small language of conditions on trajectories: `task=world`, `steps>=3`, `verdict=bad`, `text~"born in"`.

A condition is a field, an operator and a value; several hold together. Nothing in it is evaluated: a value is a number, a word of a closed
set, or a text to be compared with.

| fields   | operators             | hold                                                                      |
| -------- | --------------------- | ------------------------------------------------------------------------- |
| texts    | `=` `!=` `~` `!~`     | where one of the field's texts is the value (`=`) or contains it (`~`)    |
| numbers  | `=` `!=` `<` `<=` `>` `>=` | as in arithmetic                                                     |
| choices  | `=` `!=`              | where one of the field's values is the one named                          |

`!=` and `!~` hold exactly where `=` and `~` do not. Texts are compared without regard to case and white space; in a text to be contained,
`*` stands for anything. The time that takes grows with the length of the text and no faster.

Not here: where trajectories come from (`swirl.known`).
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from swirl.errors import ConfigError
from swirl.known import Known, standing
from swirl.settings import nearest
from swirl.types import Answer, Malformed, Step, StopReason, ToolCall

VERDICTS = ("good", "bad", "missing")
JUDGE = "judge:"
"""How the field of another judge's verdicts begins."""
ORDER = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
"""The operators of numbers."""
_MEANT = {
    "==": "=",
    "=>": ">=",
    "=<": "<=",
    "<>": "!=",
    "=~": "~",
    "~=": "~",
    "=!": "!=",
    "~!": "!~",
    ":": "=",
    "~": "=",
    "!~": "!=",
}
"""Operators of other languages, or of other fields -> those that were meant."""
_CONDITION = re.compile(r"\s*(judge:[^\s=!<>~]+|[\w-]+)\s*([=!<>~:]+)\s*(.*?)\s*", re.DOTALL)


class Field(NamedTuple):
    """What a condition can be on."""

    about: str
    values: Callable[[Known], Iterable[str | int]]
    """What it comes to for a trajectory: one value, or several."""
    operators: tuple[str, ...]
    choices: tuple[str, ...] = ()
    """The values it can have, where they are a closed set."""


def _text(about: str, values: Callable[[Known], Iterable[str]]) -> Field:
    return Field(about, values, ("=", "!=", "~", "!~"))


def _number(about: str, value: Callable[[Known], int]) -> Field:
    return Field(about, lambda known: (value(known),), tuple(ORDER))


def _choice(about: str, values: Callable[[Known], Iterable[str]], choices: Iterable[str]) -> Field:
    return Field(about, values, ("=", "!="), tuple(map(str, choices)))


def _of_steps(value: Callable[[Step], str | None]) -> Callable[[Known], Iterable[str]]:
    return lambda known: (text for step in known.trajectory.steps if (text := value(step)) is not None)


def _verdicts_of(judge: str) -> Field:
    about = "what the judge NAME says of the steps, e.g. judge:solver"
    return _choice(about, lambda known: map(standing, known.said(judge)), VERDICTS)


def _remarks(known: Known) -> Iterable[str]:
    return (verdict.reason for verdict in known.said(known.judge) if verdict is not None)


def _kind(step: Step) -> str:
    return {ToolCall: "call", Answer: "answer", Malformed: "malformed"}[type(step.action)]


def _yes(value: bool | None) -> tuple[str]:
    return ("unknown" if value is None else "yes" if value else "no",)


_YES = ("yes", "no", "unknown")
FIELDS: Mapping[str, Field] = {
    "id": _text("the trajectory's id", lambda known: (known.trajectory.id,)),
    "file": _text("name of the file it stands in", lambda known: (known.file,)),
    "task": _text("name of the question's task", lambda known: (known.trajectory.question.task,)),
    "question": _text("the question", lambda known: (known.trajectory.question.text,)),
    "gold": _text("an accepted answer", lambda known: known.trajectory.question.answers),
    "answer": _text("the final answer", lambda known: filter(None, (known.trajectory.answer,))),
    "policy": _text("name of the policy that wrote it", lambda known: (known.trajectory.policy,)),
    "text": _text("what a step says, thought and tag", _of_steps(lambda step: step.text)),
    "thinking": _text("reasoning that a thinking model keeps apart", _of_steps(lambda step: step.thinking or None)),
    "call": _text(
        "what a tool is asked", _of_steps(lambda s: s.action.arguments if isinstance(s.action, ToolCall) else None)
    ),
    "tool": _text(
        "name of a tool that is asked", _of_steps(lambda s: s.action.tool if isinstance(s.action, ToolCall) else None)
    ),
    "observation": _text("what a tool gave back", _of_steps(lambda s: s.observation.text if s.observation else None)),
    "remark": _text("the reason of a verdict of the run's judge", _remarks),
    "reason": _text("why the filter kept or dropped it", lambda known: filter(None, (known.reason,))),
    "sample": _number("which of the question's samples it is, from 0", lambda known: known.trajectory.sample),
    "steps": _number("how many steps it has", lambda known: len(known.trajectory.steps)),
    "calls": _number("how many calls and malformed actions", lambda known: known.trajectory.num_calls),
    "errors": _number(
        "how many calls a tool could not use",
        lambda known: sum(bool(step.observation and step.observation.refused) for step in known.trajectory.steps),
    ),
    "tokens": _number("how many tokens its policy wrote, as far as they are told", lambda k: k.trajectory.num_tokens),
    "stop": _choice(
        "how it ended", lambda known: (known.trajectory.stop or "unfinished",), (*StopReason, "unfinished")
    ),
    "action": _choice("what kind of action a step takes", _of_steps(_kind), ("call", "answer", "malformed")),
    "verdict": _choice(
        "what the run's judge says of a step", lambda known: map(standing, known.said(known.judge)), VERDICTS
    ),
    "kept": _choice("whether the filter keeps it", lambda known: _yes(known.kept), _YES),
    "correct": _choice("whether its answer is right", lambda known: _yes(known.correct), _YES),
}
"""Every field but those of other judges, `judge:NAME`."""


@dataclass(frozen=True)
class Condition:
    """One of them."""

    field: Field
    operator: str
    value: str | int

    def __call__(self, known: Known) -> bool:
        """Whether it holds for a trajectory."""
        values = self.field.values(known)
        if self.operator in ("~", "!~"):
            return any(contains(str(value), str(self.value)) for value in values) is (self.operator == "~")
        if isinstance(self.value, int):
            return all(ORDER[self.operator](value, self.value) for value in values)
        return any(_plain(str(value)) == self.value for value in values) is (self.operator == "=")


@dataclass(frozen=True)
class Where:
    """Conditions that hold together."""

    conditions: Sequence[Condition]

    def __call__(self, known: Known) -> bool:
        """Whether all hold for a trajectory."""
        return all(condition(known) for condition in self.conditions)


def parse(expressions: Sequence[str], judges: Sequence[str] = ()) -> Where:
    """Conditions as they are written; `judges` are those whose verdicts there are. Raises `ConfigError` with the nearest right one.

    >>> from swirl.types import Question, Rules, Trajectory
    >>> world = Known(trajectory=Trajectory(id="q/0", question=Question(id="q", task="world", text="Who?"), rules=Rules()))
    >>> parse(["task=world", "steps<3", 'question~"who"'])(world)
    True
    >>> parse(["taks=world"])
    Traceback (most recent call last):
    swirl.errors.ConfigError: --where 'taks=world': no field 'taks'; did you mean 'task'?
    """
    return Where([_condition(expression, judges) for expression in expressions])


def _condition(expression: str, judges: Sequence[str]) -> Condition:
    place = f"--where {expression!r}"
    found = _CONDITION.fullmatch(expression)
    if found is None:
        quote = " in quotes, because the shell reads < and > itself" if expression.strip() in FIELDS else ""
        raise ConfigError(f"{place}: expected FIELD OPERATOR VALUE, e.g. 'steps>=3'{quote}")
    name, sign, value = found.groups()
    field = _field(name, judges, place)
    if sign not in field.operators:
        meant = _MEANT.get(sign, "")
        hint = f"; did you mean {meant!r}?" if meant in field.operators else ""
        raise ConfigError(f"{place}: {name} is compared by {' '.join(field.operators)}, found {sign!r}{hint}")
    return Condition(field, sign, _value(field, name, _unquoted(value), place))


def _field(name: str, judges: Sequence[str], place: str) -> Field:
    if name.startswith(JUDGE):
        judge = name.removeprefix(JUDGE)
        if judge not in judges:
            there = f"there are verdicts of {', '.join(judges)}" if judges else "nobody has judged here yet"
            raise ConfigError(f"{place}: no verdicts of {judge!r}; {there}{nearest(judge, judges)}")
        return _verdicts_of(judge)
    if name not in FIELDS:
        hint = nearest(name, FIELDS) or f"; expected one of {', '.join(FIELDS)}, {JUDGE}NAME"
        raise ConfigError(f"{place}: no field {name!r}{hint}")
    return FIELDS[name]


def _value(field: Field, name: str, value: str, place: str) -> str | int:
    if not value.strip():
        raise ConfigError(f"{place}: expected a value after the operator, found nothing")
    if "<" in field.operators:
        if not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise ConfigError(f"{place}: {name} is a whole number, found {value!r}")
        return int(value)
    if field.choices and value.casefold() not in field.choices:
        hint = nearest(value, field.choices)
        raise ConfigError(f"{place}: {name} is one of {', '.join(field.choices)}, found {value!r}{hint}")
    return _plain(value)


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def contains(text: str, wanted: str) -> bool:
    """Whether a text contains another, case and white space aside; `*` stands for anything, nothing included.

    >>> contains("Ada Quill was  born in 1843.", "ada * born in"), contains("Ada Quill", "quill * ada")
    (True, False)
    """
    hay, place = _plain(text), 0
    for part in map(str.strip, _plain(wanted).split("*")):
        found = hay.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return True
