"""What the viewer's table can be asked."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl.errors import ConfigError
from swirl.viewer.search import CHOICES, SORTS, Query, asked, condition, order

ASKED = st.builds(
    dict,
    q=st.sampled_from(["", "a", '"a b"', "ab b*"]),
    of=st.sampled_from(["trajectories", "evaluation", "after.jsonl"]),
    task=st.sampled_from(["", "world"]),
    steps=st.sampled_from(["", "3", ">=3", "2-4", "< 2"]),
    sort=st.sampled_from([*SORTS, *(f"-{name}" for name in SORTS)]),
    page=st.integers(1, 9),
    **{name: st.sampled_from(["", *choices]) for name, choices in CHOICES.items()},
)


@settings(deadline=None, max_examples=50)
@given(ASKED)
def test_an_address_says_the_query_that_it_was_made_of(asked_for: dict[str, Any]) -> None:
    query = Query(**asked_for)
    assert Query.read(query.address()) == query


@settings(deadline=None, max_examples=50)
@given(ASKED)
def test_every_mark_in_the_condition_has_its_value(asked_for: dict[str, Any]) -> None:
    query = Query(**asked_for)
    sql, values = condition(query)
    assert sql.count("?") == len(values)
    assert order(query).endswith("place, row")


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ({"verdict": "awful"}, "verdict: expected one of good, bad, missing, found 'awful'; pick one of them"),
        ({"stop": "x'; DROP TABLE entries"}, "stop: expected one of answered, max_calls"),
        ({"kept": "maybe"}, "kept: expected one of yes, no, unknown, found 'maybe'"),
        ({"correct": "1"}, "correct: expected one of yes, no, unknown, found '1'"),
        ({"rule": "best"}, "rule: expected one of none, process, outcome, both, either, found 'best'"),
        ({"steps": "many"}, "steps: expected a number or a range, e.g. 3, >=3 or 2-4, found 'many'"),
        ({"steps": "3 OR 1"}, "steps: expected a number or a range"),
        ({"sort": "steps; --"}, "sort: expected one of file, steps"),
        ({"sort": "--steps"}, "sort: expected one of file, steps"),
        ({"page": "two"}, "page: expected a whole number from 1, found 'two'"),
        ({"page": "0"}, "page: expected a number from 1 to 1000000000, found 0"),
        ({"page": "9" * 5000}, "page: expected a whole number from 1, found '9999"),
        ({"page": "²"}, "page: expected a whole number from 1"),
        ({"size": "501"}, "size: expected a number from 1 to 500, found 501"),
        ({"q": "a " * 21}, "q: expected at most 20 words and 500 characters"),
        ({"q": "a" * 501}, "q: expected at most 20 words and 500 characters"),
    ],
)
def test_nonsense_in_an_address_is_a_sentence(address: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError) as told:
        Query.read(address)
    assert str(told.value).startswith(sentence)
    assert len(str(told.value)) < 400


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.sampled_from([*CHOICES, "q", "of", "steps", "sort", "page", "size", "id"]), st.text()))
def test_whatever_an_address_holds_is_a_query_or_one_sentence(address: dict[str, str]) -> None:
    try:
        query = Query.read(address)
    except ConfigError as error:
        assert "\n" not in str(error) and "; " in str(error)  # noqa: PT017, PT018
    else:
        assert condition(query)[0]


def test_empty_parameters_filter_nothing() -> None:
    assert Query.read({"q": " ", "task": "", "steps": "", "page": "", "of": "", "sort": ""}) == Query()


@settings(deadline=None, max_examples=50)
@given(st.text())
def test_a_search_is_quoted_whatever_it_holds(q: str) -> None:
    for each in asked(q):
        inside = each.match.removesuffix(" *")
        assert inside[0] == inside[-1] == '"'
        assert '"' not in inside[1:-1]
        assert "\0" not in inside


def test_a_letter_alone_is_a_word_and_longer_ones_may_go_on() -> None:
    assert [each.match for each in asked("a ab a/b a/bc 'x")] == ['"a"', '"ab" *', '"a/b"', '"a/bc" *', '"\'x"']
    assert [each.match for each in asked('"ab" "a b')] == ['"ab"', '"a"', '"b"']
