"""What is better than what: continuations of one prompt, good ones put against bad ones.

Never guessed: a continuation that is called good here and bad there is in no pair. Each distinct one is in one pair at most, in the order
they came.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from swirl.exports import Item, Row
from swirl.exports.turns import Turn


class Candidate(NamedTuple):
    """A continuation that is known to be good, or bad."""

    prompt: list[Turn]
    said: list[Turn]
    good: bool
    trajectory: str
    """Id of the one it comes from."""


def pairs(candidates: Iterable[Candidate]) -> Iterator[Row]:
    """The pairs among the candidates of one question."""
    by_prompt: dict[tuple[str, ...], dict[tuple[str, ...], list[Candidate]]] = defaultdict(lambda: defaultdict(list))
    for each in candidates:
        by_prompt[_texts(each.prompt)][_texts(each.said)].append(each)
    for distinct in by_prompt.values():
        agreed = [same[0] for same in distinct.values() if len({each.good for each in same}) == 1]
        good, bad = ([each for each in agreed if each.good is wanted] for wanted in (True, False))
        for chosen, rejected in zip(good, bad, strict=False):
            yield {
                "prompt": chosen.prompt,
                "chosen": chosen.said,
                "rejected": rejected.said,
                "chosen_trajectory": chosen.trajectory,
                "rejected_trajectory": rejected.trajectory,
            }


def question(item: Item) -> tuple[str, str]:
    """What tells one question from another."""
    return item.trajectory.question.task, item.trajectory.question.id


def _texts(turns: list[Turn]) -> tuple[str, ...]:
    return tuple(turn["content"] for turn in turns)
