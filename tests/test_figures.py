"""Figures by hand: the unit is the question, what a question cannot have leaves a figure alone, differences are in pairs."""

from typing import Any

import pytest

from swirl.evaluate import EvaluatedTrajectory, Mode, When
from swirl.figures import by_question, compare, figures, measure, measures, recall_by_step
from swirl.statistics import wilson
from swirl.summary import sheets, summarise, tools_compared
from swirl.tasks import Grade
from swirl.types import (
    Answer,
    Malformed,
    Observation,
    PromptStyle,
    Question,
    Rules,
    Step,
    StopReason,
    ToolCall,
    Trajectory,
    Verdict,
)

CALL = ToolCall("search", "Ada")


def search(*passages: str, refused: bool = False, tokens: int = 3) -> Step:
    observation = Observation("...", refused=refused, passages=passages)
    return Step(text="", action=CALL, observation=observation, token_ids=(7,) * tokens)


ANSWERED = Step(text="", action=Answer("Bo"), token_ids=(7, 7))


def record(
    name: str,
    *steps: Step,
    correct: bool = False,
    sample: int = 0,
    policy: When = "before",
    mode: Mode = "sampled",
    stop: StopReason = StopReason.ANSWERED,
    gold: tuple[str, ...] = (),
    **more: Any,
) -> EvaluatedTrajectory:
    question = Question(id=name, task="t", text="?", answers=("Ada",), meta={"gold": list(gold)} if gold else {})
    trajectory = Trajectory(
        id=f"{name}/{sample}", question=question, rules=Rules(), sample=sample, steps=steps or (ANSWERED,), stop=stop
    )
    told = {"grade": Grade(correct=correct, exact_match=correct, f1=float(correct)), **more}
    return EvaluatedTrajectory(
        policy=policy, task="t", mode=mode, prompt=PromptStyle.BARE, trajectory=trajectory, **told
    )


def found(*records: EvaluatedTrajectory, steps: int = 0) -> dict[str, Any]:
    return figures(measure(records, steps), {}).before


def test_tokens_that_nobody_told_are_no_zero() -> None:
    untold = record("a", Step(text="<answer>Bo</answer>", action=Answer("Bo")))
    assert "tokens" not in found(untold)
    assert found(untold, record("b"))["tokens"].mean == 2.0
    assert "tokens" not in figures(measure([untold]), measure([record("a", policy="after")])).difference


def test_shares_of_steps_and_calls_are_of_all_steps_and_calls_not_means_of_means() -> None:
    malformed = Step(text="", action=Malformed("no tag"))
    long = record("q1", *[search()] * 3, search(refused=True), ANSWERED)
    short = record("q2", malformed, stop=StopReason.MALFORMED)
    told = found(long, short)
    assert {name: told[name].mean for name in ("steps", "calls", "answered", "tokens")} == {
        "steps": 3.0,
        "calls": 2.0,
        "answered": 0.5,
        "tokens": 7.0,
    }
    assert told["tool_errors"].mean == 0.25
    assert told["tool_errors"].n == 1, "the other question made no call"
    assert told["malformed"].mean == pytest.approx(1 / 6, abs=1e-6)


def test_a_call_beyond_the_cap_was_not_made() -> None:
    told = found(record("q", search(), Step(text="", action=CALL), stop=StopReason.MAX_CALLS))
    assert (told["steps"].mean, told["calls"].mean, told["answered"].mean) == (2.0, 1.0, 0.0)


def test_gold_passages_are_found_once_and_carried_forward() -> None:
    one = record("q", search("x", "a"), search("a"), search("b"), ANSWERED, gold=("a", "b", "c"))
    assert recall_by_step(one.trajectory) == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])
    nothing = record("r", ANSWERED, gold=("a",))
    told = found(one, nothing, record("s"), steps=6)
    curve = [told[f"gold_recall@{step}"].mean for step in range(1, 7)]
    assert curve == pytest.approx([1 / 6, 1 / 6, 1 / 3, 1 / 3, 1 / 3, 1 / 3], abs=1e-6)
    assert (told["gold_recall"].mean, told["gold_recall"].n) == (curve[-1], 2), (
        "the third question has no gold passages"
    )


def test_an_empty_trajectory_found_nothing() -> None:
    cut_off = record("q", stop=StopReason.CONTEXT_TOO_LONG, gold=("a",))
    empty = measures(
        EvaluatedTrajectory(
            policy="before",
            task="t",
            mode="greedy",
            prompt=PromptStyle.BARE,
            trajectory=Trajectory(
                id="q/0", question=cut_off.trajectory.question, rules=Rules(), stop=cut_off.trajectory.stop
            ),
            grade=Grade(correct=False),
        ),
        steps=2,
    )
    assert [empty[name] for name in ("gold_recall@1", "gold_recall@2", "malformed")] == [(0, 1), (0, 1), (0, 0)]


def test_an_answer_whose_judgement_cannot_be_read_is_missing_and_not_wrong() -> None:
    told = found(record("q1", judged=True), record("q2", judged=None), record("q3", judged=False))
    assert (told["judged"].mean, told["judged"].n) == (0.5, 2)
    assert "judged" not in found(record("q1"), record("q2"))


def test_several_samples_count_as_one_question() -> None:
    answers = [record("q1", sample=i, correct=i < 3) for i in range(4)] + [
        record("q2", sample=i, correct=False) for i in range(4)
    ]
    told = found(*answers)
    assert (told["accuracy"].mean, told["accuracy"].n) == (3 / 8, 2)
    assert told["accuracy"].ci95 == pytest.approx((wilson(0.75, 2).low, wilson(0.75, 2).high), abs=1e-6)
    assert [told[f"pass@{k}"].mean for k in (1, 2, 4)] == [3 / 8, 1 / 2, 1 / 2]
    assert not [name for name in found(record("q1")) if name.startswith("pass")]


def test_samples_are_told_apart_by_their_number_whatever_the_order_of_the_file() -> None:
    [answers] = by_question([record("q", sample=2), record("q", sample=0), record("q", sample=1)]).values()
    assert [answer.trajectory.sample for answer in answers] == [0, 1, 2]
    first_right = [record("q", sample=1), record("q", sample=0, correct=True)]
    assert compare([record("q")], first_right) == compare([record("q")], [record("q", correct=True)])


def test_differences_are_on_the_questions_that_both_answered() -> None:
    before = [record(f"q{i}", correct=i == 0) for i in range(4)]
    after = [record(f"q{i}", correct=True) for i in range(2, 6)]
    told = figures(measure(before), measure(reversed(after)))
    assert (told.before["accuracy"].mean, told.after["accuracy"].mean) == (0.25, 1.0)
    assert told.difference["accuracy"].mean == 1.0
    assert told.difference["accuracy"].n == 2
    assert figures(measure(before), measure(after[2:])).difference == {}
    assert figures({}, {}) == ({}, {}, {})


def test_the_order_of_the_questions_does_not_matter_to_a_difference() -> None:
    before = [record(f"q{i}", correct=i % 3 == 0) for i in range(30)]
    after = [record(f"q{i}", correct=i % 2 == 0) for i in range(30)]
    straight, turned = (figures(measure(before), measure(own)) for own in (after, after[::-1]))
    assert straight.difference == turned.difference
    assert straight.difference["accuracy"].ci95[0] < 1 / 6 < straight.difference["accuracy"].ci95[1]


def test_what_only_one_of_two_policies_has_has_no_difference() -> None:
    told = figures(measure([record("q", judged=True)]), measure([record("q", verdicts=(Verdict(1.0),))]))
    assert ("judged" in told.before, "judged" in told.after) == (True, False)
    assert not {"judged", "process_label"} & set(told.difference)


def test_a_sheet_says_what_accuracy_compares_even_where_nobody_answered() -> None:
    by_value = record("q", grade=Grade(correct=True, by_value=True))
    mute = record("q", mode="greedy", stop=StopReason.MALFORMED)
    assert [(sheet.mode, sheet.by_value) for sheet in sheets([by_value, mute])] == [("sampled", True), ("greedy", True)]
    assert not sheets([mute])[0].by_value


def test_with_tools_is_compared_with_without_question_by_question() -> None:
    with_tools = [record(f"q{i}", correct=i < 6, gold=("a",)) for i in range(8)]
    without = [record(f"q{i}", correct=i == 7, tools=False, gold=("a",)) for i in range(8)]
    [one] = tools_compared([*with_tools, *without])
    assert (one.with_tools.mean, one.without.mean, one.difference.mean) == (0.75, 0.125, 0.625)
    assert (one.mcnemar.b, one.mcnemar.c) == (1, 6)
    assert tools_compared(with_tools) == []
    summary = summarise([*without, *with_tools])
    assert summary["before"]["accuracy"] == 0.75, "the headline is that with tools"
    assert [("gold_recall" in sheet["before"], sheet["tools"]) for sheet in summary["table"]] == [
        (False, False),
        (True, True),
    ]
    assert summarise(without)["before"]["accuracy"] == 0.125


def test_the_recall_curves_of_two_policies_are_equally_long() -> None:
    short = record("q", ANSWERED, gold=("a",))
    long = record("q", search("x"), search("a"), ANSWERED, gold=("a",), policy="after")
    [sheet] = sheets([short, long])
    for stand in (sheet.before, sheet.after, sheet.difference):
        assert [name for name in stand if "@" in name] == ["gold_recall@1", "gold_recall@2", "gold_recall@3"]
    assert [sheet.difference[f"gold_recall@{step}"].mean for step in (1, 2, 3)] == [0.0, 1.0, 1.0]
