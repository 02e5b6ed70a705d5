"""Generated multi-hop questions for the search tool, over generated passages about people, places, works and organisations.

A *bridge* question follows 2 to 4 relations from an entity it names ("Where is the seat of the publisher of The Silver Harbour?"); a
*comparison* follows a chain from each of two entities and compares what it finds. Most of the corpus is beside the point of any question.
Train and test share no entity chain, nor any three consecutive entities of one, and have the same mix of kinds.

The task's questions are about world 0. Not here: the corpus (`swirl.tasks.facts`), who judges a step (`swirl.judges.solver`).
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

from swirl.protocol import write
from swirl.seeds import derive
from swirl.tasks import Grade, Split
from swirl.tasks.answers import grade_text
from swirl.tasks.facts import RELATIONS, Facts, make_world, query_word
from swirl.tasks.partition import split_of
from swirl.types import Answer, Passage, Question, ToolCall

YEAR_OF = {"person": "born", "place": "settled", "work": "year", "organisation": "founded"}
EARLIER = {"person": "born first", "place": "settled first", "work": "published first", "organisation": "founded first"}
OPENINGS = {
    "person": ("Who is {}?", "Name {}."),
    "place": ("Where is {}?", "Name {}."),
    "organisation": ("What is {}?", "Name {}."),
    "year": ("What is {}?", "Tell {}."),
}
SAME_PLACE = "Are {} and {} the same town?"


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


class World:
    """The task.

    >>> question = next(World().questions("train", seed=1))
    >>> question.task, 2 <= len(question.meta["facts"]) <= 4
    ('world', True)
    """

    name = "world"
    tools: tuple[str, ...] = ("search",)
    max_calls = 5
    scoped = False

    def __init__(self, seed: int = 0) -> None:
        self.facts = make_world(seed)
        self._passages = self.facts.passages()
        self._places = {passage.title: passage.id for passage in self._passages}

    def questions(self, split: Split, seed: int | None = None) -> Iterator[Question]:
        """Questions without end, no two alike in a draw."""
        seen: set[str] = set()
        for place in count():
            rng = random.Random(derive(seed or 0, "world", split, place))
            while True:
                drawn = draw(self.facts, rng, split)
                if drawn.text not in seen:
                    break
            seen.add(drawn.text)
            yield self._question(drawn, f"world-{split}-{seed or 0}-{place:05}")

    def _question(self, drawn: "Drawn", name: str) -> Question:
        facts = [
            {"entity": hop.entity, "relation": hop.relation, "value": hop.value, "passage": self._places[hop.entity]}
            for chain in drawn.chains
            for hop in chain.hops
        ]
        wording = [list(chain.wording) for chain in drawn.chains]
        meta = {"kind": drawn.kind, "facts": facts, "wording": wording}
        return Question(id=name, task="world", text=drawn.text, answers=(drawn.answer,), meta=meta)

    def grade(self, question: Question, answer: str) -> Grade:
        return grade_text(answer, question.answers)

    def passages(self) -> Sequence[Passage]:
        return self._passages

    def demonstration(self, question: Question) -> list[str]:
        queries = [f"{fact['entity']} {query_word(fact['relation'])}" for fact in question.meta["facts"]]
        return [*(write(ToolCall("search", query)) for query in queries), write(Answer(question.answers[0]))]


@dataclass(frozen=True)
class Drawn:
    """A question before it gets a name."""

    kind: str
    """bridge, earlier or same."""
    chains: tuple[Chain, ...]
    text: str
    answer: str

    def belongs_to(self, split: Split) -> bool:
        """Whether every three consecutive entities (or the two of a shorter chain), and the two ends of a comparison, are of that side."""
        keys = [chain.entities[i : i + 3] for chain in self.chains for i in range(max(1, len(chain.entities) - 2))]
        if len(self.chains) > 1:
            keys.append(tuple(sorted(chain.entities[0] for chain in self.chains)))
        return all(split_of("chain", *key) == split for key in keys)


def draw(world: Facts, rng: random.Random, split: Split) -> Drawn:
    """A random question of a side. What kind it is comes before which side it is of, so that both sides have the same mix."""
    make = _kind(rng)
    while True:
        drawn = make(world, rng)
        visited = [entity for chain in drawn.chains for entity in dict.fromkeys(chain.entities[:-1])]
        if len(set(visited)) == len(visited) == sum(len(chain.hops) for chain in drawn.chains) and drawn.belongs_to(
            split
        ):
            return drawn


def _kind(rng: random.Random) -> Callable[[Facts, random.Random], Drawn]:
    """Three in five questions are bridges, the others compare."""
    if rng.random() < 0.6:
        return partial(_bridge, length=rng.randint(2, 4))
    return _earlier if rng.random() < 0.6 else _same_place


def _bridge(world: Facts, rng: random.Random, length: int) -> Drawn:
    chain = _chain(world, rng, rng.choice(list(world.kinds)), length)
    text = rng.choice(OPENINGS[chain.kind]).format(chain.phrase)
    return Drawn("bridge", (chain,), text, chain.hops[-1].value)


def _chain(world: Facts, rng: random.Random, start: str, length: int, last: str = "") -> Chain:
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


def _earlier(world: Facts, rng: random.Random) -> Drawn:
    """Which of two is older; one or both of them may be told by a relation."""
    while True:
        sides = [_side(world, rng) for _ in range(2)]
        (first, one), (second, two) = sides
        kinds = {world.kinds[one.hops[-1].entity], world.kinds[two.hops[-1].entity]}
        if len(kinds) == 1 and one.hops[-1].value != two.hops[-1].value:
            break
    names = [side.hops[-1].entity for _, side in sides]
    years = [int(side.hops[-1].value) for _, side in sides]
    text = f"Which was {EARLIER[kinds.pop()]}, {first} or {second}?"
    return Drawn("earlier", (one, two), text, names[years.index(min(years))])


def _side(world: Facts, rng: random.Random) -> tuple[str, Chain]:
    """The phrase for an entity, and the chain to its year."""
    start = rng.choice(list(world.kinds))
    if rng.random() < 0.5:
        return start, _chain(world, rng, start, 1, YEAR_OF[world.kinds[start]])
    bridge = _chain(world, rng, start, 1)
    if bridge.kind == "year":
        return start, bridge
    end = bridge.hops[-1].value
    year = _chain(world, rng, end, 1, YEAR_OF[bridge.kind])
    return bridge.phrase, Chain((*bridge.hops, *year.hops), "year", bridge.phrase, bridge.wording)


def _same_place(world: Facts, rng: random.Random) -> Drawn:
    """Whether two chains end in the same town; half of the time they do."""
    wanted = rng.random() < 0.5
    one = _to_place(world, rng)
    while ((two := _to_place(world, rng)).hops[-1].value == one.hops[-1].value) != wanted:
        pass
    return Drawn("same", (one, two), SAME_PLACE.format(one.phrase, two.phrase), "yes" if wanted else "no")


def _to_place(world: Facts, rng: random.Random) -> Chain:
    """A chain of one or two relations that ends in a town."""
    while True:
        chain = _chain(world, rng, rng.choice(list(world.kinds)), rng.randint(1, 2))
        if chain.kind == "place":
            return chain
