"""When two answers are the same: SQuAD's figures for texts, value for numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swirl.tasks.answers import exact_match, f1, normalise, number, numeric_equal


@pytest.mark.parametrize("text", ["10", "10.00", "$10", "10 apples", "It is 10.", " 10 ", "10/1", "1e1", "100E-1 m"])
def test_ten_is_ten_however_it_is_written(text: str) -> None:
    assert numeric_equal(text, "10")


@pytest.mark.parametrize("text", ["1,000", "$1,000.00", "1000", "1000 dollars"])
def test_a_thousand_may_have_a_comma(text: str) -> None:
    assert numeric_equal(text, "1000")


@pytest.mark.parametrize("text", ["", "ten", "10 or 11", "e10", "1e2", "1e999999999", "-10", "100", "9" * 500])
def test_what_is_another_number_or_none_is_not_ten(text: str) -> None:
    assert not numeric_equal(text, "10")


def test_exact_match_looks_past_case_articles_and_punctuation() -> None:
    assert exact_match("The Beatles!", ["beatles"])
    assert not exact_match("Beatle", ["beatles"])


def test_f1_is_the_harmonic_mean_over_shared_tokens() -> None:
    assert f1("Ada Quill", ["Ada Quill of Lumen"]) == pytest.approx(2 * 2 / (2 + 4))
    assert f1("Bo", ["Ada"]) == 0.0
    assert f1("Bo", ["Ada", "Bo"]) == 1.0


@given(st.text(max_size=60), st.text(max_size=60))
def test_f1_is_symmetric_bounded_and_one_for_equals(left: str, right: str) -> None:
    assert f1(left, [right]) == f1(right, [left])
    assert 0.0 <= f1(left, [right]) <= 1.0
    assert f1(left, [left]) == 1.0
    assert normalise(normalise(left)) == normalise(left)


@given(st.integers(-(10**9), 10**9))
def test_an_integer_with_commas_is_read_back(whole: int) -> None:
    assert number(f"{whole:,}") == whole
