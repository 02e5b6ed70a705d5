"""Which evaluated questions a list holds, as an address asks for it, so that a question's page knows what comes before and after it.

Not here: what was answered (`swirl.viewer.answers`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from swirl.errors import ConfigError
from swirl.evaluate import Mode, ToolUse
from swirl.viewer.answers import KINDS, Answers, Kind, Pair, Way

Asked = Mapping[str, str]
FIELDS = Way._fields
"""By what a list can be narrowed."""
_KNOWN = {"mode": get_args(Mode), "tools": get_args(ToolUse)}


@dataclass(frozen=True)
class Listing:
    """Some of the questions."""

    kind: Kind | None = None
    q: str = ""
    """Words that the question, its id, an accepted answer or a given one holds."""
    held: tuple[tuple[str, str], ...] = ()
    """Field of a way -> what it has to be; whatever is not named may be anything."""

    @classmethod
    def read(cls, asked: Asked) -> "Listing":
        """The list that an address asks for; raises `ConfigError` where it asks for nonsense.

        >>> Listing.read({"kind": "lost", "task": "world", "mode": ""})
        Listing(kind='lost', q='', held=(('task', 'world'),))
        """
        for name, known in _KNOWN.items():
            _require(name, asked.get(name, ""), known)
        held = tuple((name, asked[name]) for name in FIELDS if asked.get(name))
        return cls(_kind(asked), asked.get("q", "").strip(), held)

    @classmethod
    def around(cls, asked: Asked, way: Way) -> "Listing":
        """The list that a question's page was reached from: `in` names the fields that it holds fast, at what they are for the question."""
        named = [name for name in asked.get("in", "").split(".") if name]
        for name in named:
            _require("in", name, FIELDS)
        held = tuple((name, getattr(way, name)) for name in FIELDS if name in named)
        return cls(_kind(asked), asked.get("q", "").strip(), held)

    @property
    def fixed(self) -> str:
        """The fields it holds fast, as `in` names them."""
        return ".".join(name for name, _ in self.held)

    def has(self, pair: Pair) -> bool:
        """Whether a question belongs to it."""
        return self.kind in (None, pair.kind) and all(word in _text(pair) for word in self.q.casefold().split())

    def ways(self, answers: Answers) -> list[Way]:
        """The ways it is about."""
        return [way for way in answers.ways() if all(getattr(way, name) == value for name, value in self.held)]

    def pairs(self, answers: Answers) -> Iterator[Pair]:
        """Its questions, way by way."""
        return (pair for way in self.ways(answers) for pair in answers.questions(way, self.kind) if self.has(pair))


def neighbours(pairs: Sequence[Pair], way: Way, id: str) -> tuple[Pair | None, Pair | None, int]:
    """What comes before a question in a list, what after it, and its place, from 1; 0 where it is not in the list."""
    places = [place for place, pair in enumerate(pairs) if (pair.way, pair.id) == (way, id)]
    if not places:
        return None, None, 0
    around = dict(enumerate([None, *pairs, None]))
    return around[places[0]], around[places[0] + 2], places[0] + 1


def _kind(asked: Asked) -> Kind | None:
    given = asked.get("kind", "")
    _require("kind", given, KINDS)
    return next((kind for kind in KINDS if kind == given), None)


def _require(name: str, given: str, known: Sequence[str]) -> None:
    if given and given not in known:
        raise ConfigError(f"{name}: expected {', '.join(known)} or nothing, found {given!r:.40}; choose from the menus")


def _text(pair: Pair) -> str:
    said = [each.answer for each in (pair.before, pair.after) if each]
    return "\n".join((pair.id, pair.text, pair.gold, *said)).casefold()
