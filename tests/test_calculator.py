"""The calculator: exact, helpful about mistakes, and unmoved by hostile text."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile_expressions import hostile_expressions
from swirl.expression import MAX_DIGITS, BadExpression, literals, value
from swirl.tasks.answers import number
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
        ("12 / 25%", "48"),
        ("50 / 10% * 2", "1000"),
        ("4**50%", "2"),
        ("(10 + 15)% * 8", "2"),
        ("-5%", "-0.05"),
        ("7 % 4 % 2", "1"),
        ("100 + 20% - 1", "99.2"),
        ("$.50 * 3", "1.5"),
        ("$1,250.50 * 2", "2501"),
        ("0.1 + 0.2", "0.3"),
        ("6 / 4", "1.5"),
        ("sqrt(16) + abs(-2)", "6"),
        ("max(1, 2, 3) - min(4, 5)", "-1"),
        ("round(2.5) + floor(2.9) + ceil(2.1)", "8"),
        ("3 × 4 ÷ 2 − 1", "5"),
        ("12 * 3 =", "36"),
        ("min(5) + max(7)", "12"),
        ("1e5 + 1.5E-3 + 2e+1", "100020.0015"),
        ("2*e", "5.436563657"),
        ("max(100,200)", "200"),
        ("max(1,000, 2)", "2"),
        ("max((1,000), 2) + 1,000", "2000"),
        ("123456789012.5", "123456789012"),
        ("0.00005 / 3", "0.00001666666667"),
        ("-1 / 10**12", "-0.000000000001"),
        ("exp(-80)", "0"),
    ],
)
def test_it_calculates_exactly(expression: str, result: str) -> None:
    assert calculate(expression) == result


@pytest.mark.parametrize(
    ("expression", "numbers"),
    [("12 * 3 =", [12, 3]), ("max(100,200) + 1,000", [100, 200, 1000]), ("1e2 - 5%", [100, 5])],
)
def test_the_numbers_of_an_expression_are_those_it_calculates_with(expression: str, numbers: list[int]) -> None:
    assert literals(expression) == numbers


@pytest.mark.parametrize("expression", ["1e" + "9" * 5000, "9" * 5000])
def test_numbers_are_read_within_the_limits(expression: str) -> None:
    with pytest.raises(BadExpression):
        literals(expression)


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
        ("2e", "unexpected 'e'"),
        ("1e301", "an exponent beyond 300"),
        ("sqrt(1,000)", "a comma separates arguments"),
        ("log(2, 1.00000000000000000001)", "outside the range"),
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


def grown(expressions: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Longer expressions of shorter ones, sensible or not."""
    names = st.sampled_from(NAMES)
    commas = st.sampled_from([",", ", "])
    calls = st.builds(
        lambda name, comma, arguments: f"{name}({comma.join(arguments)})",
        names,
        commas,
        st.lists(expressions, max_size=4),
    )
    operations = st.builds("".join, st.tuples(expressions, st.sampled_from(OPERATORS), expressions))
    wrapped = st.builds(
        str.format, st.sampled_from(["({})", "-{}", "+{}", "{}%", "${}", "{},000", "{}e2"]), expressions
    )
    return calls | operations | wrapped


NAMES = ["sqrt", "abs", "min", "max", "round", "floor", "ceil", "log", "exp", "e", "x"]
OPERATORS = [" + ", "-", "*", " / ", "//", "%", "**", "^", ",", " "]
NUMBERS = (
    st.integers(0, 20).map(str)
    | st.decimals(0, 10**12, allow_nan=False, places=3).map(str)
    | st.sampled_from(["0", "1.00000000000000000001", "1,000", "1e5", "2.5e-299", "9e299", ".5", "9" * 299, "pi", "e"])
)
EXPRESSIONS = st.recursive(NUMBERS, grown, max_leaves=8)


@given(EXPRESSIONS)
def test_any_expression_is_answered_or_refused_within_the_limits(expression: str) -> None:
    [observation] = Calculator().run([ToolInput(expression)])
    assert len(observation.text) < MAX_DIGITS + 400
    if not observation.refused:
        result = value(expression)
        assert max(abs(result.numerator), result.denominator) < 10**MAX_DIGITS


@given(EXPRESSIONS)
def test_a_result_can_be_calculated_with_again(expression: str) -> None:
    [observation] = Calculator().run([ToolInput(expression)])
    if not observation.refused:
        assert calculate(observation.text) == observation.text
        if len(observation.text) <= 200:
            assert number(observation.text) == value(observation.text)


@given(st.text(max_size=200))
def test_any_text_is_answered_or_refused(text: str) -> None:
    assert calculate(text)
