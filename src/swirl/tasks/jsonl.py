"""Your own questions: a JSON-lines file with `id`, `question` and, where it is known, `answer` (a text, a number, or a list of either).

A file `passages.jsonl` in the same folder, with `id`, `title` and `text`, becomes the corpus of the search tool. An optional `split` field,
train or test, parts the questions; without it every question is in both, and an evaluation then measures what was trained on. An optional
`samples` field, a list of numbers from 0, says which samples of a question there are to be, whatever `generate.samples` says: an import
writes it (`swirl.stages.importing`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from swirl.errors import ConfigError, RecordError
from swirl.rows import Row, by_id, read_rows
from swirl.tasks import Grade, Split
from swirl.tasks.answers import exact_match, grade_text, is_number, numeric_equal
from swirl.tasks.partition import shuffled
from swirl.types import Passage, Question

PASSAGES = "passages.jsonl"


class Jsonl:
    """The task."""

    name = "jsonl"
    scoped = False

    def __init__(self, location: str) -> None:
        if not location:
            raise ConfigError("the task jsonl needs a file: jsonl:FILE")
        self.path = Path(location).expanduser()
        self.corpus = self.path.with_name(PASSAGES)
        self.tools: tuple[str, ...] = ("search", "calculator") if self.corpus.is_file() else ("calculator",)
        self.max_calls = 10

    def questions(self, split: Split, seed: int | None = None) -> Iterator[Question]:
        """The questions of a split, shuffled by the seed."""
        yield from shuffled([question for where, question in self._all() if where in ("", split)], seed)

    def _all(self) -> Iterator[tuple[str, Question]]:
        for name, row in by_id(read_rows(self.path)):
            where = row.fields.get("split", "")
            if where not in ("", "train", "test"):
                raise RecordError(f"{row.place}: field split: expected train or test, found {where!r}")
            text, answers = row.text("question"), row.texts("answer")
            yield where, Question(id=name, task="jsonl", text=text, answers=answers, meta=_samples(row))

    def grade(self, question: Question, answer: str) -> Grade:
        """Against an accepted answer that is a number by value, against any other by exact match."""
        if not question.answers:
            raise ConfigError(f"question {question.id!r} has no accepted answer to compare with; add its `answer`")
        correct = any(
            numeric_equal(answer, gold) if is_number(gold) else exact_match(answer, [gold]) for gold in question.answers
        )
        by_value = any(is_number(gold) for gold in question.answers)
        return grade_text(answer, question.answers, correct=correct if by_value else None)

    def passages(self) -> Sequence[Passage]:
        if not self.corpus.is_file():
            return ()
        named = by_id(read_rows(self.corpus), default=str)
        return [Passage(name, row.text("title"), row.text("text")) for name, row in named]

    def demonstration(self, question: Question) -> list[str] | None:
        return None


def _samples(row: Row) -> dict[str, Any]:
    """Which samples there are to be of a question, as it keeps them; nothing where the run decides."""
    numbers = row.fields.get("samples")
    if numbers is None:
        return {}
    listed = isinstance(numbers, list) and bool(numbers)
    if not listed or not all(type(number) is int and number >= 0 for number in numbers):
        raise RecordError(f"{row.place}: field samples: expected a list of numbers from 0, found {numbers!r:.60}")
    return {"samples": sorted(set(numbers))}
