"""What GSM8K's worked solutions say of a step.

A call is good when its value is one that the solution marks, `<<100/3=33.33>>`, or that the mark's own expression has; a mark with decimals
stands for all that rounds to it. An answer is good when the task would grade it as right. It is strict where a problem can be solved
another way, and it does not look at the order of the steps.
"""

from fractions import Fraction

from swirl.expression import BadExpression, value
from swirl.judges.numbers import rounds
from swirl.tasks.answers import numeric_equal
from swirl.tasks.gsm8k import marks
from swirl.types import Answer, ToolCall, Trajectory, Verdict


def judge_action(state: Trajectory, action: ToolCall | Answer) -> Verdict:
    """Whether an action is one of the worked solution's.

    >>> from swirl.types import Question, Rules
    >>> question = Question(id="q", task="gsm8k", text="?", answers=("72",), meta={"solution": "<<48/2=24>>24 <<48+24=72>>72"})
    >>> state = Trajectory(id="q/0", question=question, rules=Rules())
    >>> [judge_action(state, ToolCall("calculator", call)).good for call in ("48 / 2", "48 * 2")]
    [True, False]
    """
    if isinstance(action, Answer):
        right = any(numeric_equal(action.text, gold) for gold in state.question.answers)
        return Verdict(float(right), "the gold answer" if right else "not the gold answer")
    right = any(_gives(action.arguments, own, shown) for own, shown in marks(state.question.meta["solution"]))
    return Verdict(float(right), "a value of the worked solution" if right else "no value of the worked solution")


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
