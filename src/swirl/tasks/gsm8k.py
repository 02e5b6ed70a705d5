"""GSM8K: grade-school word problems with worked solutions, from a local folder or file, or from the Hugging Face hub.

A solution marks its calculations, `<<48/2=24>>`: they give demonstrations in the protocol, and the values that judge other judges
(`swirl.judges.reference`). The cap of 10 calls is the paper's.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from swirl.errors import ConfigError, RecordError
from swirl.expression import BadExpression, value
from swirl.protocol import write
from swirl.rows import Row, by_id, read_rows
from swirl.tasks import Grade, Split
from swirl.tasks.answers import grade_text, numeric_equal
from swirl.tasks.hub import default_location, hub_rows, is_path
from swirl.tasks.partition import shuffled
from swirl.types import Answer, Passage, Question, ToolCall

HUB_ID = "openai/gsm8k"

_MARK = re.compile(r"<<([^<>=]+)=([^<>]+)>>")
_FINAL = "####"
_MAX_THOUGHT = 160
"""Characters of a demonstration's thought."""


class Gsm8k:
    """The task. `location` is a folder with `train.jsonl` and `test.jsonl`, one such file for both splits, or a hub id. By default it is
    the folder `gsm8k` in the one that the environment variable SWIRL_DATA names, else openai/gsm8k on the hub."""

    name = "gsm8k"
    tools: tuple[str, ...] = ("calculator",)
    max_calls = 10
    scoped = False

    def __init__(self, location: str = "") -> None:
        self.location = location or default_location("gsm8k", HUB_ID)

    def questions(self, split: Split, seed: int | None = None) -> Iterator[Question]:
        """All questions of a split, shuffled by the seed."""
        named = by_id(self._rows(split), default=lambda place: f"gsm8k-{split}-{place:05}")
        yield from shuffled([question(row, name) for name, row in named], seed)

    def _rows(self, split: Split) -> Iterator[Row]:
        path = Path(self.location).expanduser()
        if path.is_dir():
            return read_rows(path / f"{split}.jsonl")
        if path.is_file():
            return read_rows(path)
        if is_path(self.location):
            raise ConfigError(
                f"expected GSM8K in a folder with train.jsonl and test.jsonl at {path}, found nothing there"
            )
        return hub_rows(self.location, "main", split, "gsm8k")

    def grade(self, question: Question, answer: str) -> Grade:
        if not question.answers:
            raise ConfigError(f"question {question.id!r} has no accepted answer to compare with")
        correct = any(numeric_equal(answer, gold) for gold in question.answers)
        return grade_text(answer, question.answers, correct=correct)

    def passages(self) -> Sequence[Passage]:
        return ()

    def demonstration(self, question: Question) -> list[str] | None:
        return demonstration(question.meta.get("solution", ""), question.answers)


def question(row: Row, name: str) -> Question:
    """A row, in the official form (`answer` is the solution) or the normalised one (`answer` a list, the solution under `meta`).

    >>> question(Row("train.jsonl:1", {"question": "Half of 48?", "answer": "48/2 = <<48/2=24>>24\\n#### 24"}), "g1").answers
    ('24',)
    """
    solution = _solution(row)
    is_list = isinstance(row.fields.get("answer"), list)
    listed = row.texts("answer") if is_list else (solution.rpartition(_FINAL)[2].strip(),)
    if not listed or not all(listed):
        raise RecordError(
            f"{row.place}: field answer: expected a list of accepted answers, or a solution that ends in `#### ANSWER`"
        )
    return Question(
        id=name,
        task="gsm8k",
        text=row.text("question"),
        answers=tuple(dict.fromkeys(listed)),
        meta={"solution": solution} if solution else {},
    )


def _solution(row: Row) -> str:
    meta, answer = row.fields.get("meta"), row.fields.get("answer")
    if isinstance(meta, Mapping) and isinstance(meta.get("answer"), str):
        return str(meta["answer"])
    if isinstance(answer, str) and _FINAL not in answer:
        raise RecordError(
            f"{row.place}: field answer: expected a worked solution that ends in `#### ANSWER`, found {answer[:40]!r}"
        )
    return answer if isinstance(answer, str) else ""


def marks(solution: str) -> list[tuple[str, str]]:
    """The calculations a solution marks: (expression, value).

    >>> marks("48/2 = <<48/2=24>>24 clips\\n#### 24")
    [('48/2', '24')]
    """
    return [(match[1].strip(), match[2].strip()) for match in _MARK.finditer(solution)]


def demonstration(solution: str, answers: Sequence[str]) -> list[str] | None:
    """The actions of a worked solution: the sentence around each mark as the thought, its expression as the call, then the answer. None
    where it marks nothing, where a mark does not calculate to what it says, or where the last one is not the answer.

    >>> demonstration("He sold 48/2 = <<48/2=24>>24 clips.\\n#### 24", ["24"])
    ['He sold <math_exp>48/2</math_exp>', 'The answer is <answer>24</answer>']
    """
    calls = marks(solution)
    if not calls or not any(numeric_equal(calls[-1][1], answer) for answer in answers):
        return None
    if not all(_calculates(expression, result) for expression, result in calls):
        return None
    thoughts = [_thought(solution, match) for match in _MARK.finditer(solution)]
    actions = [write(ToolCall("calculator", call), thought) for thought, (call, _) in zip(thoughts, calls, strict=True)]
    return [*actions, write(Answer(answers[0]), "The answer is")]


def _calculates(expression: str, result: str) -> bool:
    try:
        return numeric_equal(str(float(value(expression))), str(float(value(result))))
    except BadExpression:
        return False


def _thought(solution: str, match: "re.Match[str]") -> str:
    """The words of the line before a mark, without the calculation itself."""
    line = _MARK.sub("", solution[: match.start()].rpartition("\n")[2])
    words = re.sub(r"[\s$(=]*[-\d$(][-\d\s.,+*/x×%$()=]*=?\s*$", "", line).strip()
    return words[-_MAX_THOUGHT:]
