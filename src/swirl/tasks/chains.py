"""Chains of facts through the generated world: what a multi-hop question rests on, and which side of the train/test divide it falls on.

Each fact is about the value of the one before it. A question may rest on several chains.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swirl.protocol import write
from swirl.tasks import Split
from swirl.tasks.facts import RELATIONS, Facts, query_word
from swirl.tasks.partition import split_of
from swirl.types import ToolCall

YEAR_OF = {"person": "born", "place": "settled", "work": "year", "organisation": "founded"}
"""Kind of entity -> the relation that gives its year."""


@dataclass(frozen=True)
class Hop:
    """One fact that a question needs."""

    entity: str
    relation: str
    value: str


@dataclass(frozen=True)
class Chain:
    """Facts, each about the value of the one before, and the noun phrase for what comes out."""

    hops: tuple[Hop, ...]
    kind: str
    """Kind of the last value."""
    phrase: str
    wording: tuple[int, ...] = ()

    @property
    def entities(self) -> tuple[str, ...]:
        """What the chain leads through, from its first entity to the value asked for."""
        return (self.hops[0].entity, *(hop.value for hop in self.hops))


def walk(world: Facts, rng: random.Random, start: str, length: int, last: str = "") -> Chain:
    """A random walk of so many relations, none but the last to a year; `last` says which the last is."""
    name, kind, phrase = start, world.kinds[start], start
    hops: list[Hop] = []
    wording: list[int] = []
    for place in range(length):
        final = place == length - 1
        choices = [r for r, relation in RELATIONS[kind].items() if final or relation.target != "year"]
        relation = last if final and last else rng.choice(choices)
        told = RELATIONS[kind][relation]
        wording.append(rng.randrange(len(told.phrases)))
        hops.append(Hop(name, relation, world.values[name][relation]))
        phrase, name, kind = told.phrases[wording[-1]].format(phrase), world.values[name][relation], told.target
    return Chain(tuple(hops), kind, phrase, tuple(wording))


def to_year(world: Facts, rng: random.Random) -> tuple[str, Chain]:
    """An entity, half of the time told by a relation: the phrase for it, and the chain to its year."""
    start = rng.choice(list(world.kinds))
    if rng.random() < 0.5:
        return start, walk(world, rng, start, 1, YEAR_OF[world.kinds[start]])
    bridge = walk(world, rng, start, 1)
    if bridge.kind == "year":
        return start, bridge
    year = walk(world, rng, bridge.hops[-1].value, 1, YEAR_OF[bridge.kind])
    return bridge.phrase, Chain((*bridge.hops, *year.hops), "year", bridge.phrase, bridge.wording)


def meet_nowhere(chains: Sequence[Chain]) -> bool:
    """Whether no entity is looked up twice."""
    visited = [entity for chain in chains for entity in dict.fromkeys(chain.entities[:-1])]
    return len(set(visited)) == len(visited) == sum(len(chain.hops) for chain in chains)


def belong_to(chains: Sequence[Chain], split: Split) -> bool:
    """Whether every three consecutive entities (or the two of a shorter chain), and the entities that several chains start from, are of
    that side."""
    keys = [chain.entities[i : i + 3] for chain in chains for i in range(max(1, len(chain.entities) - 2))]
    if len(chains) > 1:
        keys.append(tuple(sorted(chain.entities[0] for chain in chains)))
    return all(split_of("chain", *key) == split for key in keys)


def facts_of(chains: Sequence[Chain], passages: Mapping[str, str]) -> list[dict[str, str]]:
    """The facts of all chains in order, as a question's `meta` keeps them; `passages` is title -> id."""
    return [
        {"entity": hop.entity, "relation": hop.relation, "value": hop.value, "passage": passages[hop.entity]}
        for chain in chains
        for hop in chain.hops
    ]


def searches(facts: Sequence[Mapping[str, str]]) -> list[str]:
    """The actions that look up each fact."""
    return [write(ToolCall("search", f"{fact['entity']} {query_word(fact['relation'])}")) for fact in facts]
