"""How a last message gives its answer: in our tag, or in the form that `--answer` says it has."""

import re

from swirl.imports import AnswerForm, CannotMap
from swirl.imports.calls import written
from swirl.protocol import parse
from swirl.types import Action, Answer, Malformed

_BOX = re.compile(r"\\boxed\s*\{")
_LINE = re.compile(r"^\W*answer\W*:\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE)


def answer(said: str, form: AnswerForm) -> tuple[str, Action]:
    """The text of the action, with the answer in our tag, and the answer; raises `CannotMap` where the message gives none in that form.

    >>> answer(r"So Olivia has \\boxed{8} dollars.", "boxed")[1]
    Answer(text='8')
    >>> answer("I am sure.\\nANSWER: Port Lumen", "line")
    ('I am sure. <answer>Port Lumen</answer>', Answer(text='Port Lumen'))
    """
    if form == "tag":
        return _tagged(said)
    if form == "message":
        found, thought = said.strip(), ""
    elif form == "boxed":
        found, thought = _boxed(said).strip(), said.strip()
    else:
        lines = list(_LINE.finditer(said))
        found, thought = (lines[-1][1], said[: lines[-1].start()].strip()) if lines else ("", "")
    if not found:
        sought = {"message": "a text", "boxed": r"an answer in \boxed{}", "line": "a line ANSWER: ..."}[form]
        raise CannotMap(said, f"expected {sought} in the last message, found none")
    return written(Answer(found), thought)


def _tagged(said: str) -> tuple[str, Action]:
    match parse(said):
        case Answer() as found:
            return said, found
        case Malformed(reason):
            raise CannotMap(
                said,
                f"expected the answer in its tag, <answer>...</answer>, in the last message: {reason}; --answer reads other forms",
            )
    raise CannotMap(said, "expected a call of a tool as a call, found it in a tag")


def _boxed(text: str) -> str:
    """What the last box holds, its braces counted; empty where there is none."""
    boxes = list(_BOX.finditer(text))
    if not boxes:
        return ""
    start, depth = boxes[-1].end(), 1
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return text[start:place]
    return ""
