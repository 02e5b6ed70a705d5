"""When two answers are the same: SQuAD's figures for texts, value for numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swirl.tasks.answers import exact_match, grade_text, normalise, number, numeric_equal, overlap


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


def test_words_shared_give_precision_recall_and_their_harmonic_mean() -> None:
    assert overlap("Ada Quill", "Ada Quill of Lumen") == pytest.approx((2 * 2 / (2 + 4), 2 / 2, 2 / 4))
    assert overlap("Bo", "Ada") == (0.0, 0.0, 0.0)


def test_the_best_accepted_answer_counts() -> None:
    grade = grade_text("Bo Quill", ["Ada", "Bo", "Quill of Lumen"])
    assert (grade.correct, grade.exact_match, grade.f1, grade.precision) == (False, False, pytest.approx(2 / 3), 1 / 2)


@pytest.mark.parametrize(
    ("answer", "gold", "f1"),
    [
        ("yes", "yes", 1.0),
        ("Yes.", "yes", 1.0),
        ("yes they are", "yes", 0.0),
        ("no", "no longer", 0.0),
        ("noanswer", "noanswer given", 0.0),
        ("they are", "yes they are", pytest.approx(0.8)),
    ],
)
def test_yes_and_no_are_right_or_wrong_as_a_whole(answer: str, gold: str, f1: float) -> None:
    """Worked by hand after HotPotQA's rule."""
    assert overlap(answer, gold).f1 == f1


@pytest.mark.parametrize(
    ("answer", "gold", "f1"), [("the", "a", 1.0), ("", "!", 1.0), ("", "Ada", 0.0), ("Ada", "", 0.0)]
)
def test_where_both_sides_normalise_to_nothing_they_are_equal(answer: str, gold: str, f1: float) -> None:
    """SQuAD 2.0's rule; by that of v1.1 the first two have an F1 of 0."""
    assert overlap(answer, gold) == (f1, f1, f1)
    assert grade_text(answer, [gold]).exact_match == bool(f1)


@given(st.text(max_size=60), st.text(max_size=60))
def test_f1_is_symmetric_bounded_and_never_below_exact_match(left: str, right: str) -> None:
    f1, precision, recall = overlap(left, right)
    assert overlap(right, left) == (f1, recall, precision)
    assert 0.0 <= f1 <= 1.0
    assert overlap(left, left) == (1.0, 1.0, 1.0)
    assert grade_text(left, [right]).exact_match <= f1
    assert normalise(normalise(left)) == normalise(left)


@given(st.integers(-(10**9), 10**9))
def test_an_integer_with_commas_is_read_back(whole: int) -> None:
    assert number(f"{whole:,}") == whole
