"""The numbers that a text holds, in digits and in English words, and those that may be calculated with once it is read.

- Digits are read with their sign, thousands commas and decimals; `3/4` is a fraction.
- Number words are read singly and in runs: `twenty-five` holds 20, 5 and 25; `two thirds` holds 2, 3, 1/3 and 2/3; `two and a half dozen`
  holds 2.5 and 30 as well.
- Some words bring numbers along by what they mean: a week has 7 days, a dime is 0.10 (`implied`).

It reads no meaning: `second` is 2, in a row and in a minute.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from fractions import Fraction
from itertools import pairwise

DIGITS = r"(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,300})(?:\.\d{1,300})?|\.\d{1,300})(?:[eE][-+]?\d{1,2}\b)?"
"""Pattern of a number in digits, without its sign."""

# A hyphen is a minus where neither a word nor a number stands before it: not in `10-12`, nor in `10 - 12`.
_MINUS = r"(?<![\w.)])(?<!\d )[-−] ?"
_WRITTEN = re.compile(rf"({_MINUS})?\$?({DIGITS})(?: ?/ ?([1-9]\d{{0,9}}))?")
_WORD = re.compile(rf"{DIGITS}|[A-Za-z]+")
_JOINT = re.compile(r"[\s-]*")
_FILLERS = ("a", "an", "and")
_LONGEST_RUN = 8
_MOST_DECIMALS = 12

_FREE = frozenset(map(Fraction, ("0", "1/2", "1", "2", "100")))
_HUNDREDTHS = re.compile(r"%|per ?cent|\bcents?\b", re.IGNORECASE)

_MEANINGS = {
    "zero none": "0",
    "one once single first": "1",
    "two twice double doubled doubles couple pair pairs both second": "2",
    "three thrice triple tripled triples": "3",
    "four quadruple quadrupled": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
    "eleven": "11",
    "twelve": "12",
    "thirteen": "13",
    "fourteen": "14",
    "fifteen": "15",
    "sixteen": "16",
    "seventeen": "17",
    "eighteen": "18",
    "nineteen": "19",
    "twenty": "20",
    "thirty": "30",
    "forty": "40",
    "fifty": "50",
    "sixty": "60",
    "seventy": "70",
    "eighty": "80",
    "ninety": "90",
    "half halves halved": "1/2 2",
    "third thirds": "1/3 3",
    "quarter quarters fourth fourths": "1/4 4",
    "fifth fifths": "1/5 5",
    "sixth sixths": "1/6 6",
    "seventh sevenths": "1/7 7",
    "eighth eighths": "1/8 8",
    "ninth ninths": "1/9 9",
    "tenth tenths": "1/10 10",
    "dozen dozens": "12",
    "hundred hundreds": "100",
    "thousand thousands": "1000",
    "million millions": "1000000",
}
_UNITS = {
    "minute minutes": "60",
    "hour hours hourly": "24 60",
    "day days daily": "7 24 365",
    "week weeks weekly": "7 52",
    "month months monthly": "4 12 30",
    "year years yearly annual annually": "12 52 365",
    "quarterly": "4",
    "decade decades": "10",
    "century centuries": "100",
    "penny pennies": "1 0.01",
    "nickel nickels": "5 0.05",
    "dime dimes": "10 0.1",
    "quarter quarters": "25 0.25",
    "cent cents dollar dollars percent percentage": "100",
    "inch inches foot feet": "12",
    "yard yards": "3 36",
    "mile miles": "5280",
    "ounce ounces pound pounds": "16",
    "ton tons": "2000",
    "pint pints": "2 8",
    "quart quarts": "2 4 32",
    "gallon gallons": "4 8 16",
    "meter meters metre metres": "100 1000",
    "kilometer kilometers kilometre kilometres gram grams kilogram kilograms liter liters litre litres": "1000",
}
_SCALES = frozenset(["dozen", "dozens", "hundred", "hundreds", "thousand", "thousands", "million", "millions"])


def _by_word(table: Mapping[str, str]) -> dict[str, tuple[Fraction, ...]]:
    return {word: tuple(map(Fraction, numbers.split())) for words, numbers in table.items() for word in words.split()}


_OF_WORD, _OF_UNIT = _by_word(_MEANINGS), _by_word(_UNITS)


def written(text: str) -> list[Fraction]:
    """The numbers written in digits, in order, a fraction as one number.

    >>> [str(number) for number in written("From 10-12 it fell to -3.50, then to 3/4 of $1,200.")]
    ['10', '12', '-7/2', '3/4', '1200']
    """
    return [(-1 if match[1] else 1) * _in_digits(match[2]) / int(match[3] or 1) for match in _WRITTEN.finditer(text)]


def held(text: str) -> set[Fraction]:
    """Every number that a text can be taken to hold, in digits or words; of a fraction, both its numbers too.

    >>> sorted(str(number) for number in held("Twenty-five of them, or 3/4"))
    ['20', '25', '3', '3/4', '4', '5']
    """
    parts = {_in_digits(part) for match in _WRITTEN.finditer(text) if match[3] for part in match.groups()[1:]}
    singles = {number for match in _WORD.finditer(text) for number in _OF_WORD.get(match[0].lower(), ())}
    return {*written(text), *parts, *singles, *_in_runs(text)}


def implied(text: str) -> set[Fraction]:
    """The numbers that units of time, money and measure bring along.

    >>> sorted(map(int, implied("They ran 3 days a week.")))
    [7, 24, 52, 365]
    """
    return {number for match in _WORD.finditer(text) for number in _OF_UNIT.get(match[0].lower(), ())}


def usable(question: str, results: Iterable[str]) -> set[Fraction]:
    """The numbers that a calculation may use, signs aside: those of the question and of the results, what units bring along, hundredths
    where the question speaks of them, and what a part leaves or comes to. Halves, doubles, complements and percentages are free.

    >>> usable("The price of 400 falls by 20 %.", []) >= {Fraction("0.2"), Fraction("0.8"), Fraction("1.2"), Fraction(2)}
    True
    """
    numbers = held(question).union(implied(question), *map(held, results))
    known = {abs(number) for number in numbers} | _FREE
    if _HUNDREDTHS.search(question):
        known |= {number / 100 for number in known}
    parts = {number for number in known if 0 < number < 1}
    return known | {1 - part for part in parts} | {1 + part for part in parts}


def rounds(number: Fraction, exact: Fraction) -> bool:
    """Whether a number is another, rounded to the decimals it shows.

    >>> [rounds(Fraction(shown), Fraction(100, 3)) for shown in ("33.33", "33.3", "33", "33.34", "34")]
    [True, True, True, False, False]
    """
    if number == exact:
        return True
    decimals = next((n for n in range(_MOST_DECIMALS) if (number * 10**n).denominator == 1), None)
    return decimals is not None and abs(number - exact) * 2 * 10**decimals <= 1


def comes_from(number: Fraction, sources: Set[Fraction]) -> bool:
    """Whether a number is one of others, rounded or not.

    >>> [comes_from(Fraction(number), {Fraction(5), Fraction(1, 3)}) for number in ("5", "0.33", "4")]
    [True, True, False]
    """
    return number in sources or any(rounds(number, source) for source in sources)


def _in_digits(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))


def _in_runs(text: str) -> set[Fraction]:
    """What neighbouring number words mean together, in every run of them."""
    spans = (
        run[first:last]
        for run in _runs(text)
        for first in range(len(run))
        for last in range(first + 2, min(len(run), first + _LONGEST_RUN) + 1)
    )
    return {number for span in spans if (number := _together(span)) is not None}


def _runs(text: str) -> Iterator[list[str]]:
    """The longest runs of number words with only spaces and hyphens between them; a number in digits may be the first of one."""
    run: list[str] = []
    end = 0
    for match in _WORD.finditer(text):
        word = match[0].lower()
        counts = word in _OF_WORD or word in _FILLERS or not word.isalpha()
        if not counts or not word.isalpha() or not _JOINT.fullmatch(text, end, match.start()):
            yield run
            run = []
        if counts:
            run.append(word)
        end = match.end()
    yield run


def _together(words: Sequence[str]) -> Fraction | None:
    """One number from several words, None where they are none: a dozen and the like multiply what is smaller before them, a part is taken
    of the number right before it, and the rest adds up from large to small."""
    heap: list[Fraction] = []
    apart = True
    for word in words:
        if word in _FILLERS:
            apart = True
            continue
        number = _OF_WORD[word][0] if word.isalpha() else _in_digits(word)
        if word in _SCALES:
            smaller = [part for part in heap if part < number]
            heap = [*heap[: len(heap) - len(smaller)], number * sum(smaller) if smaller else number]
        elif number < 1 and not apart:
            heap[-1] *= number
        else:
            heap.append(number)
        apart = False
    fits = all(_has_room(larger, smaller) for larger, smaller in pairwise(heap))
    return sum(heap, Fraction(0)) if heap and fits else None


def _has_room(larger: Fraction, smaller: Fraction) -> bool:
    """Whether a number said after another adds to it: 5 to 20, a half to 2, never 5 to 7."""
    if smaller < 1:
        return larger.denominator == 1
    return larger > 0 and larger % 10 ** len(str(int(smaller))) == 0
