"""A judge that knows GSM8K's worked solutions: it measures other judges, and is no part of the method.

A call is good when its value is one of the solution's intermediate values; an answer is good when it is the gold answer. It is strict where
a problem can be solved another way, and it does not look at the order of the steps.
"""

import re
from collections.abc import Sequence

from swirl.errors import ConfigError
from swirl.expression import BadExpression, value
from swirl.judges import StepSample
from swirl.types import Answer, Malformed, Question, Step, ToolCall, Verdict

_VALUE = re.compile(r"<<[^<>=]+=([^<>]+)>>")


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
            right = any(_same(text, gold) for gold in question.answers)
            return Verdict(float(right), "the gold answer" if right else "not the gold answer")
        case ToolCall(arguments=expression):
            right = any(_same(expression, wanted) for wanted in _VALUE.findall(solution))
            return Verdict(
                float(right), "a value of the worked solution" if right else "no value of the worked solution"
            )


def _same(expression: str, wanted: str) -> bool:
    try:
        return abs(value(expression) - value(wanted)) <= abs(value(wanted)) / 10**6
    except BadExpression:
        return False
