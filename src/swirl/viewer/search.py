"""What the viewer's table can be asked, as its address tells it, and the same as a condition in SQL: every value is bound, none is pasted.

Not here: what the answer is read from (`swirl.viewer.index`).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from msgspec import Struct

from swirl.errors import ConfigError
from swirl.filters import Rule
from swirl.types import StopReason

TRAJECTORIES, EVALUATION = "trajectories", "evaluation"
"""What of a run is looked at, where it is not the name of one file of its evaluation."""
_YES = {"yes": "= 1", "no": "= 0", "unknown": "IS NULL"}
CHOICES: Mapping[str, Mapping[str, str]] = {
    "stop": dict.fromkeys((*map(str, StopReason), "unfinished"), "stop = ?"),
    "verdict": {name: f"{name} > 0" for name in ("good", "bad", "missing")},
    "kept": {name: f"kept {sign}" for name, sign in _YES.items()},
    "correct": {name: f"correct {sign}" for name, sign in _YES.items()},
    "rule": {
        Rule.NONE.value: "checked",
        Rule.PROCESS.value: "checked AND process",
        Rule.OUTCOME.value: "checked AND outcome",
        Rule.BOTH.value: "checked AND process AND outcome",
        Rule.EITHER.value: "checked AND (process OR outcome)",
    },
}
"""Filter -> the values that it can have -> where they hold."""
SORTS = {
    "file": "place",
    "steps": "steps",
    "calls": "calls",
    "errors": "errors",
    "tokens": "tokens",
    "length": "characters",
    "good": "good",
    "bad": "bad",
    "missing": "missing",
    "sample": "sample",
}
"""What the table can be sorted by; among equal ones the order is that of the files."""
MOST_ON_A_PAGE = 500
_MOST_WORDS, _LONGEST = 20, 500
_STEPS = re.compile(r"\s*(>=|<=|>|<|=)?\s*(\d{1,6})\s*|\s*(\d{1,6})\s*-\s*(\d{1,6})\s*")
_ASKED = re.compile(r'"([^"]*)"|([^\s"]+)')
_MATCHING = (
    "(row IN (SELECT rowid FROM texts WHERE texts MATCH ?) OR evaluated = 0 AND n IN "
    "(SELECT n FROM verdicts WHERE doc IN (SELECT rowid FROM reasons WHERE reasons MATCH ?)))"
)


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is looked for; an empty filter lets all pass."""

    q: str = ""
    """Words and "phrases" that all have to be there, in the question, an action, its thinking, an observation, a verdict's reason or the
    id. Case and accents do not matter; a word of two letters or more may also be how one begins."""
    of: str = TRAJECTORIES
    """trajectories, evaluation, or the name of a file of the evaluation."""
    task: str = ""
    stop: str = ""
    verdict: str = ""
    """good, bad or missing: what some step was judged."""
    steps: str = ""
    """How many: 3, >=3, <3 or 2-4."""
    kept: str = ""
    rule: str = ""
    """A filter's rule that it passes, beside the run's other settings of the filter that need no other trajectory."""
    correct: str = ""
    tool: str = ""
    sort: str = "file"
    """One of `SORTS`; with - before it, the most first."""
    page: int = 1
    size: int = 50

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) and value not in choices:
                raise ConfigError(
                    f"{name}: expected one of {', '.join(choices)}, found {_cut(value)}; pick one of them"
                )
        if self.sort.removeprefix("-") not in SORTS:
            raise ConfigError(
                f"sort: expected one of {', '.join(SORTS)}, with - before it for the most first, found {_cut(self.sort)}; pick one of them"
            )
        if self.steps and _STEPS.fullmatch(self.steps) is None:
            raise ConfigError(
                f"steps: expected a number or a range, e.g. 3, >=3 or 2-4, found {_cut(self.steps)}; write it like these"
            )
        if len(self.q) > _LONGEST or len(asked(self.q)) > _MOST_WORDS:
            raise ConfigError(
                f"q: expected at most {_MOST_WORDS} words and {_LONGEST} characters to search for, found more; search for fewer"
            )
        for name, most in (("page", 10**9), ("size", MOST_ON_A_PAGE)):
            if not 1 <= (number := getattr(self, name)) <= most:
                raise ConfigError(f"{name}: expected a number from 1 to {most}, found {number}; change it")

    @classmethod
    def read(cls, address: Mapping[str, str]) -> "Query":
        """The query in the parameters of an address; those that are not its own are others' business. Raises `ConfigError` where one is
        nonsense.

        >>> Query.read({"steps": ">=3", "sort": "-bad", "page": "2", "format": "json"})
        ... # doctest: +ELLIPSIS
        Query(q='', of='trajectories', task='', ... steps='>=3', ... sort='-bad', page=2, size=50)
        """
        values: dict[str, Any] = {
            name: text for name in _NAMES if (text := harmless(address.get(name, "")).strip()) != ""
        }
        for name in ("page", "size"):
            if name in values:
                values[name] = _number(name, values[name])
        return cls(**values)

    def address(self, **changes: Any) -> dict[str, str]:
        """The parameters that say this query, with some changed; what is as always is left out.

        >>> Query(task="world", page=3).address(page=1, sort="-steps")
        {'task': 'world', 'sort': '-steps'}
        """
        changed = replace(self, **changes)
        return {
            each.name: str(value) for each in fields(self) if (value := getattr(changed, each.name)) != each.default
        }


_NAMES = tuple(each.name for each in fields(Query))


class Row(Struct, frozen=True, kw_only=True):
    """A trajectory as the table tells it."""

    id: str
    of: str
    """trajectories, or the file of the evaluation that it stands in."""
    task: str
    question: str
    """Its beginning."""
    answer: str | None
    """Its beginning; None where there is none."""
    gold: str
    stop: str
    steps: int
    calls: int
    errors: int
    """Calls that a tool could not use."""
    tokens: int
    good: int
    bad: int
    missing: int
    """Steps, by what the run's judge says of them; of an evaluation its labels."""
    kept: bool | None
    reason: str
    correct: bool | None
    sample: int


class Found(Struct, frozen=True):
    """A page of what was found."""

    rows: list[Row]
    total: int
    page: int
    """The last one, where a later one was asked for."""
    pages: int
    """At least 1."""


class Asked(NamedTuple):
    """A word or phrase to search for, in FTS5's grammar."""

    match: str

    @classmethod
    def of(cls, text: str, *, phrase: bool) -> "Asked | None":
        """What is searched for a word or phrase, None where there is no letter or digit in it. Signs, which the grammar would read, are
        inside quotes and separate words there.

        >>> Asked.of('NEAR(a* OR', phrase=False), Asked.of("***", phrase=True)
        (Asked(match='"NEAR(a* OR" *'), None)
        """
        runs = "".join(sign if _is_of_word(sign) else " " for sign in text).split()
        if not runs:
            return None
        beginning = " *" if not phrase and len(runs[-1]) > 1 else ""
        return cls(f'"{text}"{beginning}')


def _is_of_word(sign: str) -> bool:
    return sign.isalnum() or "\ue000" <= sign <= "\uf8ff"


def asked(q: str) -> list[Asked]:
    """The words and phrases of a search.

    >>> [each.match for each in asked('born "in the  east" + a')]
    ['"born" *', '"in the  east"', '"a"']
    """
    text = harmless(q).replace("\0", " ")  # at which FTS5 would take it to end
    found = (Asked.of(each[1] or each[2] or "", phrase=each[2] is None) for each in _ASKED.finditer(text))
    return [each for each in found if each is not None]


Condition = tuple[str, list[str | int]]
"""SQL on a row of `entries`, and what is bound to its marks."""


def condition(query: Query) -> Condition:
    """Where a row of `entries` is looked for.

    >>> condition(Query(task="world", steps="2-4"))
    ('evaluated = 0 AND task = ? AND steps BETWEEN ? AND ?', ['world', 2, 4])
    """
    parts = [each for filtering in _FILTERS for each in filtering(query)]
    return " AND ".join(sql for sql, _ in parts), [value for _, values in parts for value in values]


def order(query: Query) -> str:
    """The order of rows, which is never a matter of chance."""
    column = SORTS[query.sort.removeprefix("-")]
    return f"{column} {'DESC' if query.sort.startswith('-') else 'ASC'}, place, row"


def looked_at(of: str) -> Condition:
    """Where a row of `entries` is of what is looked at.

    >>> looked_at("after-world-greedy.jsonl")
    ('evaluated = 1 AND file IN (SELECT file FROM files WHERE name = ?)', ['after-world-greedy.jsonl'])
    """
    if of in (TRAJECTORIES, EVALUATION):
        return f"evaluated = {int(of == EVALUATION)}", []
    return "evaluated = 1 AND file IN (SELECT file FROM files WHERE name = ?)", [harmless(of)]


def _of(query: Query) -> Iterator[Condition]:
    yield looked_at(query.of)


def _texts(query: Query) -> Iterator[Condition]:
    found = asked(query.q)
    if query.q.strip() and not found:
        yield "0", []  # signs alone, which are nowhere
    for each in found:
        yield _MATCHING, [each.match, each.match]


def _chosen(query: Query) -> Iterator[Condition]:
    for name, choices in CHOICES.items():
        if value := getattr(query, name):
            sql = choices[value]
            yield sql, [value] if "?" in sql else []


def _named(query: Query) -> Iterator[Condition]:
    if query.task:
        yield "task = ?", [harmless(query.task)]
    if query.tool:
        yield "row IN (SELECT row FROM uses WHERE tool = ?)", [harmless(query.tool)]


def _counted(query: Query) -> Iterator[Condition]:
    found = _STEPS.fullmatch(query.steps) if query.steps else None
    if found and found[3]:
        yield "steps BETWEEN ? AND ?", [int(found[3]), int(found[4])]
    elif found:
        yield f"steps {found[1] or '='} ?", [int(found[2])]


_FILTERS: tuple[Callable[[Query], Iterator[Condition]], ...] = (_of, _named, _chosen, _counted, _texts)


def _number(name: str, text: str) -> int:
    if re.fullmatch(r"[0-9]{1,9}", text) is None:
        raise ConfigError(f"{name}: expected a whole number from 1, found {_cut(text)}; change it")
    return int(text)


def harmless(text: str) -> str:
    r"""A text without what no text in a file of records can hold.

    >>> harmless("a\ud800")
    'a?'
    """
    return text.encode("utf-8", "replace").decode()


def _cut(text: str, most: int = 40) -> str:
    return repr(text if len(text) <= most else text[:most] + "...")
