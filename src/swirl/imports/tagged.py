"""Texts in which tags or fences part what a policy writes from what its tools give back: as Search-R1 writes them, or ToRA.

Search-R1 (arXiv 2503.09516, section 3.2): `<think>`, `<search>query</search>`, `<information>passages</information>`, and the answer in
`<answer>`. ToRA (arXiv 2309.17452, section 2): a rationale, a program in a block fenced as `python`, its result in one fenced as `output`,
and the answer in `\\boxed{}` (`--answer boxed`). A row has `question` and `text`, and may have `id`, `answer` and `model`; where the first
four have other names, `--fields` says so. Tags around a thought are left out, the thought is not.
"""

import re
from collections.abc import Iterator
from typing import Any

from swirl.errors import RecordError
from swirl.imports import CannotMap, Format, Reading, Source, Trace, Unmapped
from swirl.imports.lines import lines
from swirl.rows import Row

_PIECE = re.compile(
    r"<(?P<tag>search|information)>(?P<inside>.*?)</(?P=tag)>"
    r"|```(?P<fence>python|output)[ \t]*\n(?P<block>.*?)(?:\n[ \t]*)?```",
    re.DOTALL,
)
_LOOSE = re.compile(r"</?(?:search|information)>|```(?:python|output)")
_THINK = re.compile(r"</?think>")
_CALLS = {"search": ("search", "query"), "python": ("python", "code")}
"""Tag or fence -> the tool it calls, and what the tool is called with."""


def read(source: Source, reading: Reading) -> Iterator[Trace | Unmapped]:
    """A trace a line."""
    for row in lines(source):
        if isinstance(row, Unmapped):
            yield row
            continue
        try:
            yield _trace(row, reading)
        except CannotMap as why:
            yield why.at(row.place)
        except RecordError as error:
            yield Unmapped(place=row.place, found="", why=str(error).removeprefix(f"{row.place}: "))


def _trace(row: Row, reading: Reading) -> Trace:
    named, model = row.texts(reading.field("id")), row.fields.get("model")
    question = {"role": "user", "content": row.text(reading.field("question"))}
    return Trace(
        place=row.place,
        messages=[question, *messages(row.text(reading.field("text")))],
        name=named[0] if named else "",
        answers=row.texts(reading.field("answer")),
        policy=model if isinstance(model, str) else "",
    )


def messages(text: str) -> list[dict[str, Any]]:
    """A text as the messages of a chat; raises `CannotMap` where a tag is not closed or a result answers no call.

    >>> told = messages("<think>Who?</think><search>Ada</search><information>A clerk.</information><answer>A clerk</answer>")
    >>> [(message["role"], message["content"]) for message in told]
    [('assistant', 'Who?'), ('tool', 'A clerk.'), ('assistant', '<answer>A clerk</answer>')]
    """
    told: list[dict[str, Any]] = []
    end = 0
    for piece in _PIECE.finditer(text):
        said, end = _thought(text[end : piece.start()]), piece.end()
        kind = piece["tag"] or piece["fence"]
        inside = (piece["inside"] if piece["tag"] else piece["block"]).strip()
        if kind in _CALLS:
            tool, argument = _CALLS[kind]
            told.append({"role": "assistant", "content": said, "tool_calls": [_call(tool, {argument: inside})]})
        elif said:
            raise CannotMap(said, f"between a call and its result, <{kind}>, stands a text: nobody says who wrote it")
        else:
            told.append({"role": "tool", "content": inside})
    if said := _thought(text[end:]):
        told.append({"role": "assistant", "content": said})
    return told


def _call(tool: str, arguments: dict[str, str]) -> dict[str, Any]:
    return {"function": {"name": tool, "arguments": arguments}}


def _thought(text: str) -> str:
    """What stands between two pieces, without the tags around thoughts."""
    if loose := _LOOSE.search(text):
        raise CannotMap(loose[0], "a tag or fence that is never closed, or never opened")
    return _THINK.sub(" ", text).strip()


FORMAT = Format(
    "tagged",
    "texts with tags, as of Search-R1 and ToRA: <search>, <information>, ```python",
    read,
    ("question", "text", "answer", "id"),
)
