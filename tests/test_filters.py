"""Which trajectories each rule keeps, and the reason it gives."""

import pytest

from swirl.filters import Rule, decide, trim
from swirl.types import Answer, Question, Rules, Step, StopReason, ToolCall, Trajectory, Verdict, VerdictStatus

GOOD, BAD = Verdict(1.0), Verdict(0.0, "it guesses")
MISSING = Verdict(None, status=VerdictStatus.UNREADABLE)
STEPS = (
    Step(text="<math_exp>2 * 3</math_exp>", action=ToolCall("calculator", "2 * 3")),
    Step(text="<answer>6</answer>", action=Answer("6")),
)


def whole(stop: StopReason = StopReason.ANSWERED, name: str = "q/0") -> Trajectory:
    steps = STEPS if stop is StopReason.ANSWERED else STEPS[:1]
    return Trajectory(id=name, question=Question(id="q", task="t", text="?"), rules=Rules(), steps=steps, stop=stop)


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
    ],
)
def test_each_rule_keeps_what_its_table_says(
    rule: Rule, verdicts: list[Verdict | None], correct: bool, kept: bool
) -> None:
    decision = decide(whole(), verdicts, correct, rule)
    assert decision.kept is kept
    assert decision.reason


def test_the_reason_names_the_step_and_the_judges_words() -> None:
    assert decide(whole(), [GOOD, BAD], True, Rule.PROCESS).reason == "step 2 was judged bad: it guesses"


def test_without_an_answer_nothing_passes_the_outcome_rule() -> None:
    capped = whole(StopReason.MAX_CALLS)
    assert not decide(capped, [GOOD], False, Rule.OUTCOME).kept
    assert decide(capped, [GOOD], False, Rule.PROCESS).kept


def test_equal_sized_arms_are_drawn_by_seed_and_say_so() -> None:
    decisions = [decide(whole(name=f"q/{i}"), [GOOD, GOOD], True, Rule.NONE) for i in range(40)]
    trimmed = trim(decisions, 10, seed=1)
    assert sum(decision.kept for decision in trimmed) == 10
    assert trimmed == trim(decisions, 10, seed=1)
    assert trimmed != trim(decisions, 10, seed=2)
    assert all(decision.reason for decision in trimmed if not decision.kept)
