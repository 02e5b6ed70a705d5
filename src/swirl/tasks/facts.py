"""The world that the generated questions are about: who was born where, who wrote what, told in one passage an entity.

A world is a function of its seed. Every world is made of the same handful of words; who is what differs.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from swirl.seeds import derive
from swirl.tasks.names import MEN, WOMEN
from swirl.types import Passage

FAMILIES = ("Quill", "Fenn", "Dorr", "Marsh", "Holm", "Brandt", "Sorel", "Vance", "Pike", "Lund", "Keller", "Rosen")
PLACES = ("Port", "Saint", "Upper", "Lower"), ("Lumen", "Aldra", "Corvo", "Elba", "Garda", "Mira", "Norden", "Tarn")
WORKS = (
    ("Silver", "Quiet", "Broken", "Golden", "Hidden", "Winter", "Last", "Crimson"),
    ("Harbour", "Garden", "Mirror", "River", "Letter", "Tower", "Orchard", "Lantern"),
)
ORGANISATIONS = ("Amber", "Cedar", "Falcon", "Granite", "Indigo", "Meridian"), ("Guild", "Press", "Society", "Works")

SIZES = {"person": 96, "place": 32, "work": 48, "organisation": 24}
"""Kind of entity -> how many a world has."""


@dataclass(frozen=True)
class Relation:
    """What a passage says of its entity, how a query asks for it, and how a question names it."""

    target: str
    """Kind of the value: person, place, organisation or year."""
    fact: str
    """A sentence of the passage."""
    query: str
    """The word that asks for it."""
    phrases: tuple[str, ...]
    """Noun phrases for the value, `{}` the entity."""


RELATIONS: Mapping[str, Mapping[str, Relation]] = {
    "person": {
        "born": Relation("year", "Born in {}.", "born", ("the birth year of {}",)),
        "birthplace": Relation(
            "place", "Birthplace: {}.", "birthplace", ("the birthplace of {}", "the home town of {}")
        ),
        "teacher": Relation("person", "Taught by {}.", "teacher", ("the teacher of {}", "the person who taught {}")),
        "spouse": Relation("person", "Married to {}.", "spouse", ("the spouse of {}", "the person married to {}")),
        "employer": Relation(
            "organisation", "Works for {}.", "employer", ("the employer of {}", "the organisation that employs {}")
        ),
    },
    "place": {
        "settled": Relation("year", "Settled in {}.", "settled", ("the year in which {} was settled",)),
        "mayor": Relation("person", "Its mayor is {}.", "mayor", ("the mayor of {}", "the person who governs {}")),
        "architect": Relation(
            "person", "Planned by {}.", "architect", ("the architect of {}", "the person who planned {}")
        ),
    },
    "work": {
        "year": Relation("year", "Published in {}.", "published", ("the year in which {} was published",)),
        "author": Relation("person", "Written by {}.", "author", ("the author of {}", "the person who wrote {}")),
        "setting": Relation("place", "Set in {}.", "setting", ("the setting of {}", "the scene of {}")),
        "publisher": Relation(
            "organisation", "Brought out by {}.", "publisher", ("the publisher of {}", "the house that brought out {}")
        ),
    },
    "organisation": {
        "founded": Relation("year", "Founded in {}.", "founded", ("the year in which {} was founded",)),
        "founder": Relation("person", "Founder: {}.", "founder", ("the founder of {}", "the person who founded {}")),
        "seat": Relation("place", "Its seat is {}.", "seat", ("the seat of {}", "the home of {}")),
        "head": Relation("person", "Led by {}.", "head", ("the head of {}", "the person who leads {}")),
    },
}
"""Kind of entity -> name of the relation -> relation."""


@dataclass(frozen=True)
class Facts:
    """A world: entity -> its kind, and entity -> relation -> value."""

    kinds: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]]

    def passages(self) -> list[Passage]:
        """One passage an entity."""
        return [Passage(f"w{place}", name, self.text(name)) for place, name in enumerate(self.kinds)]

    def text(self, name: str) -> str:
        """What the passage of an entity says."""
        relations = RELATIONS[self.kinds[name]]
        return " ".join(relations[relation].fact.format(value) for relation, value in self.values[name].items())


def names_of(kind: str) -> list[str]:
    """Every name that an entity of a kind may have.

    >>> len(names_of("person")), names_of("work")[0]
    (288, 'The Silver Harbour')
    """
    match kind:
        case "person":
            return [f"{given} {family}" for given in WOMEN + MEN for family in FAMILIES]
        case "work":
            return [f"The {first} {second}" for first in WORKS[0] for second in WORKS[1]]
    firsts, seconds = PLACES if kind == "place" else ORGANISATIONS
    return [f"{first} {second}" for first in firsts for second in seconds]


@cache
def make_world(seed: int = 0) -> Facts:
    """The world of a seed; names are the same handful of words in every world, who is what differs."""
    rng = random.Random(derive(seed, "world"))
    names = {kind: rng.sample(names_of(kind), SIZES[kind]) for kind in SIZES}
    kinds = {name: kind for kind, members in names.items() for name in members}
    values: dict[str, dict[str, str]] = {}
    for name, kind in kinds.items():
        order = rng.sample(list(RELATIONS[kind]), len(RELATIONS[kind]))
        values[name] = {}
        for relation in order:
            taken = {word for text in (name, *values[name].values()) for word in text.split()}
            values[name][relation] = _value(rng, RELATIONS[kind][relation].target, names, taken)
    return Facts(kinds, values)


def _value(rng: random.Random, target: str, names: Mapping[str, Sequence[str]], taken: set[str]) -> str:
    """A value that shares no word with those its passage holds already, or a search could take the passage for another's."""
    if target == "year":
        return str(rng.randint(1700, 1999))
    while taken.intersection((chosen := rng.choice(names[target])).split()):
        pass
    return chosen


def query_word(relation: str) -> str:
    """The word that asks for a relation, e.g. `query_word("year")` is `published`."""
    return next(relations[relation].query for relations in RELATIONS.values() if relation in relations)


@cache
def query_words() -> frozenset[str]:
    """Every word that asks for a relation."""
    return frozenset(relation.query for relations in RELATIONS.values() for relation in relations.values())
