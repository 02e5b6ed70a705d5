"""A judge that knows GSM8K's worked solutions: it measures other judges, and is no part of the method.

A call is good when its value is one that the solution marks, `<<100/3=33.33>>`, or that the mark's own expression has; a mark with decimals
stands for all that rounds to it. An answer is good when the task would grade it as right. It is strict where a problem can be solved
another way, and it does not look at the order of the steps.
"""

from collections.abc import Sequence
from fractions import Fraction

from swirl.errors import ConfigError
from swirl.expression import BadExpression, value
from swirl.judges import StepSample
from swirl.judges.numbers import rounds
from swirl.tasks.answers import numeric_equal
from swirl.tasks.gsm8k import marks
from swirl.types import Answer, Malformed, Question, Step, ToolCall, Verdict


class Reference:
    """The judge. Raises `ConfigError` for a question without a worked solution."""

    name = "reference"

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        return [judge_step(sample.state.question, sample.step) for sample in samples]


def judge_step(question: Question, step: Step) -> Verdict:
    """Whether a step is one of the worked solution's.

    >>> question = Question(id="q", task="gsm8k", text="?", answers=("72",), meta={"solution": "<<48/2=24>>24 <<48+24=72>>72"})
    >>> [judge_step(question, Step(text="", action=ToolCall("calculator", call))).good for call in ("48 / 2", "48 * 2")]
    [True, False]
    """
    solution = question.meta.get("solution")
    if not solution:
        raise ConfigError(
            f"the judge `reference` needs worked solutions, and question {question.id!r} of {question.task} has none"
        )
    match step.action:
        case Malformed(reason):
            return Verdict(0.0, reason)
        case Answer(text):
            right = any(numeric_equal(text, gold) for gold in question.answers)
            return Verdict(float(right), "the gold answer" if right else "not the gold answer")
        case ToolCall(arguments=expression):
            right = any(_gives(expression, own, shown) for own, shown in marks(solution))
            return Verdict(
                float(right), "a value of the worked solution" if right else "no value of the worked solution"
            )


def _gives(call: str, own: str, shown: str) -> bool:
    """Whether a call has the value of a mark, its expression `own` or what it shows."""
    found, marked = _value(call), _value(shown)
    if found is None:
        return False
    if found in (marked, _value(own)):
        return True
    return marked is not None and marked.denominator != 1 and rounds(marked, found)


def _value(expression: str) -> Fraction | None:
    try:
        return value(expression)
    except BadExpression:
        return None
