"""The words of a text as the judges compare them: without case, accents, hyphens and possessives, small words left out.

`U.S.` is the word `us`; names are the words that stand capitalised. It reads no meaning and knows no synonyms: `UK` is not the United
Kingdom.
"""

import re
import unicodedata
from collections.abc import Sequence

_INITIALS = re.compile(r"\b(?:[^\W\d_]\.){2,}")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_POSSESSIVE = re.compile(r"['’]s\Z")
_SMALL_WORDS = """a an and are as at be been between both by did do does for from had has have he her him his how in is it its many much
of on or s she than that the their them then there these they this those to was were what when where which who whom whose will with would"""
_EMPTY_WORDS = frozenset(_SMALL_WORDS.split())
_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "’": "'"})


def plain(text: str) -> str:
    """A text without case and accents.

    >>> plain("Tekezé, GROẞ, Bertrand Traoré")
    'tekeze, gross, bertrand traore'
    """
    apart = unicodedata.normalize("NFD", text.casefold())
    return "".join(character for character in apart if not unicodedata.combining(character)).translate(_PLAIN)


def sequence(text: str) -> list[str]:
    """The words that mean something, in order; all of them where none does (`The Who`).

    >>> sequence("Where is Géza's U.S. home-town?"), sequence("The Who")
    (['geza', 'us', 'home', 'town'], ['the', 'who'])
    """
    words = _all(text)
    return [word for word in words if word not in _EMPTY_WORDS] or words


def content(text: str) -> set[str]:
    """The words that mean something; none where there is none.

    >>> content("The Who")
    set()
    """
    return set(_all(text)) - _EMPTY_WORDS


def names(text: str) -> list[str]:
    """The capitalised words that mean something, in order.

    >>> names("Is Ada Quill's home in Port Lumen?")
    ['ada', 'quill', 'port', 'lumen']
    """
    return [word for word, is_name in _marked(text) if is_name]


def phrases(text: str) -> list[list[str]]:
    """The names, those that stand side by side together.

    >>> phrases("Are Ada Quill and the mayor of Port Lumen both American?")
    [['ada', 'quill'], ['port', 'lumen'], ['american']]
    """
    found: list[list[str]] = [[]]
    for word, is_name in _marked(text):
        if is_name:
            found[-1].append(word)
        elif found[-1]:
            found.append([])
    return [phrase for phrase in found if phrase]


def opening(text: str) -> str:
    """The first word, where it may be capitalised for its place alone: where a small letter follows; else nothing.

    >>> opening("Population of Port Lumen"), opening("Port Lumen population"), opening("population")
    ('population', '', '')
    """
    match _marked(text):
        case [(word, True), (_, False), *_]:
            return word
    return ""


def stands_in(words: Sequence[str], text: Sequence[str], gap: int = 1) -> bool:
    """Whether words stand in a text in order and close together, at most `gap` others between them.

    >>> stands_in(["mohandas", "gandhi"], sequence("Mohandas Karamchand Gandhi was born in 1869."))
    True
    >>> stands_in(["ada", "lumen"], sequence("Ada Quill of Port Elba, later mayor of Upper Lumen"))
    False
    """
    return any(
        _follows(words, text[start : start + len(words) + gap]) for start, word in enumerate(text) if word == words[0]
    )


def _follows(words: Sequence[str], stretch: Sequence[str]) -> bool:
    left = iter(stretch)
    return all(word in left for word in words)


def _all(text: str) -> list[str]:
    return [word for word, _ in _tokens(text)]


def _marked(text: str) -> list[tuple[str, bool]]:
    """Each word, and whether it is a name: capitalised, and not a small word."""
    return [(word, is_capital and word not in _EMPTY_WORDS) for word, is_capital in _tokens(text)]


def _tokens(text: str) -> list[tuple[str, bool]]:
    joined = _INITIALS.sub(lambda match: match[0].replace(".", ""), text)
    return [(_POSSESSIVE.sub("", plain(match[0])), match[0][0].isupper()) for match in _WORD.finditer(joined)]
