"""The grammar: total on any text, its own inverse, and deaf to tags in what the policy did not write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swirl.protocol import CLOSING_TAGS, TAGS, observation_turn, parse, render, write
from swirl.types import (
    Answer,
    Malformed,
    Observation,
    PromptStyle,
    Question,
    Rules,
    Step,
    ToolCall,
    Trajectory,
)

PIECES = st.sampled_from(
    [*CLOSING_TAGS, *(tag.replace("/", "") for tag in CLOSING_TAGS), "<", "</", ">", " ", "12", "Ada", "\n"]
)
CONTENT = st.text(alphabet="abc 123+-*/é", min_size=1).filter(lambda text: text.strip() == text)


@given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
def test_every_text_is_a_call_an_answer_or_malformed_with_a_reason(text: str) -> None:
    action = parse(text)
    assert isinstance(action, ToolCall | Answer) or (isinstance(action, Malformed) and action.reason)


@given(
    st.one_of(CONTENT.map(Answer), st.builds(ToolCall, st.sampled_from([*TAGS]), CONTENT)),
    st.text("xyz .", max_size=20),
)
def test_parse_reads_what_write_wrote(action: ToolCall | Answer, thought: str) -> None:
    assert parse(write(action, thought)) == action
    assert parse(write(action, thought) + "\n ") == action


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nothing", "no tag"),
        ("</answer>", "never opened"),
        ("<answer>6", "never closed"),
        ("<answer>6</math_exp>", "before it is closed"),
        ("<answer>6</answer><answer>7</answer>", "more than one tag"),
        ("<answer>6</answer> so there", "text after"),
        ("<answer>  </answer>", "is empty"),
    ],
)
def test_a_malformed_action_says_why(text: str, reason: str) -> None:
    action = parse(text)
    assert isinstance(action, Malformed)
    assert reason in action.reason


def state(style: PromptStyle, *steps: Step, keep_thinking: bool = False) -> Trajectory:
    rules = Rules(prompt=style, tools=("calculator",), max_calls=10, keep_thinking=keep_thinking)
    question = Question(id="q", task="t", text="What is <answer>2 * 3</answer>?")
    return Trajectory(id="q/0", question=question, rules=rules, steps=steps)


def call(thinking: str = "", ids: tuple[int, ...] = ()) -> Step:
    action = ToolCall("calculator", "2 * 3")
    return Step(
        text=write(action),
        action=action,
        observation=Observation("6 <answer>7</answer>"),
        thinking=thinking,
        token_ids=ids,
        thinking_tokens=2 if thinking else 0,
    )


def test_turns_alternate_and_a_later_prompt_begins_with_the_earlier_one() -> None:
    short, long = render(state(PromptStyle.TERSE)).messages, render(state(PromptStyle.TERSE, call(), call())).messages
    assert [message.role for message in long] == ["user", "assistant", "user", "assistant", "user"]
    assert long[: len(short)] == short
    assert long[2].text == observation_turn(call()) == "2 * 3 -> 6 <answer>7</answer>"


def test_the_styles_differ_in_what_stands_before_the_question() -> None:
    first = {style: render(state(style)).messages[0].text for style in PromptStyle}
    assert first[PromptStyle.BARE] == "What is <answer>2 * 3</answer>?"
    assert "up to 10" in first[PromptStyle.TERSE]
    assert "step by step" in first[PromptStyle.REASONED]
    assert "step by step" not in first[PromptStyle.TERSE]


def test_thinking_leaves_the_context_unless_it_is_kept() -> None:
    step = call(thinking="hm ", ids=(7, 8, 9, 10))
    dropped = render(state(PromptStyle.BARE, step)).messages[1]
    kept = render(state(PromptStyle.BARE, step, keep_thinking=True)).messages[1]
    assert (dropped.text, dropped.token_ids) == (step.text, (9, 10))
    assert (kept.text, kept.token_ids) == ("hm " + step.text, (7, 8, 9, 10))
