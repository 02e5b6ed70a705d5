"""Generated word problems for the calculator: a number changes 2 to 5 times, and the question is what it is in the end.

Each change is told in one of several phrasings; some refer back to a number told before, and sentences with a number that does not matter
stand between them. Train and test share neither a combination of phrasings nor a tuple of numbers. All numbers are whole, below 1,000, and
a chain never comes back to a value it had, so that progress can be read off a result.

Not here: who judges a step (`swirl.judges.solver`).
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from swirl.protocol import write
from swirl.seeds import derive
from swirl.tasks import Grade, Split
from swirl.tasks.answers import grade_text, numeric_equal
from swirl.tasks.names import MEN, WOMEN
from swirl.tasks.partition import split_of
from swirl.types import Answer, Passage, Question, ToolCall

LARGEST = 999
THINGS = ("apples", "books", "coins", "eggs", "marbles", "shells", "stamps", "beads")

OPENINGS = (
    "{who} has {n} {things}.",
    "{who} starts with {n} {things}.",
    "In the morning {who} counts {n} {things}.",
)
DISTRACTORS = (
    "{friend} has {n} {other}.",
    "{friend} is {n} years old.",
    "It is day {n} of the year.",
)
ENDINGS = (
    "How many {things} does {who} have now?",
    "How many {things} are left for {who}?",
    "What is the number of {things} in the end?",
)


@dataclass(frozen=True)
class Phrasing:
    """One way to tell a change."""

    operator: str
    text: str
    operand: str = "told"
    """Where its number comes from: told in the sentence, the first number (start), or the one told just before (last)."""


CHANGES = (
    Phrasing("+", "Then {she} buys {n} more."),
    Phrasing("+", "Later {she} finds another {n}."),
    Phrasing("+", "{friend} brings {her} {n}."),
    Phrasing("+", "As many as at the start are added.", "start"),
    Phrasing("+", "Then {she} finds the same number again.", "last"),
    Phrasing("-", "Then {she} sells {n}."),
    Phrasing("-", "Later {n} of them are lost."),
    Phrasing("-", "{friend} takes {n} away."),
    Phrasing("-", "Then {she} sells the same number.", "last"),
    Phrasing("*", "Then {she} has {n} times as many as before."),
    Phrasing("*", "Each one is cut into {n} pieces."),
    Phrasing("*", "For each of them {she} gets {n} back."),
    Phrasing("/", "Then {she} packs them into {n} equal bags and keeps one bag."),
    Phrasing("/", "{n} friends share them, and {she} keeps one share."),
    Phrasing("/", "Only one in {n} is kept."),
)


@dataclass(frozen=True)
class Problem:
    """A chain of changes and how it is told."""

    start: int
    changes: tuple[Phrasing, ...]
    operands: tuple[int, ...]
    opening: int
    ending: int

    @property
    def values(self) -> list[int]:
        """The number at the start and after each change."""
        values = [self.start]
        for phrasing, operand in zip(self.changes, self.operands, strict=True):
            values.append(apply(phrasing.operator, values[-1], operand))
        return values

    @property
    def phrasings(self) -> tuple[int, ...]:
        """What identifies the wording: opening, changes and ending."""
        return (self.opening, *(CHANGES.index(change) for change in self.changes), self.ending)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the chain, in order."""
        return (self.start, *self.operands)

    def belongs_to(self, split: Split) -> bool:
        """Whether both its wording and its numbers are of that side."""
        return split_of("phrasings", *self.phrasings) == split and split_of("numbers", *self.numbers) == split


def apply(operator: str, left: int, right: int) -> int:
    """One change; division is exact by construction.

    >>> [apply(operator, 12, 3) for operator in "+-*/"]
    [15, 9, 36, 4]
    """
    return {"+": left + right, "-": left - right, "*": left * right, "/": left // right}[operator]


class Arithmetic:
    """The task.

    >>> question = next(Arithmetic().questions("train", seed=1))
    >>> question.task, len(question.answers)
    ('arithmetic', 1)
    """

    name = "arithmetic"
    tools: tuple[str, ...] = ("calculator",)
    max_calls = 10
    scoped = False

    def questions(self, split: Split, seed: int | None = None) -> Iterator[Question]:
        """Questions without end, no two with the same wording and numbers in a draw."""
        seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
        for place in count():
            rng = random.Random(derive(seed or 0, "arithmetic", split, place))
            while True:
                problem = draw(rng)
                key = (problem.phrasings, problem.numbers)
                if key not in seen and problem.belongs_to(split):
                    break
            seen.add(key)
            yield tell(problem, rng, f"arithmetic-{split}-{seed or 0}-{place:05}")

    def grade(self, question: Question, answer: str) -> Grade:
        correct = any(numeric_equal(answer, gold) for gold in question.answers)
        return grade_text(answer, question.answers, correct=correct)

    def passages(self) -> Sequence[Passage]:
        return ()

    def demonstration(self, question: Question) -> list[str]:
        value, actions = question.meta["start"], []
        for operator, operand in question.meta["changes"]:
            actions.append(write(ToolCall("calculator", f"{value} {operator} {operand}")))
            value = apply(operator, value, operand)
        return [*actions, write(Answer(str(value)))]


def draw(rng: random.Random) -> Problem:
    """A random problem of 2 to 5 changes, of either side."""
    length = rng.randint(2, 5)
    while True:
        problem = _attempt(rng, length)
        if problem is not None:
            return problem


def _attempt(rng: random.Random, length: int) -> Problem | None:
    start = rng.randint(2, 99)
    changes: list[Phrasing] = []
    operands: list[int] = []
    values = [start]
    for _ in range(length):
        phrasing = rng.choice(CHANGES)
        operand = _operand(rng, phrasing, values, changes, operands)
        if operand is None:
            return None
        values.append(apply(phrasing.operator, values[-1], operand))
        changes.append(phrasing)
        operands.append(operand)
    if len(set(values)) < len(values) or min(values) < 1 or max(values) > LARGEST:
        return None
    return Problem(start, tuple(changes), tuple(operands), rng.randrange(len(OPENINGS)), rng.randrange(len(ENDINGS)))


def _operand(
    rng: random.Random, phrasing: Phrasing, values: Sequence[int], changes: Sequence[Phrasing], operands: Sequence[int]
) -> int | None:
    """A number that fits; None where the phrasing cannot be used here."""
    if phrasing.operand == "start":
        return values[0]
    if phrasing.operand == "last":
        told = changes and changes[-1].operand == "told" and changes[-1].operator in "+-"
        return operands[-1] if told and (phrasing.operator == "+" or operands[-1] < values[-1]) else None
    if phrasing.operator == "/":
        divisors = [n for n in range(2, 10) if values[-1] % n == 0]
        return rng.choice(divisors) if divisors else None
    if phrasing.operator == "*":
        return rng.randint(2, 9)
    if phrasing.operator == "-":
        return rng.randint(2, min(99, values[-1] - 1)) if values[-1] > 2 else None
    return rng.randint(2, 99)


def tell(problem: Problem, rng: random.Random, name: str) -> Question:
    """The problem in words, with 0 to 2 sentences that do not matter."""
    women = rng.random() < 0.5
    who, friend = rng.sample(WOMEN if women else MEN, 2)
    things, other = rng.sample(THINGS, 2)
    words = {"who": who, "friend": friend, "things": things, "other": other}
    words |= {"she": "she", "her": "her"} if women else {"she": "he", "her": "him"}
    sentences = [
        change.text.format(n=operand, **words)
        for change, operand in zip(problem.changes, problem.operands, strict=True)
    ]
    free = [i for i, change in enumerate(problem.changes) if change.operand != "last"] + [len(sentences)]
    for distractor in rng.sample(DISTRACTORS, rng.choice((0, 0, 1, 2))):
        place = rng.choice(free)
        sentences[place:place] = [distractor.format(n=rng.randint(2, 99), **words)]
        free = [i + (i > place) for i in free]
    opening = OPENINGS[problem.opening].format(n=problem.start, **words)
    text = " ".join([opening, *sentences, ENDINGS[problem.ending].format(**words)])
    changes = [[change.operator, operand] for change, operand in zip(problem.changes, problem.operands, strict=True)]
    return Question(
        id=name,
        task="arithmetic",
        text=text,
        answers=(str(problem.values[-1]),),
        meta={"start": problem.start, "changes": changes, "phrasings": list(problem.phrasings)},
    )
