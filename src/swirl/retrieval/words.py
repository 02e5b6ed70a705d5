"""Texts as the words BM25 counts: lower case, two characters or more, no stop words, stems.

A `Reading` says how it is done, and is written into an index, so that queries are read as its passages were.
"""

import re
from array import array
from threading import Lock

import Stemmer
from bm25s.stopwords import STOPWORDS_EN
from msgspec import Struct

from swirl.types import Passage


class Reading(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How texts become words."""

    pattern: str = r"(?u)\b\w\w+\b"
    """What a word is, in lower case."""
    stemmer: str = "english"
    """Snowball's algorithm of that name."""
    stop_words: tuple[str, ...] = tuple(STOPWORDS_EN)
    fields: tuple[str, ...] = ("title", "title", "text")
    """The parts of a passage that count; the title twice, because it says what a passage is about."""


class Words:
    """Reads texts, and numbers the stems it meets in passages, in the order in which it meets them.

    >>> words = Words(Reading())
    >>> words.number(Passage("p1", "Ada", "Ada was born in the harbours.")).tolist()
    [0, 0, 0, 1, 2]
    >>> words.stems("A harbour to the harbours?"), sorted(words.numbers)
    (['harbour', 'harbour'], ['ada', 'born', 'harbour'])
    """

    def __init__(self, reading: Reading, numbers: dict[str, int] | None = None) -> None:
        self.numbers: dict[str, int] = {} if numbers is None else numbers
        """Stem -> number."""
        self._fields = reading.fields
        self._find = re.compile(reading.pattern).findall
        self._stop = frozenset(reading.stop_words)
        self._stemmer = Stemmer.Stemmer(reading.stemmer)
        self._alone = Lock()
        """Held around a stemmer, which one thread at a time may use."""
        self._known: dict[str, int] = {}
        """Word -> its stem's number, -1 for a stop word."""

    def stems(self, text: str) -> list[str]:
        """The stems of a text's words, in order, repeated ones repeated; several threads may ask at once."""
        words = [word for word in self._find(text.lower()) if word not in self._stop]
        with self._alone:
            found: list[str] = self._stemmer.stemWords(words)
        return found

    def number(self, passage: Passage) -> "array[int]":
        """The numbers of a passage's stems, new ones added."""
        found = self._find(" ".join(getattr(passage, field) for field in self._fields).lower())
        known = self._known
        numbered = [known[word] if word in known else self._learn(word) for word in found]
        return array("i", [number for number in numbered if number >= 0])

    def _learn(self, word: str) -> int:
        number = -1 if word in self._stop else self.numbers.setdefault(self._stemmer.stemWord(word), len(self.numbers))
        self._known[word] = number
        return number
