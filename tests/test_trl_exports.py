"""TRL's formats, without TRL: prompts are those of the protocol, labels those of the judge, and what is not known is in no row."""

import json
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from itertools import groupby
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playing import shown
from swirl.decompose import decompose, state_before
from swirl.exports import (
    Item,
    Row,
    trl_grpo,
    trl_preference,
    trl_preference_whole,
    trl_prompt_completion,
    trl_sft,
    trl_stepwise,
    trl_unpaired,
)
from swirl.protocol import parse, render, write
from swirl.types import (
    Answer,
    Malformed,
    Observation,
    OnMalformed,
    Question,
    Rules,
    Step,
    StopReason,
    ToolCall,
    Trajectory,
    Verdict,
    VerdictStatus,
)

FORMATS = [
    module.FORMAT
    for module in (
        trl_grpo,
        trl_sft,
        trl_prompt_completion,
        trl_preference,
        trl_preference_whole,
        trl_unpaired,
        trl_stepwise,
    )
]
GOOD, BAD, MISSING = Verdict(1.0), Verdict(0.0, "it guesses"), Verdict(None, status=VerdictStatus.TIMED_OUT)
FEW = settings(deadline=None, max_examples=40)
VERDICTS = st.sampled_from([GOOD, BAD, Verdict(0.75), Verdict(0.25), MISSING, None])
RULES = Rules(tools=("calculator",), malformed=OnMalformed.OBSERVE)

calls = st.sampled_from(["1 + 1", "2 * 3"]).map(lambda text: ToolCall("calculator", text))
texts = st.one_of(calls.map(write), st.just("I do not know."), st.text(max_size=6))


def step(text: str, result: str = "6", **more: Any) -> Step:
    """With the observation that follows, where one does."""
    action = parse(text)
    return Step(
        text=text, action=action, observation=Observation(result) if isinstance(action, ToolCall) else None, **more
    )


def trajectory(steps: Sequence[Step], name: str = "q/0", question: str = "q", rules: Rules = RULES) -> Trajectory:
    asked = Question(id=question, task="t", text=f"What of {question}?", answers=("6",), meta={"n": [1, {}]})
    return Trajectory(id=name, question=asked, rules=rules, steps=tuple(steps), stop=StopReason.ANSWERED)


@st.composite
def items(draw: st.DrawFn) -> list[Item]:
    """The samples of two questions, some of which begin alike."""
    found = []
    for question in ("a", "b"):
        for sample in range(draw(st.integers(0, 4))):
            said = [*draw(st.lists(texts, max_size=3)), *draw(st.sampled_from([[], [write(Answer("6"), "So")]]))]
            steps = [step(text, thinking=draw(st.sampled_from(["", "<think>hm</think>"]))) for text in said]
            verdicts = tuple(draw(VERDICTS) for _ in steps) if draw(st.booleans()) else ()
            kept = draw(st.sampled_from([True, False, None]))
            found.append(Item(trajectory(steps, f"{question}/{sample}", question), verdicts, kept))
    return found


def by_place(found: Sequence[Item]) -> dict[tuple[str, int], tuple[Trajectory, Step, Verdict | None]]:
    return {
        (item.trajectory.id, index): (item.trajectory, step, item.verdicts[index] if item.verdicts else None)
        for item in found
        for index, step in enumerate(item.trajectory.steps)
    }


def rows(module: Any, found: Sequence[Item]) -> list[Row]:
    return list(module.FORMAT.rows(iter(found)))


@given(items())
@FEW
def test_prompts_are_those_of_the_protocol_at_that_state(found: list[Item]) -> None:
    places = by_place(found)
    for module in (trl_grpo, trl_prompt_completion, trl_unpaired):
        for row in rows(module, found):
            whole, step, _ = places[row["trajectory"], row["step"]]
            assert row["prompt"] == shown(state_before(whole, row["step"]))
            assert "completion" not in row or row["completion"] == [
                {"role": "assistant", "content": step.thinking + step.text}
            ]
    written = {place for place, (_, step, _) in places.items() if step.thinking + step.text}
    assert [(row["trajectory"], row["step"]) for row in rows(trl_grpo, found)] == list(places)
    assert {(row["trajectory"], row["step"]) for row in rows(trl_prompt_completion, found)} == written


@given(items())
@FEW
def test_the_column_state_is_the_state(found: list[Item]) -> None:
    states = [state for item in found for state in decompose(item.trajectory)]
    assert [msgspec.json.decode(row["state"], type=Trajectory) for row in rows(trl_grpo, found)] == states


def test_the_column_state_holds_no_tokens() -> None:
    sampled = step(write(ToolCall("calculator", "2 * 3")), token_ids=(7, 8), thinking_tokens=1, logprobs=(-0.5, -0.25))
    _, row = rows(trl_grpo, [Item(trajectory([sampled, step("<answer>6</answer>")]))])
    assert "2 * 3" in row["state"]
    assert not [key for key in ("token_ids", "logprobs", "thinking_tokens") if key in row["state"]]


@given(items())
@FEW
def test_labels_are_verdicts_and_missing_ones_are_none(found: list[Item]) -> None:
    places = by_place(found)
    scored = {place: verdict for place, (_, _, verdict) in places.items() if verdict and verdict.score is not None}
    labelled = {(row["trajectory"], row["step"]): row for row in rows(trl_unpaired, found)}
    assert set(labelled) == {place for place in scored if places[place][1].thinking + places[place][1].text}
    for place, row in labelled.items():
        assert (row["label"], row["score"]) == (scored[place].good, scored[place].score)
    steps = {
        (row["trajectory"], index): label
        for row in rows(trl_stepwise, found)
        for index, label in zip(row["steps"], row["labels"], strict=True)
    }
    assert steps == {place: verdict.good for place, verdict in scored.items()}


@given(items())
@FEW
def test_labelled_completions_hold_all_that_was_said_up_to_the_last_label(found: list[Item]) -> None:
    wholes = {item.trajectory.id: item.trajectory for item in found}
    for row in rows(trl_stepwise, found):
        whole, last = wholes[row["trajectory"]], row["steps"][-1]
        said = [*render(state_before(whole, last)).messages[1:]]
        action = whole.steps[last].thinking + whole.steps[last].text
        assert "\n".join(row["completions"]) == "\n".join([*(message.text for message in said), action])
        assert len(row["completions"]) == len(row["labels"]) == len(row["steps"])
        for index, completion in zip(row["steps"], row["completions"], strict=True):
            assert completion.endswith(whole.steps[index].text)


@given(items())
@FEW
def test_a_chosen_action_was_judged_good_at_the_state_and_a_rejected_one_bad(found: list[Item]) -> None:
    places = by_place(found)
    said: dict[tuple[str, str], set[bool]] = {}
    for (_, index), (whole, step, verdict) in places.items():
        if verdict and verdict.score is not None:
            key = (json.dumps(shown(state_before(whole, index))), step.thinking + step.text)
            said.setdefault(key, set()).add(verdict.good)
    used: Counter[tuple[str, str]] = Counter()
    for row in rows(trl_preference, found):
        prompt = json.dumps(row["prompt"])
        for column, good in (("chosen", True), ("rejected", False)):
            whole, step, verdict = places[row[f"{column}_trajectory"], row["step"]]
            assert (whole.question.task, whole.question.id) == (row["task"], row["question"])
            assert prompt == json.dumps(shown(state_before(whole, row["step"])))
            assert row[column] == [{"role": "assistant", "content": step.thinking + step.text}]
            assert verdict is not None
            assert said[prompt, row[column][0]["content"]] == {good}
            used[prompt, row[column][0]["content"]] += 1
    assert set(used.values()) <= {1}


@given(items())
@FEW
def test_a_chosen_trajectory_is_good_throughout_and_a_rejected_one_is_not(found: list[Item]) -> None:
    known = {item.trajectory.id: item for item in found}
    for row in rows(trl_preference_whole, found):
        chosen, rejected = known[row["chosen_trajectory"]], known[row["rejected_trajectory"]]
        assert chosen.verdicts
        assert all(verdict is not None and verdict.good for verdict in chosen.verdicts)
        assert any(
            verdict is not None and verdict.score is not None and not verdict.good for verdict in rejected.verdicts
        )
        assert chosen.kept is not False
        assert rejected.kept is not True
        assert chosen.trajectory.question == rejected.trajectory.question
        assert row["chosen"] != row["rejected"]
        for column, item in (("chosen", chosen), ("rejected", rejected)):
            assert row["prompt"] + row[column] == trl_sft.conversation(item.trajectory)


@given(items())
@FEW
def test_a_conversation_ends_with_the_last_action_that_was_written(found: list[Item]) -> None:
    wholes = {item.trajectory.id: item.trajectory for item in found}
    told = {row["trajectory"]: row for row in rows(trl_sft, found)}
    assert set(told) == {
        name for name, whole in wholes.items() if any(each.thinking + each.text for each in whole.steps)
    }
    for name, row in told.items():
        *context, last = row["messages"]
        state = state_before(wholes[name], row["step"])
        assert context == shown(state)
        assert last["content"] == wholes[name].steps[row["step"]].thinking + wholes[name].steps[row["step"]].text
        assert [key for key, _ in groupby(row["messages"], key=lambda turn: turn["role"])] == ["user", "assistant"] * (
            len(row["messages"]) // 2
        )


@given(items())
@FEW
def test_rows_are_json_and_come_while_items_are_read(found: list[Item]) -> None:
    for format in FORMATS:
        read: list[Item] = []
        made = format.rows(item for item in found if not read.append(item))  # type: ignore[func-returns-value]
        assert read == []
        told = list(made)
        assert json.loads(json.dumps(told)) == told
        assert read == found


def test_half_a_character_is_left_to_whoever_writes_the_rows() -> None:
    broken = trajectory([step("\ud800 <answer>\udc00</answer>")])
    for format in FORMATS:
        assert all(json.loads(json.dumps(row)) == row for row in format.rows([Item(broken, (GOOD,))]))


def test_pairs_of_the_first_state_are_found_and_need_both_verdicts() -> None:
    first, second = step(write(ToolCall("calculator", "1 + 1"))), step("<answer>6</answer>")
    samples = [trajectory([first, second], "q/0"), trajectory([second], "q/1")]

    def found(*verdicts: tuple[Verdict | None, ...]) -> list[Row]:
        return rows(trl_preference, [Item(*pair) for pair in zip(samples, verdicts, strict=True)])

    [row] = found((GOOD, BAD), (BAD,))
    assert (row["chosen_trajectory"], row["rejected_trajectory"], row["step"]) == ("q/0", "q/1", 0)
    assert row["chosen"][0]["content"] == first.text
    assert not found((GOOD, BAD), (GOOD,))
    assert not found((GOOD, BAD), (MISSING,))
    assert not found((None, BAD), (BAD,))
    assert not found((), (BAD,))


def test_an_action_called_good_and_bad_at_one_state_is_in_no_pair() -> None:
    said = [step("<answer>6</answer>"), step("<answer>6</answer>"), step("<answer>7</answer>")]
    samples = [
        Item(trajectory([each], f"q/{place}"), (verdict,))
        for place, (each, verdict) in enumerate(zip(said, (GOOD, BAD, BAD), strict=True))
    ]
    assert rows(trl_preference, samples) == []
    assert rows(trl_preference_whole, samples) == []
    assert len(rows(trl_unpaired, samples)) == 3


def test_a_trajectory_that_was_dropped_though_it_is_good_is_in_no_pair() -> None:
    good, bad = trajectory([step("<answer>6</answer>")], "q/0"), trajectory([step("<answer>7</answer>")], "q/1")
    assert not rows(trl_preference_whole, [Item(good, (GOOD,), False), Item(bad, (BAD,), False)])
    assert not rows(trl_preference_whole, [Item(good, (GOOD,), True), Item(bad, (BAD,), True)])
    assert not rows(trl_preference_whole, [Item(good, (GOOD,), True), Item(bad, (MISSING,), False)])
    assert len(rows(trl_preference_whole, [Item(good, (GOOD,), True), Item(bad, (BAD,), False)])) == 1
    assert len(rows(trl_preference_whole, [Item(good, (GOOD,)), Item(bad, (BAD,))])) == 1


def test_a_trajectory_with_a_missing_verdict_is_never_chosen() -> None:
    good = trajectory([step(write(ToolCall("calculator", "2 * 3"))), step("<answer>6</answer>")], "q/0")
    bad = Item(trajectory([step("<answer>7</answer>")], "q/1"), (BAD,), False)
    assert len(rows(trl_preference_whole, [Item(good, (GOOD, GOOD), True), bad])) == 1
    assert not rows(trl_preference_whole, [Item(good, (GOOD, MISSING), True), bad])
    assert not rows(trl_preference_whole, [Item(good, (None, GOOD), True), bad])


def test_two_questions_are_never_compared() -> None:
    good = trajectory([step("<answer>6</answer>")], "a/0", "a")
    bad = trajectory([step("<answer>7</answer>")], "b/0", "b")
    for module in (trl_preference, trl_preference_whole):
        assert rows(module, [Item(good, (GOOD,), True), Item(bad, (BAD,), False)]) == []


def test_an_unlabelled_step_goes_on_into_the_next_completion() -> None:
    first, second = (step(write(ToolCall("calculator", text)), text) for text in ("1 + 1", "2 * 3"))
    whole = trajectory([first, second, step("<answer>6</answer>")])
    [row] = rows(trl_stepwise, [Item(whole, (MISSING, BAD, GOOD))])
    assert row["labels"] == [False, True]
    assert row["steps"] == [1, 2]
    assert row["completions"] == [f"{first.text}\n1 + 1 -> 1 + 1\n{second.text}", "2 * 3 -> 2 * 3\n<answer>6</answer>"]
    [cut] = rows(trl_stepwise, [Item(whole, (GOOD, None, MISSING))])
    assert (cut["completions"], cut["labels"]) == ([first.text], [True])
    assert not rows(trl_stepwise, [Item(whole)])


def test_calls_in_a_servers_own_way_stand_in_tags_that_the_prompt_tells() -> None:
    call = ToolCall("calculator", "2 * 3", "c1", '{"expression": "2 * 3"}')
    steps = [Step(text=write(call), action=call, observation=Observation("6")), step("<answer>6</answer>")]
    native = Rules(tools=("calculator", "browser"), native_calls=True)
    _, row = rows(trl_grpo, [Item(trajectory(steps, rules=native))])
    assert row["prompt"] == shown(state_before(trajectory(steps, rules=Rules(tools=("calculator",))), 1))
    assert "<math_exp>" in row["prompt"][0]["content"]


def test_a_malformed_action_is_a_rejected_one() -> None:
    bad = Step(text="I do not know.", action=Malformed("no tag"))
    samples = [Item(trajectory([step("<answer>6</answer>")]), (GOOD,)), Item(trajectory([bad], "q/1"), (BAD,))]
    [row] = rows(trl_preference, samples)
    assert row["rejected"] == [{"role": "assistant", "content": "I do not know."}]


def test_formats_that_tell_good_from_bad_are_made_of_dropped_trajectories_too() -> None:
    assert [format.name for format in FORMATS if format.dropped] == [
        "trl-preference",
        "trl-preference-whole",
        "trl-unpaired",
        "trl-stepwise",
    ]
    assert len({format.name for format in FORMATS}) == len(FORMATS)


@given(items())
@FEW
def test_rows_are_of_the_schema(found: list[Item]) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    for format in FORMATS:
        schema = json.loads(
            resources.files("swirl.exports").joinpath("schemas", f"{format.name}.json").read_text("utf-8")
        )
        check = jsonschema.Draft202012Validator(schema)
        for row in format.rows(found):
            assert not [error.message for error in check.iter_errors(row)]
