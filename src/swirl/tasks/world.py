"""Generated multi-hop questions for the search tool, over generated passages about people, places, works and organisations.

A *bridge* question follows 2 to 4 relations from an entity it names ("Where is the seat of the publisher of The Silver Harbour?"); a
*comparison* follows a chain from each of two entities and compares what it finds. Most of the corpus is beside the point of any question.
Train and test share no entity chain, nor any three consecutive entities of one, and have the same mix of kinds.

The task's questions are about world 0. Not here: the corpus (`swirl.tasks.facts`), chains (`swirl.tasks.chains`), who judges a step
(`swirl.judges.solver`).
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from swirl.protocol import write
from swirl.tasks import Grade, Split
from swirl.tasks.answers import grade_text
from swirl.tasks.chains import Chain, belong_to, facts_of, meet_nowhere, searches, to_year, walk
from swirl.tasks.facts import Facts, make_world
from swirl.tasks.partition import distinct
from swirl.types import Answer, Passage, Question

EARLIER = {"person": "born first", "place": "settled first", "work": "published first", "organisation": "founded first"}
OPENINGS = {
    "person": ("Who is {}?", "Name {}."),
    "place": ("Where is {}?", "Name {}."),
    "organisation": ("What is {}?", "Name {}."),
    "year": ("What is {}?", "Tell {}."),
}
SAME_PLACE = "Are {} and {} the same town?"


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
        for name, drawn in distinct(self.name, split, seed, lambda rng: draw(self.facts, rng, split)):
            yield self._question(drawn, name)

    def _question(self, drawn: "Drawn", name: str) -> Question:
        wording = [list(chain.wording) for chain in drawn.chains]
        facts = facts_of(drawn.chains, self._places)
        gold = list(dict.fromkeys(fact["passage"] for fact in facts))
        meta = {"kind": drawn.kind, "facts": facts, "wording": wording, "gold": gold}
        return Question(id=name, task="world", text=drawn.text, answers=(drawn.answer,), meta=meta)

    def grade(self, question: Question, answer: str) -> Grade:
        return grade_text(answer, question.answers)

    def passages(self) -> Sequence[Passage]:
        return self._passages

    def demonstration(self, question: Question) -> list[str]:
        return [*searches(question.meta["facts"]), write(Answer(question.answers[0]))]


@dataclass(frozen=True)
class Drawn:
    """A question before it gets a name."""

    kind: str
    """bridge, earlier or same."""
    chains: tuple[Chain, ...]
    text: str
    answer: str


def draw(world: Facts, rng: random.Random, split: Split) -> Drawn:
    """A random question of a side. What kind it is comes before which side it is of, so that both sides have the same mix."""
    make = _kind(rng)
    while True:
        drawn = make(world, rng)
        if meet_nowhere(drawn.chains) and belong_to(drawn.chains, split):
            return drawn


def _kind(rng: random.Random) -> Callable[[Facts, random.Random], Drawn]:
    """Three in five questions are bridges, the others compare."""
    if rng.random() < 0.6:
        return partial(_bridge, length=rng.randint(2, 4))
    return _earlier if rng.random() < 0.6 else _same_place


def _bridge(world: Facts, rng: random.Random, length: int) -> Drawn:
    chain = walk(world, rng, rng.choice(list(world.kinds)), length)
    text = rng.choice(OPENINGS[chain.kind]).format(chain.phrase)
    return Drawn("bridge", (chain,), text, chain.hops[-1].value)


def _earlier(world: Facts, rng: random.Random) -> Drawn:
    """Which of two is older; one or both of them may be told by a relation."""
    while True:
        sides = [to_year(world, rng) for _ in range(2)]
        (first, one), (second, two) = sides
        kinds = {world.kinds[one.hops[-1].entity], world.kinds[two.hops[-1].entity]}
        if len(kinds) == 1 and one.hops[-1].value != two.hops[-1].value:
            break
    names = [side.hops[-1].entity for _, side in sides]
    years = [int(side.hops[-1].value) for _, side in sides]
    text = f"Which was {EARLIER[kinds.pop()]}, {first} or {second}?"
    return Drawn("earlier", (one, two), text, names[years.index(min(years))])


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
        chain = walk(world, rng, rng.choice(list(world.kinds)), rng.randint(1, 2))
        if chain.kind == "place":
            return chain
