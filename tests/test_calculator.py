"""The calculator: exact, helpful about mistakes, and unmoved by hostile text."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile_expressions import hostile_expressions
from swirl.expression import MAX_DIGITS, BadExpression, value
from swirl.tools import ToolInput
from swirl.tools.calculator import Calculator

HOSTILE = hostile_expressions()


def calculate(expression: str) -> str:
    return Calculator().run([ToolInput(expression)])[0].text


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("2 + 3 * 4", "14"),
        ("(2 + 3) * 4", "20"),
        ("-2 ** 2", "-4"),
        ("2 ** 3 ** 2", "512"),
        ("7 // 2", "3"),
        ("7 % 4", "3"),
        ("20%", "0.2"),
        ("50 * 20%", "10"),
        ("$1,250.50 * 2", "2501"),
        ("0.1 + 0.2", "0.3"),
        ("6 / 4", "1.5"),
        ("sqrt(16) + abs(-2)", "6"),
        ("max(1, 2, 3) - min(4, 5)", "-1"),
        ("round(2.5) + floor(2.9) + ceil(2.1)", "8"),
        ("3 × 4 ÷ 2 − 1", "5"),
        ("12 * 3 =", "36"),
    ],
)
def test_it_calculates_exactly(expression: str, result: str) -> None:
    assert calculate(expression) == result


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.sampled_from(["+", "-", "*"]))
def test_it_agrees_with_exact_arithmetic(left: int, right: int, operator: str) -> None:
    exact = {"+": left + right, "-": left - right, "*": left * right}[operator]
    assert value(f"({left}) {operator} ({right})") == Fraction(exact)


@pytest.mark.parametrize(
    ("expression", "lesson"),
    [
        ("1 / 0", "division by zero"),
        ("2 *", "operand is missing"),
        ("apples + 1", "unknown name 'apples'"),
        ("2 + (3", "expected ')'"),
    ],
)
def test_a_mistake_is_an_observation_that_says_what_was_wrong(expression: str, lesson: str) -> None:
    [observation] = Calculator().run([ToolInput(expression)])
    assert observation.refused
    assert lesson in observation.text


def test_there_are_two_hundred_hostile_inputs_and_no_two_alike() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 200


@pytest.mark.parametrize("place", range(len(HOSTILE)))
def test_hostile_text_is_refused_or_answered_within_the_limits(
    place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    [observation] = Calculator().run([ToolInput(HOSTILE[place])])
    assert observation.text
    assert len(observation.text) < MAX_DIGITS + 400
    assert not list(tmp_path.iterdir())
    try:
        result = value(HOSTILE[place])
    except BadExpression:
        assert observation.refused
    else:
        assert max(abs(result.numerator), result.denominator) < 10**MAX_DIGITS


@given(st.text(max_size=200))
def test_any_text_is_answered_or_refused(text: str) -> None:
    assert calculate(text)
