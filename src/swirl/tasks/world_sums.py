"""Generated questions that need both tools: years are looked up in the world's passages, then calculated with.

An *age* ("How old was Ada Quill in the year in which The Silver Harbour was published?") and a *gap* ("How many years before the birth year
of Ada Quill was Port Lumen settled?") are differences of two years, each looked up by a chain of one or two relations; a *total* adds up
the ages of two people in one year. Answers are numbers, graded by value.

The world, its words and its corpus are those of the task `world`, and so is the divide: train and test share no entity chain, of either
task.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from swirl.protocol import write
from swirl.tasks import Grade, Split
from swirl.tasks.answers import grade_text, numeric_equal
from swirl.tasks.arithmetic import apply
from swirl.tasks.chains import YEAR_OF, Chain, belong_to, facts_of, meet_nowhere, searches, to_year, walk
from swirl.tasks.facts import RELATIONS, Facts, make_world, query_word
from swirl.tasks.partition import distinct
from swirl.types import Answer, Passage, Question, ToolCall

OLDEST = 99
AGE = "How old was {} in {}?"
GAP = "How many years before {} was {} {}?"
TOTAL = "How many years old are {} and {}, added, in {}?"

Sum = tuple[int, str, int]
"""A calculation: number, operator, number."""


class WorldSums:
    """The task.

    >>> question = next(WorldSums().questions("train", seed=1))
    >>> question.task, question.meta["kind"] in ("age", "gap", "total")
    ('world_sums', True)
    """

    name = "world_sums"
    tools: tuple[str, ...] = ("search", "calculator")
    max_calls = 7
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
        sums = [list(each) for each in drawn.sums]
        facts = facts_of(drawn.chains, self._places)
        gold = list(dict.fromkeys(fact["passage"] for fact in facts))
        meta = {"kind": drawn.kind, "facts": facts, "sums": sums, "gold": gold}
        return Question(id=name, task=self.name, text=drawn.text, answers=(str(result(drawn.sums[-1])),), meta=meta)

    def grade(self, question: Question, answer: str) -> Grade:
        correct = any(numeric_equal(answer, gold) for gold in question.answers)
        return grade_text(answer, question.answers, correct=correct)

    def passages(self) -> Sequence[Passage]:
        return self._passages

    def demonstration(self, question: Question) -> list[str]:
        calls = [
            write(ToolCall("calculator", f"{left} {operator} {right}")) for left, operator, right in sums_of(question)
        ]
        return [*searches(question.meta["facts"]), *calls, write(Answer(question.answers[0]))]


def sums_of(question: Question) -> list[Sum]:
    """The calculations that a question needs, in order; the last gives its answer."""
    return [(left, operator, right) for left, operator, right in question.meta["sums"]]


def result(calculation: Sum) -> int:
    """What a calculation gives.

    >>> result((1950, "-", 1900))
    50
    """
    left, operator, right = calculation
    return apply(operator, left, right)


@dataclass(frozen=True)
class Drawn:
    """A question before it gets a name."""

    kind: str
    """age, gap or total."""
    chains: tuple[Chain, ...]
    text: str
    sums: tuple[Sum, ...]


def draw(world: Facts, rng: random.Random, split: Split) -> Drawn:
    """A random question of a side. What kind it is comes before which side it is of, so that both sides have the same mix."""
    make = _kind(rng)
    while True:
        drawn = make(world, rng)
        if drawn and meet_nowhere(drawn.chains) and belong_to(drawn.chains, split):
            return drawn


def _kind(rng: random.Random) -> Callable[[Facts, random.Random], Drawn | None]:
    """Two in five questions ask for an age, two for a gap, one for a total."""
    return rng.choice((_age, _age, _gap, _gap, _total))


def _year(chain: Chain) -> int:
    return int(chain.hops[-1].value)


def _told_year(world: Facts, rng: random.Random) -> tuple[str, Chain]:
    """The phrase for an entity's year, and the chain to it."""
    phrase, chain = to_year(world, rng)
    last = chain.hops[-1]
    return rng.choice(RELATIONS[world.kinds[last.entity]][last.relation].phrases).format(phrase), chain


def _age(world: Facts, rng: random.Random) -> Drawn | None:
    """How old somebody was in a year; None where they were not yet born, or too old."""
    who, born = to_year(world, rng)
    when, then = _told_year(world, rng)
    if world.kinds[born.hops[-1].entity] != "person" or not 0 < _year(then) - _year(born) <= OLDEST:
        return None
    return Drawn("age", (born, then), AGE.format(who, when), ((_year(then), "-", _year(born)),))


def _gap(world: Facts, rng: random.Random) -> Drawn | None:
    """How many years before another something was; None where it was not before."""
    what, first = to_year(world, rng)
    when, then = _told_year(world, rng)
    if _year(first) >= _year(then):
        return None
    verb = query_word(YEAR_OF[world.kinds[first.hops[-1].entity]])
    return Drawn("gap", (then, first), GAP.format(when, what, verb), ((_year(then), "-", _year(first)),))


def _total(world: Facts, rng: random.Random) -> Drawn | None:
    """How old two people were together; None where nobody has a fit age, or both have the same."""
    when, then = _told_year(world, rng)
    alive = [
        name
        for name, kind in world.kinds.items()
        if kind == "person" and 0 < _year(then) - int(world.values[name]["born"]) <= OLDEST
    ]
    if len(alive) < 2:
        return None
    people = [walk(world, rng, name, 1, "born") for name in rng.sample(alive, 2)]
    ages = [(_year(then), "-", _year(person)) for person in people]
    one, two = map(result, ages)
    if one == two:
        return None
    text = TOTAL.format(*(person.hops[0].entity for person in people), when)
    return Drawn("total", (*people, then), text, (*ages, (one, "+", two)))
