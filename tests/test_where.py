"""Conditions on trajectories: what holds, what follows from what, and what is said of a wrong one."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from known_ones import WORDS, example, known_ones
from swirl.errors import ConfigError
from swirl.known import Known
from swirl.where import FIELDS, contains, parse

JUDGES = ("rule", "solver")
NUMBERS = [name for name, field in FIELDS.items() if "<" in field.operators]
TEXTS = [name for name, field in FIELDS.items() if "~" in field.operators]
CHOICES = [(name, choice) for name, field in FIELDS.items() for choice in field.choices]
CONDITIONS = (
    st.tuples(st.sampled_from(NUMBERS), st.sampled_from(["=", "<", "<="]), st.integers(-1, 6).map(str))
    | st.tuples(st.sampled_from(TEXTS), st.sampled_from("=~"), WORDS.filter(str.strip).map(lambda word: f'"{word}"'))
    | st.sampled_from(CHOICES).map(lambda pair: (pair[0], "=", pair[1]))
    | st.tuples(st.just("judge:solver"), st.just("="), st.sampled_from(["good", "bad", "missing"]))
)
OPPOSITE = {"=": "!=", "~": "!~", "<": ">=", "<=": ">"}


@pytest.mark.parametrize(
    "condition",
    [
        "id=q/0",
        "id~Q",
        "file=trajectories.jsonl",
        "task=world",
        "task != mine",
        'question~"the  WRITER"',
        "question~when*born",
        "question!~born*when",
        "gold=1843",
        "answer=1843",
        "policy~tiny",
        "text~'so <answer>'",
        "thinking='is it?'",
        "call~author",
        "tool=search",
        "tool!=calculator",
        "observation~'sorel, born'",
        "remark='it guesses'",
        "reason~'step 2'",
        "sample=0",
        "steps>=2",
        "steps<3",
        "calls=1",
        "errors=0",
        "tokens > 3",
        "stop=answered",
        "stop!=malformed",
        "action=call",
        "action=answer",
        "action!=malformed",
        "verdict=bad",
        "verdict=good",
        "verdict!=missing",
        "judge:solver=good",
        "judge:solver!=bad",
        "kept=no",
        "correct=YES",
    ],
)
def test_what_holds(condition: str) -> None:
    assert parse([condition], JUDGES)(example())


def test_every_field_has_an_example_above() -> None:
    source = Path(__file__).read_text("utf-8")
    assert not [name for name in FIELDS if not re.search(rf'"{name} ?[=!<>~]', source)]


@pytest.mark.parametrize(
    "condition",
    [
        "task=worl",
        "question~born when",
        "answer~184x",
        "steps>2",
        "verdict=missing",
        "kept=unknown",
        "judge:solver=bad",
    ],
)
def test_what_does_not_hold(condition: str) -> None:
    assert not parse([condition], JUDGES)(example())


def test_steps_that_nobody_judged_have_no_verdict() -> None:
    bare = Known(trajectory=example().trajectory, judge="rule")
    assert parse(["verdict=missing"])(bare)
    assert not parse(["verdict=bad"])(bare)


@settings(deadline=None, max_examples=30)
@given(known_ones(), CONDITIONS)
def test_a_negation_holds_exactly_where_the_condition_does_not(known: Known, condition: tuple[str, str, str]) -> None:
    field, sign, value = condition
    judges = [*known.verdicts, "solver"]
    assert parse([f"{field}{sign}{value}"], judges)(known) is not parse([f"{field}{OPPOSITE[sign]}{value}"], judges)(
        known
    )


@settings(deadline=None, max_examples=30)
@given(known_ones(), st.lists(CONDITIONS, max_size=3))
def test_several_conditions_hold_together(known: Known, conditions: list[tuple[str, str, str]]) -> None:
    written = ["".join(condition) for condition in conditions]
    assert parse(written, JUDGES)(known) is all(parse([one], JUDGES)(known) for one in written)


@settings(deadline=None, max_examples=30)
@given(st.text("ab *", max_size=12), st.text("ab *", max_size=6))
def test_a_star_is_whatever_a_regular_expression_finds_there(text: str, wanted: str) -> None:
    parts = [re.escape(part.strip()) for part in " ".join(wanted.split()).split("*")]
    assert contains(text, wanted) is bool(re.search(".*".join(parts), " ".join(text.split())))


@settings(deadline=None, max_examples=30)
@given(
    st.text() | st.from_regex(r"(task|steps|verdict|judge:\w*|\w+) ?[=!<>~:]{0,3}.{0,9}", fullmatch=True), known_ones()
)
def test_whatever_is_written_is_a_condition_or_one_sentence(written: str, known: Known) -> None:
    assert answer(written, known) in ("True", "False", f"--where {written!r}")


def answer(written: str, known: Known) -> str:
    """Whether it holds, or how the complaint begins."""
    try:
        return str(parse([written], JUDGES)(known))
    except ConfigError as error:
        return str(error)[: len(f"--where {written!r}")]


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("world", "expected FIELD OPERATOR VALUE, e.g. 'steps>=3'"),
        ("steps", "expected FIELD OPERATOR VALUE, e.g. 'steps>=3' in quotes, because the shell reads < and > itself"),
        ("taks=world", "no field 'taks'; did you mean 'task'?"),
        ("nonsense=1", "no field 'nonsense'; expected one of id, file, task,"),
        ("steps==3", "steps is compared by = != < <= > >=, found '=='; did you mean '='?"),
        ("steps=>3", "found '=>'; did you mean '>='?"),
        ("task:world", "task is compared by = != ~ !~, found ':'; did you mean '='?"),
        ("kept~no", "kept is compared by = !=, found '~'; did you mean '='?"),
        ("question=~who", "found '=~'; did you mean '~'?"),
        ("steps>=three", "steps is a whole number, found 'three'"),
        ("stop=answred", "stop is one of answered, max_calls,"),
        ("stop=answred", "found 'answred'; did you mean 'answered'?"),
        ("verdict=", "expected a value after the operator, found nothing"),
        ("judge:solvr=good", "no verdicts of 'solvr'; there are verdicts of rule, solver; did you mean 'solver'?"),
    ],
)
def test_a_wrong_condition_is_told_the_nearest_right_one(condition: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        parse([condition], JUDGES)


def test_where_nobody_judged_no_judge_is_known() -> None:
    with pytest.raises(ConfigError, match="no verdicts of 'rule'; nobody has judged here yet"):
        parse(["judge:rule=good"])


def test_a_value_is_nothing_but_text() -> None:
    """No pattern takes long, nothing is run."""
    hostile = Known(trajectory=example().trajectory, reason="a" * 100_000 + "b")
    assert not parse(["reason~" + "a*" * 50 + "c"])(hostile)
    assert not parse(["reason~(a+)+$"])(hostile)
    assert not parse(["text~__import__('os')"])(hostile)
