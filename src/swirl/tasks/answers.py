"""When two answers are the same: numbers by value, texts by SQuAD's normalisation, exact match and token F1.

The figures are those of the official SQuAD v1.1 evaluation, with one difference, SQuAD 2.0's rule: where both sides normalise to nothing,
exact match and F1 are 1.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)
_NUMBER = re.compile(r"(?<![\w.])[-+]?\s?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:/\d+|(?<=\d)[eE][-+]?\d+)?")
_MAX_LENGTH = 200
"""Longer texts are no number: they are compared as texts."""
_MAX_EXPONENT = 300
"""Nor are numbers with a larger exponent: written out they would not fit in memory."""


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


def f1(answer: str, golds: Sequence[str]) -> float:
    """Token F1 against the best accepted answer; 0 where there is none.

    >>> round(f1("Sir Francis Baring", ["Francis Baring, 1st Baronet"]), 3)
    0.571
    """
    return max((_f1(normalise(answer).split(), normalise(gold).split()) for gold in golds), default=0.0)


def _f1(answer: list[str], gold: list[str]) -> float:
    if not answer and not gold:
        return 1.0
    shared = sum((Counter(answer) & Counter(gold)).values())
    return 2 * shared / (len(answer) + len(gold)) if shared else 0.0


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
