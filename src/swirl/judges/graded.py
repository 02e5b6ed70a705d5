"""A graded score: how likely GOOD was against BAD, at the token where the verdict begins.

The score is P(GOOD) / (P(GOOD) + P(BAD)), each the sum over the tokens told there that begin the word, spaces, punctuation and case aside
(`GOOD`, ` good`, `GO`). Where none of one word is told, its probability is not 0: it is taken as the most it can be, which is the smallest
probability told, or what all that are told leave over, whichever is less. So a score is never further from a half than is known.
"""

import math
import re
from collections.abc import Mapping, Sequence

from swirl.errors import ServiceFailure
from swirl.policies import Completion
from swirl.services.faults import Fault
from swirl.types import Verdict, VerdictStatus

ALTERNATIVES = 10
"""How many of the likeliest tokens are asked for."""
_AFTER = 4
"""How many tokens may follow the text: an end of turn, white space that was cut off."""
_LEADING = re.compile(r"[\W_]*")
_LAST = re.compile(r"good|bad", re.IGNORECASE | re.ASCII)
_VALUE = re.compile(r'"verdict"\s*:\s*"(GOOD|BAD)"')


def graded(completion: Completion, verdict: Verdict, form: str) -> Verdict:
    """A verdict that was read, with its graded score; unreadable where the log-probabilities do not show it. Raises `ServiceFailure` where
    there are none at all."""
    if verdict.score is None:
        return verdict
    if not completion.alternatives:
        raise ServiceFailure(
            "the judge's server does not tell log-probabilities, which judge.graded = true needs; set judge.graded = false, or use another "
            "server",
            Fault.UNUSABLE.value,
        )
    share = share_of_good(completion.text, _start(completion.text, form), completion.alternatives)
    if share is None:
        return Verdict(
            None, f"its log-probabilities do not show its verdict: {verdict.reason}", VerdictStatus.UNREADABLE
        )
    return Verdict(share, verdict.reason)


def _start(text: str, form: str) -> int:
    found = [match.start(1) for match in _VALUE.finditer(text)] if form == "json" else []
    return (found or [match.start() for match in _LAST.finditer(text)] or [len(text)])[-1]


def share_of_good(text: str, start: int, alternatives: Sequence[Mapping[str, float]]) -> float | None:
    """P(GOOD) / (P(GOOD) + P(BAD)) for the verdict that begins at a character of the text; None where no token is found there.

    >>> round(share_of_good("So: GOOD", 4, [{"So": -0.1}, {":": 0.0}, {" GOOD": math.log(0.6), " BAD": math.log(0.2)}]), 9)
    0.75
    """
    place = place_of(text, start, alternatives)
    if place is None:
        return None
    told = {token: math.exp(min(logprob, 0.0)) for token, logprob in alternatives[place].items() if logprob <= math.inf}
    good, bad = (sum(share for token, share in told.items() if _begins(token, word)) for word in ("good", "bad"))
    most = min(*told.values(), max(0.0, 1.0 - sum(told.values()))) if told else 0.0
    if not good + bad:
        return None
    good, bad = good or most, bad or most
    return good / (good + bad)


def place_of(text: str, start: int, alternatives: Sequence[Mapping[str, float]]) -> int | None:
    """Which token holds a character of the text, by laying the tokens told along the text from its end; where they fit in several ways, in
    the likeliest."""
    for last in range(len(alternatives), max(0, len(alternatives) - _AFTER), -1):
        found = list(_fits(text, start, alternatives, last))
        if found:
            return max(found)[1]
    return None


def _fits(text: str, start: int, alternatives: Sequence[Mapping[str, float]], last: int) -> "list[tuple[float, int]]":
    """Every way in which tokens up to the `last` end the text: its log-probability, and the token that holds the character."""
    found: list[tuple[float, int]] = []
    ends = {len(text): 0.0}
    for place in range(last - 1, -1, -1):
        begins: dict[int, float] = {}
        for end, so_far in ends.items():
            for token, logprob in alternatives[place].items():
                if token and text.endswith(token, 0, end):
                    begin = end - len(token)
                    begins[begin] = max(begins.get(begin, -math.inf), so_far + logprob)
        found += [(total, place) for begin, total in begins.items() if begin <= start]
        ends = {begin: total for begin, total in begins.items() if begin > start}
        if not ends:
            break
    return found


def _begins(token: str, word: str) -> bool:
    """Whether a token begins a word, or holds it whole.

    >>> [_begins(token, "good") for token in (" GOOD", "GO", "**Good.", "goodness", "BAD", " ")]
    [True, True, True, False, False, False]
    """
    found = _LEADING.match(token)
    rest = token[found.end() if found else 0 :].lower()
    return bool(rest) and (word.startswith(rest) or (rest.startswith(word) and not rest[len(word)].isalpha()))
