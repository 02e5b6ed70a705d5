"""Imperfect demonstrations of the two generated tasks: what the bundled policy is pre-trained on, from nothing.

The demonstrator knows the protocol and solves most steps, with three kinds of fault: slips anywhere, *habits* (some phrasings are
misread in one dominant way, so that greedy decoding fails on them too, and training has something real to repair), and bad endings
(malformed, premature or wrong answers). A slip is mostly carried on with, sometimes redone. Only training questions are drawn, from
many random worlds, so that nothing about the task's own world is memorised and no test wording, number tuple or chain is ever seen.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from swirl.protocol import write
from swirl.tasks.arithmetic import CHANGES, Problem, tell
from swirl.tasks.arithmetic import draw as draw_problem
from swirl.tasks.chains import Chain
from swirl.tasks.facts import RELATIONS, Facts, make_world
from swirl.tasks.world import Drawn
from swirl.tasks.world import draw as draw_question
from swirl.tools import ToolInput
from swirl.tools.calculator import Calculator
from swirl.types import Answer, ToolCall

SLIP = 0.08
HABIT = 0.62
DOMINANT = 0.75
REDO = 0.25
MALFORMED = 0.03
PREMATURE = 0.03
WRONG_ANSWER = 0.06

MISREAD_CHANGES = {8: "+", 12: "+", 14: "-"}
"""Index of a phrasing in `CHANGES` -> the operator it is mistaken for."""
MISREAD_RELATIONS = {("teacher", 1): "spouse", ("architect", 1): "mayor", ("founder", 1): "head"}
"""(relation, wording) -> the relation it is mistaken for."""

Turn = tuple[Literal["user", "assistant"], str]


@dataclass(frozen=True)
class Dialogue:
    """A question and its demonstration."""

    question: str
    turns: tuple[Turn, ...]


def dialogues(seed: int) -> Iterator[Dialogue]:
    """Demonstrations of both tasks in alternation, without end."""
    rng = random.Random(seed)
    while True:
        yield _word_problem(rng)
        yield _multi_hop(rng, make_world(rng.randint(1, 400)))


def _word_problem(rng: random.Random) -> Dialogue:
    while not (problem := draw_problem(rng)).belongs_to("train"):
        pass
    text = tell(problem, rng, "pretraining").text
    turns: list[Turn] = []
    current = str(problem.start)
    for place in range(len(problem.changes)):
        if rng.random() < PREMATURE:
            break
        expression = _calculation(rng, problem, place, current)
        call, result = _calculate(expression)
        if _breaks_off(rng, turns, call):
            return Dialogue(text, tuple(turns))
        turns += [("assistant", write(ToolCall("calculator", call))), ("user", f"{call} -> {result}")]
        right = _right(problem, place, current)
        if expression != right and rng.random() < REDO:
            call, result = _calculate(right)
            turns += [("assistant", write(ToolCall("calculator", call))), ("user", f"{call} -> {result}")]
        current = result
    answer = current
    if rng.random() < WRONG_ANSWER:
        answer = str(rng.choice([problem.start, *problem.operands]))
    return Dialogue(text, (*turns, ("assistant", write(Answer(answer)))))


def _right(problem: Problem, place: int, current: str) -> str:
    return f"{current} {problem.changes[place].operator} {problem.operands[place]}"


def _calculation(rng: random.Random, problem: Problem, place: int, current: str) -> str:
    """The call for a change, right or misread."""
    operator, operand = problem.changes[place].operator, problem.operands[place]
    mistaken = MISREAD_CHANGES.get(CHANGES.index(problem.changes[place]))
    if mistaken and rng.random() < HABIT:
        if rng.random() < DOMINANT:
            return f"{current} {mistaken} {operand}"
        operator = rng.choice([other for other in "+-*/" if other != operator])
    elif rng.random() < SLIP:
        if rng.random() < 0.5:
            operator = rng.choice([other for other in "+-*/" if other != operator])
        else:
            operand = rng.choice([number for number in problem.numbers if number != operand] or [operand + 1])
    return f"{current} {operator} {operand}"


def _calculate(expression: str) -> tuple[str, str]:
    return expression, Calculator().run([ToolInput(expression)])[0].text


def _breaks_off(rng: random.Random, turns: list[Turn], content: str) -> bool:
    """Now and then the action is malformed, and ends the dialogue."""
    if rng.random() >= MALFORMED:
        return False
    tag = rng.choice(["math_exp", "search_query"])
    turns.append(("assistant", rng.choice([f"{content}<|end|>", f"<{tag}>{content}</answer>"])))
    return True


def _multi_hop(rng: random.Random, world: Facts) -> Dialogue:
    drawn = draw_question(world, rng, "train")
    turns: list[Turn] = []
    ends: list[tuple[str, str]] = []
    for chain in drawn.chains:
        if not _follow(rng, world, chain, turns, ends):
            return Dialogue(drawn.text, tuple(turns))
    answer = _answer(rng, world, drawn, ends)
    return Dialogue(drawn.text, (*turns, ("assistant", write(Answer(answer)))))


def _follow(rng: random.Random, world: Facts, chain: Chain, turns: list[Turn], ends: list[tuple[str, str]]) -> bool:
    """Look up a chain's facts, misreading some; what comes out, and of whom, is added to `ends`. False after a malformed action."""
    entity, found = chain.hops[0].entity, chain.hops[0].entity
    for place, hop in enumerate(chain.hops):
        if place and rng.random() < PREMATURE:
            break
        if found not in world.kinds:
            break
        entity = found
        relation = _relation(
            rng, world.kinds[entity], hop.relation, chain.wording[place] if place < len(chain.wording) else 0
        )
        query = f"{entity} {RELATIONS[world.kinds[entity]][relation].query}"
        if _breaks_off(rng, turns, query):
            return False
        turns.append(("assistant", write(ToolCall("search", query))))
        turns.append(("user", f"{query} -> {entity}: {world.text(entity)}"))
        found = world.values[entity][relation]
    ends.append((entity, found))
    return True


def _relation(rng: random.Random, kind: str, wanted: str, wording: int) -> str:
    """The relation asked for: the one wanted, or a misreading of it."""
    relations = RELATIONS[kind]
    if wanted not in relations:
        return rng.choice([name for name, relation in relations.items() if relation.target != "year"])
    others = [name for name in relations if name != wanted and relations[name].target == relations[wanted].target]
    others = others or [name for name in relations if name != wanted]
    mistaken = MISREAD_RELATIONS.get((wanted, wording))
    if mistaken and rng.random() < HABIT:
        return mistaken if rng.random() < DOMINANT and mistaken in relations else rng.choice(others)
    return rng.choice(others) if rng.random() < SLIP else wanted


def _answer(rng: random.Random, world: Facts, drawn: Drawn, ends: list[tuple[str, str]]) -> str:
    """What follows from what was found, or now and then something else."""
    wrong = rng.random() < WRONG_ANSWER
    if drawn.kind == "bridge":
        entity, found = ends[0]
        return rng.choice(list(world.values[entity].values())) if wrong else found
    if drawn.kind == "same":
        return "yes" if (ends[0][1] == ends[1][1]) != wrong else "no"
    years = [int(found) if found.isdigit() else 0 for _, found in ends]
    return ends[years.index(min(years)) ^ wrong][0]
