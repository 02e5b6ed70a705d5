"""From a hostile text to an exact number: tokens, then a recursive-descent parser that calculates as it reads.

There is no `eval` here and no parser of Python. Limits on length, depth, operations, digits and exponents bound time and memory. What
cannot be read or calculated raises `BadExpression`, whose sentence is for the model that wrote the expression.
"""

import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction

from swirl.errors import SwirlError

MAX_LENGTH = 500
"""Longest expression, in characters."""
MAX_DEPTH = 50
"""Deepest nesting of parentheses, calls, signs and powers."""
MAX_OPERATIONS = 200
"""Most operations."""
MAX_DIGITS = 300
"""Most digits of a number, intermediate results and denominators included."""
MAX_EXPONENT = 1000
"""Largest exponent of a power, either way; the one written into a number, as in 1e5, is at most `MAX_DIGITS`."""
MAX_SHIFT = 1000
"""Largest argument of `exp`, either way."""

_NORMALISE = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "∗": "*"})
_TOKEN = re.compile(
    r"\s*(?:((?:\d+(?:,\d{3})+(?:\.\d+)?(?!\d)|\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|([A-Za-z_]+)|(\*\*|//|[-+*/%^(),$]))",
    re.ASCII,
)
_AT_COMMAS = re.compile(r",|[^,]+")
_CONSTANTS = {"pi": Fraction(math.pi), "e": Fraction(math.e)}
_TOO_BIG = 10**MAX_DIGITS


class BadExpression(SwirlError, ValueError):
    """The text cannot be calculated; the message is for the model."""


def value(expression: str) -> Fraction:
    """The exact value of an expression (functions such as sqrt give the fraction nearest to a double). Raises `BadExpression`."""
    return _Parser(_tokens(expression)).whole()


def literals(expression: str) -> list[Fraction]:
    """The numbers written in an expression, in order; raises `BadExpression` where it cannot be read.

    >>> [str(number) for number in literals("1,200 * (3 + 0.5) =")]
    ['1200', '3', '1/2']
    """
    return [_number(token) for token in _tokens(expression) if token[0] in "0123456789."]


def _tokens(expression: str) -> list[str]:
    """Cut an expression into tokens. Between a call's own parentheses a comma separates arguments, elsewhere it may mark thousands.

    >>> _tokens("1,000 + max(1,000, (1,000))")
    ['1,000', '+', 'max', '(', '1', ',', '000', ',', '(', '1,000', ')', ')']
    """
    if len(expression) > MAX_LENGTH:
        raise BadExpression(f"the expression has {len(expression)} characters; at most {MAX_LENGTH} are allowed")
    text = expression.translate(_NORMALISE).strip().removesuffix("=").rstrip()
    tokens: list[str] = []
    position = 0
    calls = [False]
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise BadExpression(
                f"cannot read {text[position:].strip()[:20]!r}; write one expression of numbers and operators"
            )
        token = match[match.lastindex or 0]
        if token == "(":
            calls.append(bool(tokens) and tokens[-1] in _FUNCTIONS)
        elif token == ")" and len(calls) > 1:
            calls.pop()
        tokens += _AT_COMMAS.findall(token) if calls[-1] else [token]
        position = match.end()
    if not tokens:
        raise BadExpression("the expression is empty")
    return tokens


class _Parser:
    """Recursive descent over the tokens; numbers are fractions throughout."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.place = 0
        self.depth = 0
        self.operations = 0

    def whole(self) -> Fraction:
        result = self.sum()
        if self.place < len(self.tokens):
            raise BadExpression(f"unexpected {self.tokens[self.place]!r} after a complete expression")
        return result

    def peek(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.place += 1
        return token

    def expect(self, token: str) -> None:
        found = self.take()
        if found != token:
            raise BadExpression(f"expected {token!r}, found {found!r}" if found else f"expected {token!r} at the end")

    def operate(self, function: Callable[..., Fraction], *arguments: Fraction) -> Fraction:
        self.operations += 1
        if self.operations > MAX_OPERATIONS:
            raise BadExpression(f"more than {MAX_OPERATIONS} operations")
        return _bounded(function(*arguments))

    def sum(self) -> Fraction:
        left = self.product()
        while self.peek() in ("+", "-"):
            left = self.operate(_BINARY[self.take()], left, self.product())
        return left

    def product(self) -> Fraction:
        left = self.signed()
        while self.peek() in ("*", "/", "//", "%"):
            left = self.operate(_BINARY[self.take()], left, self.signed())
        return left

    def signed(self) -> Fraction:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise BadExpression(f"nested more than {MAX_DEPTH} deep")
        if self.peek() in ("+", "-"):
            negative = self.take() == "-"
            operand = self.signed()
            result = -operand if negative else operand
        else:
            result = self.power()
        self.depth -= 1
        return result

    def power(self) -> Fraction:
        base = self.atom()
        while self.peek() == "%" and not self._remainder():
            self.take()
            base = self.operate(_BINARY["/"], base, Fraction(100))
        if self.peek() in ("**", "^"):
            self.take()
            exponent = self.signed()
            return self.operate(_power, base, exponent)
        return base

    def _remainder(self) -> bool:
        """Whether the `%` here has an operand after it; a sign is none, so `20% + 5` is a percentage and a sum."""
        after = self.tokens[self.place + 1] if self.place + 1 < len(self.tokens) else ""
        return after in ("(", "$") or after[:1].isalnum() or after[:1] == "."

    def atom(self) -> Fraction:
        token = self.take()
        if token == "$":
            token = self.take()
            if not token[:1].isdigit() and token[:1] != ".":
                raise BadExpression("expected a number after '$'")
        if token == "(":
            result = self.sum()
            self.expect(")")
            return result
        if token[:1].isdigit() or token[:1] == ".":
            return _number(token)
        if token in _FUNCTIONS:
            return self._call(token)
        if token in _CONSTANTS:
            return _CONSTANTS[token]
        raise _unexpected(token)

    def _call(self, name: str) -> Fraction:
        function, least, most = _FUNCTIONS[name]
        self.expect("(")
        arguments = [self.sum()]
        while self.peek() == ",":
            self.take()
            arguments.append(self.sum())
        self.expect(")")
        if not least <= len(arguments) <= most:
            raise BadExpression(
                f"{name} takes {least}{f' to {most} arguments' if most > least else ' argument'}, found {len(arguments)}; "
                "in a call a comma separates arguments"
            )
        return self.operate(function, *arguments)


def _number(token: str) -> Fraction:
    """Bounded before it is calculated: 1e999999999 is a short text and a long number."""
    digits, _, exponent = token.replace(",", "").lower().partition("e")
    if len(digits) > MAX_DIGITS:
        raise BadExpression(f"a number of {len(digits)} digits; at most {MAX_DIGITS} are allowed")
    if exponent and abs(int(exponent)) > MAX_DIGITS:
        raise BadExpression(f"a number with an exponent beyond {MAX_DIGITS}")
    return _bounded(Fraction(f"{digits}e{exponent or 0}"))


def _unexpected(token: str) -> BadExpression:
    if not token:
        return BadExpression("the expression ends too early: an operand is missing")
    if token[0].isalpha() or token[0] == "_":
        known = ", ".join([*sorted(_FUNCTIONS), *_CONSTANTS])
        return BadExpression(f"unknown name {token!r}; use numbers, + - * / // % **, parentheses, and {known}")
    return BadExpression(f"expected a number, found {token!r}")


def _bounded(number: Fraction) -> Fraction:
    if abs(number.numerator) >= _TOO_BIG or number.denominator >= _TOO_BIG:
        raise BadExpression(f"a result has more than {MAX_DIGITS} digits")
    return number


def _divisor(number: Fraction) -> Fraction:
    if number == 0:
        raise BadExpression("division by zero")
    return number


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if abs(exponent) > MAX_EXPONENT:
        raise BadExpression(f"an exponent beyond {MAX_EXPONENT}")
    if base == 0 and exponent < 0:
        raise BadExpression("division by zero")
    if exponent.denominator != 1:
        if base < 0:
            raise BadExpression("a root of a negative number is not real")
        return _real(lambda: float(base) ** float(exponent))
    digits = max(len(str(abs(base.numerator))), len(str(base.denominator)))
    if (digits - 1) * abs(exponent) > MAX_DIGITS:
        raise BadExpression(f"a result has more than {MAX_DIGITS} digits")
    return Fraction(base ** int(exponent))


def _real(function: Callable[[], float]) -> Fraction:
    try:
        return Fraction(function())
    except (ArithmeticError, ValueError) as error:
        raise BadExpression("outside the range of the function") from error


def _sqrt(number: Fraction) -> Fraction:
    if number < 0:
        raise BadExpression("a root of a negative number is not real")
    numerator, denominator = math.isqrt(number.numerator), math.isqrt(number.denominator)
    if (numerator * numerator, denominator * denominator) == (number.numerator, number.denominator):
        return Fraction(numerator, denominator)
    return _real(lambda: math.sqrt(number))


def _log(number: Fraction, base: Fraction | None = None) -> Fraction:
    if number <= 0 or (base is not None and (base <= 0 or base == 1)):
        raise BadExpression("a logarithm needs a positive number, and a positive base other than 1")
    return _real(lambda: math.log(number) if base is None else math.log(number) / math.log(base))


def _exp(number: Fraction) -> Fraction:
    if abs(number) > MAX_SHIFT:
        raise BadExpression(f"exp of a number beyond {MAX_SHIFT}")
    return _real(lambda: math.exp(number))


def _round(number: Fraction, places: Fraction = Fraction(0)) -> Fraction:
    """Halves away from zero, as at school."""
    if places.denominator != 1 or abs(places) > 20:
        raise BadExpression("round takes a whole number of decimal places, at most 20")
    scale = Fraction(10) ** int(places)
    nearest = math.floor(abs(number) * scale + Fraction(1, 2))
    return (nearest if number >= 0 else -nearest) / scale


_BINARY: Mapping[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / _divisor(b),
    "//": lambda a, b: Fraction(a // _divisor(b)),
    "%": lambda a, b: a % _divisor(b),
}

_FUNCTIONS: Mapping[str, tuple[Callable[..., Fraction], int, int]] = {
    "sqrt": (_sqrt, 1, 1),
    "abs": (abs, 1, 1),
    "min": (lambda *numbers: min(numbers), 1, 20),
    "max": (lambda *numbers: max(numbers), 1, 20),
    "round": (_round, 1, 2),
    "floor": (lambda number: Fraction(math.floor(number)), 1, 1),
    "ceil": (lambda number: Fraction(math.ceil(number)), 1, 1),
    "log": (_log, 1, 2),
    "exp": (_exp, 1, 1),
}
