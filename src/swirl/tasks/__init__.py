"""Where questions come from and how answers are graded."""

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol, runtime_checkable

from msgspec import Struct

from swirl.types import Passage, Question

Split = Literal["train", "test"]


class Grade(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How good an answer is."""

    correct: bool
    """What accuracy and the outcome filter count: the same number for maths, an exact match for question answering."""
    exact_match: bool = False
    """Whether it is an accepted answer word for word, both normalised as SQuAD does."""
    f1: float = 0.0
    """Of words, against the accepted answer for which it is highest; `precision` and `recall` are against the same one."""
    precision: float = 0.0
    recall: float = 0.0
    by_value: bool = False
    """Whether `correct` compares numbers by value."""


@runtime_checkable
class Task(Protocol):
    """A source of questions. Same arguments, same questions, in the same order."""

    name: str
    tools: tuple[str, ...]
    """Names of the tools a policy is offered."""
    max_calls: int
    """Default cap on tool calls: the paper's 5 for question answering, 10 for maths."""
    scoped: bool
    """Whether a search looks at a question's own passages (`Question.scope`) alone, unless the run says otherwise."""

    def questions(self, split: Split, seed: int | None = None) -> Iterator[Question]:
        """Questions of a split. Generated tasks draw afresh for each seed, without end; tasks on files shuffle by it (None: file order)."""
        ...

    def grade(self, question: Question, answer: str) -> Grade:
        """Grade a final answer. Raises `ConfigError` where the question has no accepted answer."""
        ...

    def passages(self) -> Sequence[Passage]:
        """The corpus its search tool looks at; empty where there is none."""
        ...

    def demonstration(self, question: Question) -> list[str] | None:
        """The actions of a worked solution, ready to be played against the tools; None where the task has none."""
        ...
