"""The calculator: exact arithmetic on what a model writes.

Covered: integers, decimals and 1.5e3, + - * / // % **, parentheses, unary signs; sqrt, abs, min, max, round, floor, ceil, log, exp; pi
and e. Also what models write: `×`, `·`, `÷`, `−`, `^` for power, `$` before a number, thousands commas (outside a call's arguments, where a
comma separates them), a `%` that is not between two operands (divides by 100), and a trailing `=`.

Not covered: names, assignments, comparisons, anything that runs code. A text that cannot be calculated (`swirl.expression`) is
answered with a sentence that tells the model why.

Differs from the paper, which hands the text to SymPy.
"""

from collections.abc import Sequence
from decimal import Context, Decimal
from fractions import Fraction

from swirl.expression import BadExpression, value
from swirl.tools import ToolInput
from swirl.types import Observation

_DIGITS = 10
_SMALLEST = Fraction(1, 10**30)


class Calculator:
    """The calculator as a tool."""

    name = "calculator"
    description = "Evaluates one arithmetic expression exactly, e.g. 3 * (4 + 5)."

    def run(self, calls: Sequence[ToolInput]) -> list[Observation]:
        return [_observe(call.arguments) for call in calls]


def _observe(expression: str) -> Observation:
    try:
        return Observation(evaluate(expression))
    except BadExpression as error:
        return Observation(f"Error: {error}", refused=True)


def evaluate(expression: str) -> str:
    """The value of an expression as text, which can be calculated with again (`show`).

    >>> evaluate("3 * (4 + 5)"), evaluate("$1,250 * 20%"), evaluate("1 / 3"), evaluate("sqrt(2)")
    ('27', '250', '0.3333333333', '1.414213562')
    >>> evaluate("3 apples")
    Traceback (most recent call last):
    swirl.expression.BadExpression: unexpected 'apples' after a complete expression
    """
    return show(value(expression))


def show(number: Fraction) -> str:
    """A number as the model sees it, in plain decimals: whole numbers exact, others rounded to 10 significant digits, or to a whole
    number where that has more. What is closer to 0 than 10^-30 is shown as 0, because it would be little but zeros.

    >>> show(Fraction(-7)), show(Fraction(5, 2)), show(Fraction(123456789012345, 10)), show(Fraction(1, 10**12))
    ('-7', '2.5', '12345678901234', '0.000000000001')
    """
    if abs(number) < _SMALLEST:
        return "0"
    digits = max(_DIGITS, len(str(int(abs(number)))))
    text = f"{Context(prec=digits).divide(Decimal(number.numerator), Decimal(number.denominator)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
