"""What a language model's reply says: GOOD or BAD, or nothing that can be read.

A verdict is read at the very end of a text and nowhere else, where GOOD or BAD stands alone (on a line, after a full stop or a colon) or in
a plain statement (`so the answer is BAD`), or from a JSON object that is just what was asked for. All else is unreadable: no score, never
a zero. A request that failed has no score either, and says how it failed.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import msgspec

from swirl.errors import ServiceFailure
from swirl.policies import Completion, Finish
from swirl.services.faults import Fault
from swirl.types import Verdict, VerdictStatus

T = TypeVar("T")

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"explanation": {"type": "string"}, "verdict": {"type": "string", "enum": ["GOOD", "BAD"]}},
    "required": ["explanation", "verdict"],
    "additionalProperties": False,
}
"""The JSON schema of a verdict."""

_MARKS = str.maketrans("", "", "*_`~#>\"'“”‘’()[]{}")
"""Markdown, quotes and brackets, which say nothing of a verdict."""
_BREAK = re.compile(r"[.!?:;\n—]")
_OPENING = "(?:(?:so|thus|hence|therefore|overall|finally),? )?"
_NOUN = "message|query|call|search|calculation|step|answer|verdict|judge?ment"
_LONGEST = 4000
"""Most characters of the explanations of several votes together."""
_FAILED = {
    Fault.REFUSED.value: VerdictStatus.REFUSED,
    Fault.TIMED_OUT.value: VerdictStatus.TIMED_OUT,
    Fault.OVER_BUDGET.value: VerdictStatus.OVER_BUDGET,
    Fault.DOWN.value: VerdictStatus.JUDGE_DOWN,
}


class _Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    explanation: str
    verdict: Literal["GOOD", "BAD"]


def read_verdict(completion: Completion) -> Verdict:
    """The GOOD or BAD that an explanation ends with.

    >>> read_verdict(Completion(text="It asks for what is missing. **GOOD**")).score
    1.0
    >>> read_verdict(Completion(text="I cannot say whether it is good.")).status
    <VerdictStatus.UNREADABLE: 'unreadable'>
    """
    found = last_word(completion, "good", "bad")
    return Verdict(float(found == "good"), completion.text.strip()) if found else unreadable(completion)


def read_json(completion: Completion) -> Verdict:
    """The verdict in a JSON object that follows `SCHEMA`.

    >>> read_json(Completion(text='{"explanation": "It repeats itself.", "verdict": "BAD"}')).score
    0.0
    >>> read_json(Completion(text='{"verdict": "good"}')).status.value
    'unreadable'
    """
    said = strict_json(completion, _Said)
    return unreadable(completion) if said is None else Verdict(float(said.verdict == "GOOD"), said.explanation.strip())


def strict_json(completion: Completion, kind: type[T]) -> T | None:
    """A reply that is one JSON value of a kind and nothing else, no key twice; None where it is not, or was cut off."""
    if completion.finish is not Finish.STOP:
        return None
    try:
        said = msgspec.json.decode(completion.text, type=kind)
        json.loads(completion.text, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        return None
    return said


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands there twice")


def unreadable(completion: Completion) -> Verdict:
    """The verdict where a reply holds none."""
    if completion.finish is Finish.CONTEXT:
        return Verdict(None, "the prompt leaves no room for a verdict", VerdictStatus.UNREADABLE)
    return Verdict(None, completion.text.strip(), VerdictStatus.UNREADABLE)


def failed(failure: ServiceFailure) -> Verdict:
    """The verdict where a request failed; raises the failure where no request will be answered.

    >>> failed(ServiceFailure("its reply was not there after 600 s", "timed_out")).status.value
    'timed_out'
    """
    if failure.fault not in _FAILED:
        raise failure
    return Verdict(None, str(failure), _FAILED[failure.fault])


def combined(votes: Sequence[Verdict]) -> Verdict:
    """What several votes come to: the mean score of those that can be read; missing where these are fewer than half, with the status of
    most of the others. The reason holds the beginning of every explanation.

    >>> silent = Verdict(None, "?", VerdictStatus.UNREADABLE)
    >>> combined([Verdict(1.0, "yes"), Verdict(0.0, "no"), silent]).score, combined([Verdict(1.0), silent, silent]).status.value
    (0.5, 'unreadable')
    """
    if len(votes) == 1:
        return votes[0]
    room = max(1, _LONGEST // len(votes))
    reason = "\n".join(f"vote {number}: {vote.reason:.{room}}" for number, vote in enumerate(votes, start=1))
    scores = [vote.score for vote in votes if vote.score is not None]
    if 2 * len(scores) >= len(votes):
        return Verdict(sum(scores) / len(scores), reason)
    return Verdict(None, reason, Counter(vote.status for vote in votes if vote.score is None).most_common(1)[0][0])


def last_word(completion: Completion, *words: str, of: str = "last|final") -> str:
    """The one of these words that an explanation ends with, alone or said of the `of` message, answer and so on; empty where it ends in
    none of them, or was cut off.

    >>> last_word(Completion(text="They name the same town: CORRECT"), "correct", "incorrect")
    'correct'
    """
    last = _BREAK.split(completion.text.strip().translate(_MARKS).rstrip(" \n.!"))[-1]
    plain = " ".join(last.split()).removeprefix("- ")
    stated = rf"(?:{_OPENING}(?:it|this|that|(?:the|this|my) (?:(?:{of}) )?(?:{_NOUN})) is )?({'|'.join(words)})"
    found = re.fullmatch(stated, plain, re.IGNORECASE)
    return found[1].lower() if found and completion.finish is Finish.STOP else ""
