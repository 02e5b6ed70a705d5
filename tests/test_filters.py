"""Which trajectories each rule keeps, and the reason it gives."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl.errors import ConfigError
from swirl.filters import MOST_WORDS, Check, FilterConfig, Rule, decide, decided, faults
from swirl.slim import SlimTrajectory, answer_of, fingerprint
from swirl.types import (
    Answer,
    Malformed,
    Observation,
    Question,
    Rules,
    Step,
    StopReason,
    ToolCall,
    Trajectory,
    Verdict,
    VerdictStatus,
)

GOOD, BAD = Verdict(1.0), Verdict(0.0, "it guesses")
MISSING = Verdict(None, status=VerdictStatus.UNREADABLE)
STEPS = (
    Step(text="<math_exp>2 * 3</math_exp>", action=ToolCall("calculator", "2 * 3"), observation=Observation("6")),
    Step(text="<answer>6</answer>", action=Answer("6")),
)
QUESTION = Question(id="q", task="t", text="?")


def whole(stop: StopReason = StopReason.ANSWERED, name: str = "q/0", **changes: Any) -> Trajectory:
    steps = STEPS if stop is StopReason.ANSWERED else STEPS[:1]
    fields = {"question": QUESTION, "rules": Rules(), "steps": steps, **changes}
    return Trajectory(id=name, stop=stop, **fields)


@pytest.mark.parametrize(
    ("rule", "verdicts", "correct", "kept"),
    [
        (Rule.NONE, [BAD, None], False, True),
        (Rule.PROCESS, [GOOD, GOOD], False, True),
        (Rule.PROCESS, [GOOD, BAD], True, False),
        (Rule.PROCESS, [GOOD, MISSING], True, False),
        (Rule.PROCESS, [GOOD, None], True, False),
        (Rule.OUTCOME, [BAD, BAD], True, True),
        (Rule.OUTCOME, [GOOD, GOOD], False, False),
        (Rule.BOTH, [GOOD, GOOD], True, True),
        (Rule.BOTH, [GOOD, BAD], True, False),
        (Rule.BOTH, [GOOD, GOOD], False, False),
        (Rule.EITHER, [GOOD, GOOD], False, True),
        (Rule.EITHER, [GOOD, MISSING], True, True),
        (Rule.EITHER, [GOOD, BAD], False, False),
    ],
)
def test_each_rule_keeps_what_its_table_says(
    rule: Rule, verdicts: list[Verdict | None], correct: bool, kept: bool
) -> None:
    decision = decide(whole(), {"rule": verdicts}, correct, FilterConfig(rule=rule))
    assert decision.kept is kept
    assert (decision.check is None) is kept
    assert decision.reason


@pytest.mark.parametrize(
    ("verdicts", "settings", "reason"),
    [
        ({"rule": [GOOD, BAD]}, {}, "step 2 was judged bad: it guesses"),
        ({"rule": [GOOD, MISSING]}, {}, "step 2 has no verdict (unreadable)"),
        ({"rule": [None, BAD]}, {}, "step 1 has no verdict (not judged)"),
        ({"rule": [GOOD, Verdict(0.6, "not sure")]}, {}, "passed"),
        (
            {"rule": [GOOD, Verdict(0.6, "not sure")]},
            {"threshold": 0.8},
            "step 2 was judged below the threshold: 0.6; not sure",
        ),
        ({"rule": [GOOD, Verdict(0.4, "hm")]}, {"threshold": 0.3}, "passed"),
        ({"rule": [Verdict(0.8), GOOD]}, {"threshold": 0.8}, "passed"),
        (
            {"rule": [GOOD, GOOD], "solver": [GOOD, BAD]},
            {},
            "step 2 was judged bad by 1 of 2 judges: solver: it guesses",
        ),
        ({"rule": [GOOD, GOOD], "solver": [GOOD, BAD]}, {"agree": 1}, "passed"),
        (
            {"rule": [GOOD, BAD], "solver": [GOOD, MISSING]},
            {"agree": 1},
            "step 2 has no verdict of solver (unreadable)",
        ),
        (
            {"rule": [GOOD, BAD], "solver": [GOOD, MISSING]},
            {"agree": 2},
            "step 2 was judged bad by 1 of 2 judges: rule: it guesses",
        ),
        ({"rule": [BAD, GOOD], "solver": [GOOD, BAD], "x": [GOOD, GOOD]}, {"agree": 2}, "passed"),
    ],
)
def test_the_reason_names_the_step_and_the_judges_words(
    verdicts: dict[str, list[Verdict | None]], settings: dict[str, Any], reason: str
) -> None:
    config = FilterConfig(rule=Rule.PROCESS, judges=tuple(verdicts), **settings)
    assert decide(whole(), verdicts, True, config).reason == reason


@given(
    st.lists(st.lists(st.sampled_from([0.0, 0.3, 0.5, 1.0, None]), min_size=3, max_size=3), min_size=1, max_size=4),
    st.data(),
)
@settings(deadline=None)
def test_a_step_is_good_where_so_many_judges_say_so(scores: list[list[float | None]], data: st.DataObject) -> None:
    """Whatever the verdicts: as by counting, and never because one is missing."""
    judges = [f"j{i}" for i in range(len(scores))]
    agree = data.draw(st.integers(0, len(judges)))
    threshold = data.draw(st.sampled_from([0.2, 0.5, 1.0]))
    steps = tuple(Step(text=str(i), action=Malformed("no tag")) for i in range(3))
    said = {
        judge: [Verdict(s) if s is not None else MISSING for s in own]
        for judge, own in zip(judges, scores, strict=True)
    }
    config = FilterConfig(rule=Rule.PROCESS, judges=tuple(judges), agree=agree, threshold=threshold)
    votes = [sum(s is not None and s >= threshold for s in step) for step in zip(*scores, strict=True)]
    expected = all(count >= (agree or len(judges)) for count in votes)
    assert decide(whole(steps=steps), said, None, config).kept is expected


def test_words_of_a_judge_are_quoted_on_one_line_and_not_at_length() -> None:
    long = Verdict(0.0, "so\nso " + "x" * 500)
    reason = decide(whole(), {"rule": [long, GOOD]}, True, FilterConfig()).reason
    assert reason.startswith("step 1 was judged bad: so so xxx")
    assert reason.endswith("x...")
    assert len(reason) < MOST_WORDS + 40


def test_without_an_answer_nothing_passes_the_outcome_rule() -> None:
    capped = whole(StopReason.MAX_CALLS)
    assert not decide(capped, {"rule": [GOOD]}, False, FilterConfig(rule=Rule.OUTCOME)).kept
    assert decide(capped, {"rule": [GOOD]}, False, FilterConfig(rule=Rule.PROCESS)).kept


REFUSED = (
    Step(
        text="<math_exp>2 *</math_exp>",
        action=ToolCall("calculator", "2 *"),
        observation=Observation("?", refused=True),
    ),
    STEPS[1],
)
CORRECTED = (Step(text="2", action=Malformed("no tag"), observation=Observation("use tags", refused=True)), STEPS[1])


@pytest.mark.parametrize(
    ("trajectory", "settings", "check", "reason"),
    [
        (whole(steps=()), {}, Check.STEPS, "no step was taken (answered)"),
        (whole(), {"min_steps": 3}, Check.STEPS, "too few steps: 2, at least 3 were asked for"),
        (whole(), {"max_steps": 1}, Check.STEPS, "too many steps: 2, at most 1 were asked for"),
        (whole(), {"min_steps": 2, "max_steps": 2}, None, "passed"),
        (whole(StopReason.MAX_CALLS), {"answered": True}, Check.ANSWERED, "it ended without an answer (max_calls)"),
        (whole(StopReason.MAX_CALLS), {}, None, "passed"),
        (whole(steps=REFUSED), {}, None, "passed"),
        (
            whole(steps=REFUSED),
            {"tool_errors": "none"},
            Check.TOOL_ERRORS,
            "a tool refused a call: calculator, in step 1",
        ),
        (whole(steps=CORRECTED), {"tool_errors": "none"}, None, "passed"),
        (whole(StopReason.TOOL_FAILED), {"tool_errors": "none"}, Check.TOOL_ERRORS, "a tool broke"),
    ],
)
def test_steps_answers_and_tools_are_conditions_beside_the_rule(
    trajectory: Trajectory, settings: dict[str, Any], check: Check | None, reason: str
) -> None:
    verdicts = {"rule": [GOOD] * len(trajectory.steps)}
    for rule in Rule:
        decision = decide(trajectory, verdicts, True, FilterConfig(rule=rule, **settings))
        if check is not None:
            assert (decision.check, decision.reason) == (check, reason)
    assert decide(trajectory, verdicts, True, FilterConfig(rule=Rule.NONE, **settings)).reason == reason


def test_what_fails_both_says_both() -> None:
    found = faults(whole(), {"rule": [GOOD, BAD]}, False, FilterConfig(rule=Rule.EITHER))
    assert found[Check.EITHER].kind == "step 2 was judged bad, and its answer is wrong"
    assert found[Check.EITHER].reason == "step 2 was judged bad, and its answer is wrong: it guesses; 6"
    assert decided("q/0", found, (Check.STEPS, Check.OUTCOME)).check is Check.OUTCOME


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"size": -1}, r"filter.size must be 0 \(keep all\) or above, found -1"),
        ({"per_question": -1}, r"filter.per_question must be 0 \(no limit\) or above, found -1"),
        ({"agree": -1}, r"filter.agree must be 0 \(all of the judges\) or above, found -1"),
        ({"threshold": 0.0}, r"filter.threshold must be above 0 \(else no step is bad\) and at most 1, found 0.0"),
        ({"threshold": 1.5}, "and at most 1, found 1.5"),
        ({"min_steps": 0}, "filter.min_steps must be at least 1, found 0"),
        (
            {"min_steps": 3, "max_steps": 2},
            r"filter.max_steps must be 0 \(no limit\) or at least filter.min_steps = 3, found 2",
        ),
        ({"judges": ("rule", "rule")}, "filter.judges names a judge twice, found rule, rule; name each once"),
        ({"agree": 2}, "filter.agree must be at most the number of filter.judges, which is 1, found 2"),
        ({"judges": ("rule", "solver"), "agree": 3}, "which is 2, found 3"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_with_a_sentence(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        FilterConfig(**settings)


def test_every_rule_asks_for_its_own_and_for_all_that_the_settings_add() -> None:
    config = FilterConfig(answered=True, tool_errors="none", unique=True, per_question=2, size=3)
    asked = {rule: config.checks(rule) for rule in Rule}
    ruled = {Check.PROCESS, Check.OUTCOME, Check.EITHER}
    assert all(set(checks) - ruled == set(Check) - ruled for checks in asked.values())
    assert all(list(checks) == sorted(checks, key=list(Check).index) for checks in asked.values())
    assert asked[Rule.PROCESS] == config.checks() == replace(config, rule=Rule.PROCESS).checks()


# A trajectory without its bulk.


def test_a_trajectory_read_without_its_bulk_is_judged_alike() -> None:
    for trajectory in (
        whole(),
        whole(StopReason.MAX_CALLS),
        whole(steps=REFUSED),
        whole(steps=CORRECTED),
        whole(steps=()),
    ):
        slim = msgspec.json.decode(msgspec.json.encode(trajectory), type=SlimTrajectory)
        assert answer_of(slim) == answer_of(trajectory) == trajectory.answer
        assert fingerprint(slim) == fingerprint(trajectory)
        for rule in Rule:
            config = FilterConfig(rule=rule, tool_errors="none", answered=True)
            verdicts = {"rule": [GOOD] * len(trajectory.steps)}
            assert decide(slim, verdicts, True, config) == decide(trajectory, verdicts, True, config)


@pytest.mark.parametrize(
    ("changes", "equal"),
    [
        ({"name": "q/7", "seed": 3, "policy": "other"}, True),
        ({"steps": (msgspec.structs.replace(STEPS[0], observation=Observation("7")), STEPS[1])}, True),
        ({"steps": (msgspec.structs.replace(STEPS[0], text="so <math_exp>2 * 3</math_exp>"), STEPS[1])}, False),
        ({"steps": STEPS[:1]}, False),
        ({"question": msgspec.structs.replace(QUESTION, id="r")}, False),
        ({"question": msgspec.structs.replace(QUESTION, task="u")}, False),
    ],
)
def test_trajectories_are_equal_where_question_and_actions_are(changes: dict[str, Any], equal: bool) -> None:
    assert (fingerprint(whole(**changes)) == fingerprint(whole())) is equal


@given(st.lists(st.text(max_size=3), max_size=3), st.lists(st.text(max_size=3), max_size=3))
@settings(deadline=None)
def test_no_text_can_pass_for_two(one: list[str], other: list[str]) -> None:
    made = [whole(steps=tuple(Step(text=text, action=Malformed("")) for text in texts)) for texts in (one, other)]
    assert (fingerprint(made[0]) == fingerprint(made[1])) is (one == other)
