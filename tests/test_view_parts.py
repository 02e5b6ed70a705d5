"""What pages of the viewer are made of: steps as plain values, and tokens with how they moved."""

from swirl.known import Known
from swirl.types import Answer, Observation, Question, Rules, Step, StopReason, ToolCall, Trajectory, Verdict
from swirl.viewer import tokens
from swirl.viewer.steps import MOST_CONTEXT, pieces, steps


def _known(*observations: str | None) -> Known:
    calls = [
        Step(text="<math_exp>1</math_exp>", action=ToolCall("calculator", "1"), observation=text and Observation(text))
        for text in observations
    ]
    answer = Step(text="<answer>1</answer>", action=Answer("1"))
    whole = Trajectory(
        id="q/0",
        question=Question(id="q", task="t", text="?"),
        rules=Rules(tools=("calculator",)),
        steps=(*calls, answer),
        stop=StopReason.ANSWERED,
    )
    said = {"other": (Verdict(1.0), None), "own": (Verdict(0.0, "no"), Verdict(0.7))}
    return Known(trajectory=whole, judge="own", verdicts=said)


def test_text_is_cut_at_tags_and_nothing_is_lost() -> None:
    text = "</answer> a <math_exp>2<3</search_query> b <answer><answer>c"
    assert "".join(piece["text"] for piece in pieces(text)) == text
    assert [piece["text"] for piece in pieces(text) if piece["kind"] == "inside"] == ["2<3", "c"]
    assert pieces("") == []


def test_the_runs_own_judge_comes_first_and_a_missing_verdict_says_so() -> None:
    first, second = steps(_known("1"), context=0)
    assert [(each["judge"], each["badge"]) for each in first["verdicts"]] == [("own", "BAD"), ("other", "GOOD")]
    assert [(each["badge"], each["status"]) for each in second["verdicts"]] == [
        ("GOOD", "ok"),
        ("MISSING", "not judged"),
    ]
    assert first["bad"]
    assert not second["bad"]


def test_prompts_beyond_what_a_page_may_hold_are_shown_where_they_are_asked_for() -> None:
    known = _known("x" * MOST_CONTEXT)
    assert [step["context"] is None for step in steps(known, context=0)] == [False, True]
    assert [step["context"] is None for step in steps(known, context=2)] == [False, False]


def test_a_foreign_trace_without_a_result_has_steps_and_no_prompt_after_it() -> None:
    first, second = steps(_known(None), context=0)
    assert len(first["context"]) == 1
    assert second["context"] == []


def _step(number: int, *lengths: int) -> dict[str, object]:
    actions = [{"same": place, "rows": [{}] * length, "columns": [{}]} for place, length in enumerate(lengths)]
    return {"number": number, "group": {"actions": actions} if lengths else None}


def test_tokens_that_a_page_has_no_room_for_go_to_the_step_that_was_asked_for() -> None:
    half = tokens.MOST_CELLS // 2 + 1
    for asked in (1, 3):
        found = [_step(1, half), _step(2), _step(3, half)]
        tokens.share_out(found, asked)
        rooms = {step["number"]: step["group"]["actions"][0]["room"] for step in found if step["group"]}  # type: ignore[index]
        assert rooms == {1: asked == 1, 3: asked == 3}


def test_a_few_of_many_checkpoints_are_shown_the_first_and_last_among_them() -> None:
    found = tokens.spread(list(range(100)), 8)
    assert (len(found), found[0], found[-1]) == (8, 0, 99)
