"""The numbers that texts hold, in digits and in words."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swirl.judges.numbers import comes_from, held, implied, rounds, usable, written


@given(st.integers(0, 999), st.integers(1, 99))
def test_numbers_are_read_in_digits_and_in_words(whole: int, hundredths: int) -> None:
    number = Fraction(100 * whole + hundredths, 100)
    assert written(f"It is ${whole}.{hundredths:02}, -{whole} or {whole}/{hundredths}.") == [
        number,
        -whole,
        Fraction(whole, hundredths),
    ]
    assert rounds(Fraction(round(number)), number)
    assert not rounds(number, number + 1)
    assert comes_from(number, {number, Fraction(0)})


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("twenty-five", "25"),
        ("one hundred and twenty", "120"),
        ("two thousand five hundred", "2500"),
        ("half a dozen", "6"),
        ("$2.5 million", "2500000"),
        ("three quarters", "3/4"),
        ("two and a half", "5/2"),
        ("one-fourth", "1/4"),
    ],
)
def test_neighbouring_number_words_are_read_together(words: str, number: str) -> None:
    assert Fraction(number) in held(f"There were {words} of them.")


@pytest.mark.parametrize(("text", "number"), [("5 and 6", 11), ("five six", 11), ("100-20", 120)])
def test_numbers_that_only_stand_side_by_side_are_read_apart(text: str, number: int) -> None:
    assert number not in held(text)


def test_a_unit_brings_numbers_along_and_holds_none() -> None:
    assert not held("days of the week")
    assert implied("days of the week") >= {Fraction(7)}
    assert implied("a dime") >= {Fraction(1, 10)}


@pytest.mark.parametrize(
    ("question", "number"),
    [
        ("Half of the 48 clips are sold.", "0.5"),
        ("A quarter of the clips is sold.", "0.25"),
        ("A quarter of the clips is sold.", "0.75"),
        ("A third of the 81 clips is sold.", "0.33"),
        ("Two-thirds of the clips are sold.", "0.67"),
        ("1/4 of the clips are sold.", "0.25"),
        ("Twenty-five boys have 3 clips each.", "25"),
        ("Two and a half dozen clips.", "2.5"),
        ("Three and one-fourth miles.", "3.25"),
        ("The price rises by 2.5 %.", "0.025"),
        ("The price rises by 2.5 %.", "1.025"),
        ("The price falls by 20 percent.", "0.8"),
        ("400 peaches at forty cents each.", "0.40"),
        ("He has 7 nickels.", "0.05"),
        ("How many in a week?", "7"),
        ("It fell to -3 degrees.", "3"),
    ],
)
def test_a_question_lets_its_numbers_be_used_in_words_and_as_parts_of_the_whole(question: str, number: str) -> None:
    assert comes_from(Fraction(number), usable(question, []))
    assert not comes_from(Fraction(number) + 17, usable(question, []))


@pytest.mark.parametrize(
    ("question", "number"),
    [
        ("48 clips are sold.", "0.25"),
        ("Twenty boys have 3 clips each.", "25"),
        ("The price of 400 rises by 20 dollars.", "0.2"),
        ("The price of 400 rises by 2.5 %.", "0.035"),
    ],
)
def test_a_question_lets_no_other_number_be_used_but_those_of_the_results(question: str, number: str) -> None:
    assert not comes_from(Fraction(number), usable(question, ["36"]))
    assert comes_from(Fraction(number), usable(question, ["36", f"It is -{number}."]))
