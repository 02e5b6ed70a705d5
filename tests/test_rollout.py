"""The step and its driver: what counts towards the cap, every way to end, and what a broken tool does."""

import pytest

from playing import ANSWER, BOX, CALL, Broken
from swirl.errors import ToolFailure
from swirl.policies import Completion, Finish, Sampling
from swirl.policies.scripted import ScriptedPolicy
from swirl.rollout import advance, begin, rollout
from swirl.tools import Toolbox
from swirl.types import OnMalformed, Question, Rules, StopReason, Trajectory


def start(max_calls: int = 5, malformed: OnMalformed = OnMalformed.STOP, name: str = "q") -> Trajectory:
    rules = Rules(tools=("calculator",), max_calls=max_calls, malformed=malformed)
    return begin(Question(id=name, task="t", text="What is 2 * 3?"), rules, seed=1)


def play(*actions: str, state: Trajectory | None = None) -> Trajectory:
    [played] = rollout([state or start()], ScriptedPolicy(list(actions)), BOX, Sampling())
    return played


def test_the_answer_may_follow_the_last_call_and_one_call_more_ends_it_unmade() -> None:
    answered = play(CALL, CALL, ANSWER, state=start(max_calls=2))
    assert (answered.stop, answered.answer, answered.num_calls) == (StopReason.ANSWERED, "6", 2)
    capped = play(CALL, CALL, CALL, state=start(max_calls=2))
    assert (capped.stop, capped.answer) == (StopReason.MAX_CALLS, None)
    assert capped.steps[-1].observation is None


@pytest.mark.parametrize(
    ("completion", "stop"),
    [
        (Completion(text=ANSWER), StopReason.ANSWERED),
        (Completion(text="six"), StopReason.MALFORMED),
        (Completion(text="2 *", finish=Finish.LENGTH), StopReason.ACTION_TOO_LONG),
        (Completion(text="", finish=Finish.CONTEXT), StopReason.CONTEXT_TOO_LONG),
        (Completion(text=CALL), None),
    ],
)
def test_a_completion_ends_a_trajectory_for_a_stated_reason(completion: Completion, stop: StopReason | None) -> None:
    assert advance(start(), completion, BOX).stop == stop


def test_no_step_is_taken_where_the_context_leaves_no_room() -> None:
    assert advance(start(), Completion(text="", finish=Finish.CONTEXT), BOX).steps == ()


def test_a_policy_that_only_writes_malformed_actions_ends_at_once_or_at_the_cap() -> None:
    assert len(play("six", "six").steps) == 1
    observed = play(*["six"] * 9, state=start(max_calls=3, malformed=OnMalformed.OBSERVE))
    assert (observed.stop, len(observed.steps)) == (StopReason.MAX_CALLS, 4)


def test_a_bad_expression_is_an_observation_that_the_policy_may_learn_from() -> None:
    played = play("<math_exp>2 *</math_exp>", ANSWER)
    assert played.steps[0].observation is not None
    assert played.steps[0].observation.refused
    assert played.stop is StopReason.ANSWERED


def test_a_broken_service_raises_or_ends_the_trajectories_it_hits() -> None:
    with pytest.raises(ToolFailure, match="down"):
        rollout([start()], ScriptedPolicy([CALL]), Toolbox([Broken()]), Sampling())
    [ended] = rollout([start()], ScriptedPolicy([CALL]), Toolbox([Broken()]), Sampling(), on_tool_failure="stop")
    assert ended.stop is StopReason.TOOL_FAILED


@pytest.mark.parametrize("slots", [1, 2, 7])
def test_how_many_are_under_way_changes_nothing(slots: int) -> None:
    states = [start(name=f"q{i}") for i in range(5)]
    policy = ScriptedPolicy([CALL, ANSWER])
    assert rollout(states, policy, BOX, Sampling(), slots=slots) == rollout(states, policy, BOX, Sampling())


def test_endings_are_told_as_they_come() -> None:
    told: list[int] = []
    states = [start(max_calls=cap, name=f"q{i}") for i, cap in enumerate((5, 0, 1, 0))]
    rollout(states, ScriptedPolicy([CALL, CALL, ANSWER]), BOX, Sampling(), on_ended=told.append)
    assert told == [2, 1, 1]
