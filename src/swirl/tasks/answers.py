"""When two answers are the same: numbers by value, texts by SQuAD's normalisation, exact match, and F1, precision and recall of words.

The figures are those of the official SQuAD v1.1 evaluation, with HotPotQA's rule for `yes`, `no` and `noanswer`: an answer that is one of
these and not the accepted one, or the other way round, shares nothing with it. One difference, SQuAD 2.0's rule: where both sides
normalise to nothing, all four are 1.
"""

import re
import string
from collections import Counter
from collections.abc import Collection, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from swirl.tasks import Grade

CLOSED = ("yes", "no", "noanswer")
"""Answers that are right or wrong as a whole (HotPotQA)."""

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)
_NUMBER = re.compile(r"(?<![\w.])[-+]?\s?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:/\d+|(?<=\d)[eE][-+]?\d+)?")
_MAX_LENGTH = 200
"""Longer texts are no number: they are compared as texts."""
_MAX_EXPONENT = 300
"""Nor are numbers with a larger exponent: written out they would not fit in memory."""
_REMEMBERED = 4096
"""Texts whose reading is remembered: an accepted answer is compared with again and again."""


@lru_cache(maxsize=_REMEMBERED)
def normalise(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces.

    >>> normalise("The  Silver-Harbour, a novel!")
    'silverharbour novel'
    """
    bare = "".join(character for character in text.lower() if character not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(answer: str, golds: Sequence[str]) -> bool:
    """Whether the answer equals one of the accepted ones, normalised.

    >>> exact_match("the Rush", ["Rush", "Rush (band)"])
    True
    """
    return any(normalise(answer) == normalise(gold) for gold in golds)


class Overlap(NamedTuple):
    """How many words two answers share: their harmonic mean first, then the share of the answer's, and of the accepted one's."""

    f1: float
    precision: float
    recall: float


def overlap(answer: str, gold: str, *, closed: Collection[str] = CLOSED) -> Overlap:
    """Words of an answer and of an accepted one. Those of `closed` share nothing with any other.

    >>> overlap("Sir Francis Baring", "Francis Baring, 1st Baronet")
    Overlap(f1=0.5714285714285714, precision=0.6666666666666666, recall=0.5)
    >>> overlap("yes it is", "yes").f1, overlap("yes it is", "yes", closed=()).f1
    (0.0, 0.5)
    """
    mine, theirs = normalise(answer), normalise(gold)
    if mine == theirs:
        return Overlap(1.0, 1.0, 1.0)
    if mine in closed or theirs in closed:
        return Overlap(0.0, 0.0, 0.0)
    words, gold_words = mine.split(), theirs.split()
    shared = sum((Counter(words) & Counter(gold_words)).values())
    if not shared:
        return Overlap(0.0, 0.0, 0.0)
    return Overlap(2 * shared / (len(words) + len(gold_words)), shared / len(words), shared / len(gold_words))


def grade_text(answer: str, golds: Sequence[str], *, correct: bool | None = None) -> Grade:
    """The grade of an answer by its words; it is correct where it matches exactly, unless a task that compares by value says otherwise.

    >>> grade_text("the Rush", ["Rush", "Rush (band)"])
    Grade(correct=True, exact_match=True, f1=1.0, precision=1.0, recall=1.0, by_value=False)
    """
    matches = exact_match(answer, golds)
    best = max((overlap(answer, gold) for gold in golds), default=Overlap(0.0, 0.0, 0.0))
    right, by_value = (matches, False) if correct is None else (correct, True)
    return Grade(correct=right, exact_match=matches, by_value=by_value, **best._asdict())


@lru_cache(maxsize=_REMEMBERED)
def number(text: str) -> Fraction | None:
    """The one number that a text holds, None where it holds none or several. Currency signs, thousands commas, units and a sentence around
    it are allowed; `50%` is 50 and `1.5e3` is 1500.

    >>> number("$1,250.00"), number("10 apples"), number("3/4"), number("12 or 13"), number("twelve")
    (Fraction(1250, 1), Fraction(10, 1), Fraction(3, 4), None, None)
    """
    if len(text) > _MAX_LENGTH:
        return None
    plain = text.replace("$", "").replace("−", "-")
    found = [match[0] for match in _NUMBER.finditer(plain) if any(character.isdigit() for character in match[0])]
    if len(found) != 1:
        return None
    written = found[0].replace(",", "").replace(" ", "")
    try:
        exponent = int(written.lower().partition("e")[2] or 0)
        return Fraction(written) if abs(exponent) <= _MAX_EXPONENT else None
    except (ValueError, ZeroDivisionError):
        return None


def is_number(text: str) -> bool:
    """Whether a text is a number and nothing else, but for a currency or a percent sign.

    >>> [text for text in ("-3.5", "$1,250", "50%", "3/4", "10 apples", "May 1995", "1995-05") if is_number(text)]
    ['-3.5', '$1,250', '50%', '3/4']
    """
    bare = text.strip().replace("−", "-").replace("$", "").removesuffix("%").strip()
    return number(text) is not None and _NUMBER.fullmatch(bare) is not None


def numeric_equal(answer: str, gold: str) -> bool:
    """Whether two texts hold the same number.

    >>> [numeric_equal(text, "1000") for text in ("1,000", "$1000.00", "1000 dollars", "1001", "a thousand")]
    [True, True, True, False, False]
    """
    mine, theirs = number(answer), number(gold)
    return mine is not None and mine == theirs
