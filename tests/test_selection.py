"""Sets of trajectories: equal ones, balance, size; what fell where; the file that says so."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl.filters import Check, Decision, FilterConfig, Rule, Verdicts
from swirl.selection import Candidate, Selecting, Selection, document, surplus, surplus_of_questions
from swirl.survival import fell_rows, survival_rows, survivors
from swirl.types import Answer, Question, Rules, Step, StopReason, Trajectory, Verdict


def trajectory(question: str, sample: int, text: str = "1") -> Trajectory:
    steps = (Step(text=f"<answer>{text}</answer>", action=Answer(text)),)
    asked = Question(id=question, task="t", text="?", answers=("1",))
    return Trajectory(id=f"{question}/{sample}", question=asked, rules=Rules(), steps=steps, stop=StopReason.ANSWERED)


def said(good: bool) -> Verdicts:
    return {"rule": [Verdict(float(good), "it guesses")]}


Case = tuple[Trajectory, bool, bool]
"""A trajectory, whether its step is good, whether its answer is right."""


def selected(cases: Sequence[Case], seed: int = 1, *, graded: bool = True, **changes: Any) -> Selection:
    selecting = Selecting(FilterConfig(**changes), ["rule"], seed, graded=graded)
    for one, good, right in cases:
        selecting.add(one, said(good), right if graded else None)
    return selecting.selection()


SAME = [(trajectory("q", sample), sample != 0, True) for sample in range(4)]


def test_of_equal_ones_that_pass_the_first_is_kept_and_the_others_name_it() -> None:
    found = selected(SAME, unique=True, rule=Rule.PROCESS)
    assert [decision.kept for decision in found.decisions] == [False, True, False, False]
    assert [decision.reason for decision in found.decisions[2:]] == ["equal to q/1"] * 2
    assert {decision.check for decision in found.decisions} == {Check.PROCESS, None, Check.UNIQUE}
    assert found.survival[Rule.NONE] == {Check.STEPS: 4, Check.UNIQUE: 1}
    assert found.fallen[Check.UNIQUE] == {"equal to an earlier one": 2}


CANDIDATES = [Candidate(f"{name}/{i}", name) for name in "abc" for i in range(6)]


def test_equal_sized_arms_are_drawn_by_seed_and_say_so() -> None:
    cases = [(trajectory("q", i, str(i)), True, True) for i in range(40)]
    found = selected(cases, rule=Rule.NONE, size=10)
    assert len(found.kept) == 10
    assert found.kept == selected(cases[::-1], rule=Rule.NONE, size=10).kept, "whatever their order"
    assert found.kept != selected(cases, seed=2, rule=Rule.NONE, size=10).kept
    assert {d.reason for d in found.decisions if not d.kept} == {"passed, but more than the 10 asked for"}


def test_a_question_keeps_so_many_drawn_by_seed() -> None:
    kept = [one for one in CANDIDATES if one.trajectory not in surplus_of_questions(CANDIDATES, 2, seed=1)]
    assert Counter(one.question for one in kept) == {"a": 2, "b": 2, "c": 2}
    drawn = [
        {one.trajectory for one in CANDIDATES} - set(surplus_of_questions(CANDIDATES, 2, seed)) for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert not surplus_of_questions(CANDIDATES, 6, seed=1)


def test_the_draws_of_a_question_and_of_the_size_are_not_one() -> None:
    """Else the size would keep what every question would, first come first."""
    of_question = set(surplus_of_questions(CANDIDATES[:6], 3, seed=1))
    assert of_question != set(surplus(CANDIDATES[:6], 3, seed=1))


@st.composite
def mixed(draw: st.DrawFn) -> list[Case]:
    rows = draw(
        st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("12"), st.booleans(), st.booleans()), max_size=25)
    )
    return [(trajectory(name, i, text), good, right) for i, (name, text, good, right) in enumerate(rows)]


@given(
    mixed(),
    st.sampled_from(list(Rule)),
    st.booleans(),
    st.integers(0, 3),
    st.integers(0, 8),
    st.integers(0, 3),
)
@settings(deadline=None)
def test_counts_and_decisions_agree_and_every_condition_holds(
    cases: list[Case], rule: Rule, unique: bool, per_question: int, size: int, seed: int
) -> None:
    found = selected(cases, seed, rule=rule, unique=unique, per_question=per_question, size=size)
    own = found.survival[rule]
    kept = [one for (one, _, _), decision in zip(cases, found.decisions, strict=True) if decision.kept]
    assert [decision.trajectory for decision in found.decisions] == [one.id for one, _, _ in cases]
    assert (len(kept), found.num_trajectories) == (min(own.values()), len(cases))
    assert list(own.values()) == sorted(own.values(), reverse=True)
    fell = Counter(decision.check for decision in found.decisions if not decision.kept)
    left = len(cases)
    for check, count in own.items():
        assert (fell[check], sum(found.fallen[check].values())) == (left - count, left - count)
        left = count
    if unique:
        assert len({(one.question.id, one.steps[0].text) for one in kept}) == len(kept)
    if per_question:
        assert max(Counter(one.question.id for one in kept).values(), default=0) <= per_question
    assert len(kept) <= (size or len(kept))
    for other in Rule:
        changed = selected(cases, seed, rule=other, unique=unique, per_question=per_question, size=size)
        assert found.survival[other] == changed.survival[other], "what another rule is said to leave, it leaves"


def test_rules_that_need_answers_are_told_where_there_are_some() -> None:
    found = selected(SAME, graded=False, rule=Rule.PROCESS)
    assert list(found.survival) == [Rule.NONE, Rule.PROCESS]


def test_the_file_is_small_has_a_line_a_decision_and_is_read_again() -> None:
    found = selected(SAME, unique=True)
    written = document(found)
    assert msgspec.json.decode(written, type=Selection) == found
    assert json.loads(written)["schema"] == "swirl.selection/2"
    assert b'    {"trajectory":"q/1","kept":true},\n' in written
    assert b'"check":"unique","reason":"equal to q/1"}' in written
    assert written.endswith(b"}\n  ]\n}\n")
    many = selected([(trajectory("q", i, str(i)), True, True) for i in range(1000)], rule=Rule.NONE)
    assert len(document(many)) < 60 * 1000
    empty = selected([])
    assert msgspec.json.decode(document(empty), type=Selection) == empty


def test_a_decision_says_passed_without_writing_it() -> None:
    assert Decision(trajectory="q/0", kept=True).reason == "passed"


# As a table.


def test_the_table_has_the_filters_own_rule_first_and_a_row_a_check() -> None:
    cases = [(trajectory("q", i, str(i)), i % 2 == 0, i < 3) for i in range(6)]
    table = survival_rows(
        selected([*cases, (trajectory("q", 9, "0"), True, True)], rule=Rule.BOTH, unique=True, size=1)
    )
    assert table == [
        ("left after", "both", "none", "process", "outcome", "either"),
        ("all", "7", "7", "7", "7", "7"),
        ("enough steps, and not too many", "7", "7", "7", "7", "7"),
        ("every step judged good", "4", "", "4", "", ""),
        ("answer right", "3", "", "", "4", ""),
        ("steps good, or answer right", "", "", "", "", "5"),
        ("without equal ones", "2", "6", "3", "3", "4"),
        ("drawn to size", "1", "1", "1", "1", "1"),
        ("kept", "1", "1", "1", "1", "1"),
    ]


@pytest.mark.parametrize("most", [1, 4])
def test_reasons_are_told_check_by_check_the_commonest_first(most: int) -> None:
    found = selected(SAME, unique=True, rule=Rule.PROCESS)
    assert [(row.check, row.total) for row in fell_rows(found, most)] == [
        ("every step judged good", 1),
        ("without equal ones", 2),
    ]
    many = msgspec.structs.replace(found, fallen={Check.PROCESS: {"step 1": 5, "step 2": 3}})
    [row] = fell_rows(many, most)
    assert (next(iter(row.reasons)), row.others) == (("step 1", 5), 3 if most == 1 else 0)


def test_the_plot_is_of_the_filters_own_rule() -> None:
    assert survivors(selected(SAME, rule=Rule.PROCESS))[0] == ("all", 4)
    assert [count for _, count in survivors(selected(SAME, rule=Rule.PROCESS))] == [4, 4, 3]
