"""Exact match and F1 against torchmetrics' SQuAD, and HotPotQA's rules by worked examples.

torchmetrics knows no closed answers, so `closed=()`. Where both sides normalise to nothing SQuAD v1.1 gives an F1 of 0, and we, like SQuAD
2.0 and torchmetrics, 1: those pairs are looked at apart, and by name.
"""

import random
import string
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from swirl.tasks.answers import exact_match, grade_text, normalise, overlap

WORDS = (
    "Ada",
    "Quill",
    "Port",
    "Lumen",
    "silver",
    "harbour",
    "novel",
    "1995",
    "3.5",
    "café",
    "O'Brien",
    "co-op",
    "U.S.",
    "yes",
    "no",
)
NOTHING = ("", "the", "a", "!?", " . ", "An", "the the", "--")
SEED = 4


class Pair(NamedTuple):
    """An answer and the accepted ones."""

    answer: str
    golds: Sequence[str]


def pairs(count: int) -> list[Pair]:
    """Near-misses, aliases, punctuation, articles and empty sides."""
    rng = random.Random(SEED)
    return [_pair(rng) for _ in range(count)]


def _pair(rng: random.Random) -> Pair:
    golds = [_phrase(rng) for _ in range(rng.randint(1, 3))]
    kind = rng.choice(("same", "near", "other", "nothing", "nothing in both"))
    if kind.startswith("nothing"):
        answer = rng.choice(NOTHING)
        return Pair(answer, [rng.choice(NOTHING)] if kind == "nothing in both" else golds)
    if kind == "other":
        return Pair(_phrase(rng), golds)
    words = rng.choice(golds).split()
    if kind == "near":
        words = _missed(rng, words)
    return Pair(_dressed(rng, words), golds)


def _phrase(rng: random.Random) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 5)))


def _missed(rng: random.Random, words: list[str]) -> list[str]:
    """A word less, a word more, one twice, or another order."""
    place = rng.randrange(len(words))
    changed = (
        words[:place] + words[place + 1 :],
        [*words[:place], rng.choice(WORDS), *words[place:]],
        [*words, words[place]],
        words[::-1],
    )
    return rng.choice(changed)


def _dressed(rng: random.Random, words: list[str]) -> str:
    """In other letters, with articles, punctuation and spaces that should not matter."""
    told = [rng.choice((word, word.lower(), word.upper())) for word in words]
    told = [f"{rng.choice(('the', 'A', 'an'))} {word}" if rng.random() < 0.2 else word for word in told]
    told = [word + rng.choice(string.punctuation) if rng.random() < 0.2 else word for word in told]
    return rng.choice((" ", "  ", "\t")).join(told)


def is_nothing(pair: Pair) -> bool:
    """Whether a side that both have normalises to nothing: the documented difference from SQuAD v1.1."""
    return not normalise(pair.answer) and any(not normalise(gold) for gold in pair.golds)


PAIRS = pairs(1000)


def ours(pair: Pair) -> tuple[float, float]:
    """Exact match and F1, without HotPotQA's rule."""
    f1 = max(overlap(pair.answer, gold, closed=()).f1 for gold in pair.golds)
    return float(exact_match(pair.answer, pair.golds)), f1


def theirs(pair: Pair) -> tuple[float, float]:
    text = pytest.importorskip("torchmetrics.functional.text")
    target = {"answers": {"answer_start": [0] * len(pair.golds), "text": list(pair.golds)}, "id": "1"}
    found = text.squad([{"prediction_text": pair.answer, "id": "1"}], [target])
    return float(found["exact_match"]) / 100, float(found["f1"]) / 100


def test_the_pairs_hold_what_they_should() -> None:
    found = [ours(pair) for pair in PAIRS if not is_nothing(pair)]
    assert sum(exact == 1 for exact, _ in found) > 100
    assert sum(0 < f1 < 1 for _, f1 in found) > 200
    assert sum(f1 == 0 for _, f1 in found) > 100
    assert sum(is_nothing(pair) for pair in PAIRS) > 100
    assert sum(len(pair.golds) > 1 for pair in PAIRS) > 300


@pytest.mark.parametrize("nothing", [False, True], ids=["v1.1 and 2.0 alike", "nothing on both sides, as SQuAD 2.0"])
def test_exact_match_and_f1_are_those_of_torchmetrics(nothing: bool) -> None:
    mine = [pair for pair in PAIRS if is_nothing(pair) is nothing]
    differing = [pair for pair in mine if ours(pair) != pytest.approx(theirs(pair), abs=1e-6)]
    assert not differing
    assert not nothing or {ours(pair) for pair in mine} == {(1.0, 1.0)}


@pytest.mark.parametrize("pair", PAIRS[::10], ids=str)
def test_exact_match_never_exceeds_f1(pair: Pair) -> None:
    grade = grade_text(pair.answer, pair.golds)
    assert grade.exact_match <= grade.f1 + 1e-12
    assert min(grade.precision, grade.recall) - 1e-12 <= grade.f1 <= max(grade.precision, grade.recall) + 1e-12


@pytest.mark.parametrize(
    ("answer", "gold", "found"),
    [
        ("Animorphs series", "Animorphs", (2 / 3, 1 / 2, 1.0)),
        ("President Richard Nixon", "Richard Nixon", (4 / 5, 2 / 3, 1.0)),
        ("Chief of Protocol", "Chief of Protocol of the United States", (2 / 3, 1.0, 1 / 2)),
        ("the the Greenwich Village", "Greenwich Village, New York City", (4 / 7, 1.0, 2 / 5)),
        ("no no", "no", (0.0, 0.0, 0.0)),
        ("yes", "no", (0.0, 0.0, 0.0)),
        ("no", "yes, no", (0.0, 0.0, 0.0)),
        ("noanswer", "no answer", (0.0, 0.0, 0.0)),
        ("YES!", "yes", (1.0, 1.0, 1.0)),
    ],
)
def test_hotpotqa_by_hand(answer: str, gold: str, found: tuple[float, float, float]) -> None:
    """F1, precision and recall of words, worked by hand after the official evaluation: a closed answer on either side is all or nothing."""
    assert overlap(answer, gold) == pytest.approx(found)
