"""K steps give K states, each the growing prefix that its step was taken at."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from swirl.decompose import decompose, state_before
from swirl.protocol import render
from swirl.types import Answer, Observation, Question, Rules, Step, StopReason, ToolCall, Trajectory


def trajectory(num_calls: int) -> Trajectory:
    calls = [
        Step(
            text=f"<math_exp>{i} + 1</math_exp>",
            action=ToolCall("calculator", f"{i} + 1"),
            observation=Observation(str(i + 1)),
        )
        for i in range(num_calls)
    ]
    steps = (*calls, Step(text="<answer>6</answer>", action=Answer("6")))
    question = Question(id="q", task="t", text="?")
    return Trajectory(id="q/0", question=question, rules=Rules(), steps=steps, stop=StopReason.ANSWERED)


@given(st.integers(0, 9))
def test_k_steps_give_k_states_with_growing_prefixes(num_calls: int) -> None:
    whole = trajectory(num_calls)
    states = decompose(whole)
    assert len(states) == len(whole.steps)
    for place, state in enumerate(states):
        assert state.steps == whole.steps[:place]
        assert state.stop is None
        assert state == state_before(whole, place)
    prompts = [render(state).messages for state in states]
    assert all(later[: len(earlier)] == earlier for earlier, later in pairwise(prompts))
