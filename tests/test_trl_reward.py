"""The reward function for TRL: a completion is judged as an action at its state, and no score is never a zero."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from answering import Answering, failure
from swirl.decompose import state_before
from swirl.errors import ConfigError, ServiceFailure, TrainingError
from swirl.exports import Item, trl_grpo
from swirl.exports.trl_reward import step_reward
from swirl.judges import StepSample
from swirl.judges.model import ServedJudge
from swirl.judges.rule import Rule
from swirl.protocol import parse, write
from swirl.types import (
    Answer,
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

CALL = ToolCall("calculator", "3 * 12")
WHOLE = Trajectory(
    id="q/0",
    question=Question(id="q", task="t", text="Tom has 3 boxes of 12 eggs. How many?", answers=("36",)),
    rules=Rules(tools=("calculator",)),
    steps=(
        Step(text=write(CALL), action=CALL, observation=Observation("36"), token_ids=(1, 2), logprobs=(-1.0, -2.0)),
        Step(text="<answer>36</answer>", action=Answer("36")),
    ),
    stop=StopReason.ANSWERED,
)
FIRST, SECOND = (row["state"] for row in trl_grpo.FORMAT.rows([Item(WHOLE)]))


class Told:
    """A judge that answers with the verdicts it is given, in turn, and remembers what it was asked."""

    name = "told"

    def __init__(self, *verdicts: Verdict) -> None:
        self.asked: list[StepSample] = []
        self._verdicts = iter(verdicts)

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        self.asked += samples
        return [next(self._verdicts) for _ in samples]


MISSING = Verdict(None, status=VerdictStatus.TIMED_OUT)


def said(*texts: str) -> list[list[dict[str, str]]]:
    """Completions as TRL hands them over where prompts are conversational."""
    return [[{"role": "assistant", "content": text}] for text in texts]


def rewards(judge: Any, completions: Sequence[Any], states: Sequence[Any], **columns: Any) -> list[float | None]:
    return step_reward(judge)(
        prompts=[[]] * len(completions),
        completions=completions,
        completion_ids=[[1]] * len(completions),
        state=states,
        **columns,
    )


def test_the_judge_sees_the_state_and_the_action_and_no_more() -> None:
    judge = Told(Verdict(0.75))
    assert rewards(judge, said("It is <answer>36</answer>"), [SECOND]) == [0.75]
    [sample] = judge.asked
    state = state_before(WHOLE, 1)
    plain = msgspec.structs.replace(state.steps[0], token_ids=(), logprobs=())
    assert sample.state == msgspec.structs.replace(state, steps=(plain,))
    assert sample.step == Step(text="It is <answer>36</answer>", action=Answer("36"))


def test_the_reward_is_what_the_judge_says_of_the_recorded_step() -> None:
    texts = [write(CALL), "<answer>36</answer>", "<answer>37</answer>", write(ToolCall("calculator", "3 * 14"))]
    states = [FIRST, SECOND, SECOND, FIRST]
    own = [
        StepSample(state_before(WHOLE, state == SECOND), Step(text=text, action=parse(text)))
        for state, text in zip(states, texts, strict=True)
    ]
    assert rewards(Rule(), said(*texts), states) == [verdict.score for verdict in Rule().judge(own)] == [1, 1, 0, 0]


def test_a_missing_verdict_is_none_and_never_a_zero() -> None:
    judge = Told(Verdict(1.0), MISSING, Verdict(0.0))
    assert rewards(judge, said(*(f"<answer>{i}</answer>" for i in range(3))), [FIRST] * 3) == [1.0, None, 0.0]


def test_a_malformed_action_is_bad_and_nobody_is_asked() -> None:
    judge = Told()
    texts = ["It is 36.", "", "<answer>36", "<answer>36</answer> and more"]
    assert rewards(judge, said(*texts), [FIRST] * 4) == [0.0] * 4
    assert not judge.asked


def test_equal_actions_at_one_state_are_judged_once() -> None:
    judge = Told(Verdict(1.0), Verdict(0.0))
    texts = ["<answer>36</answer>"] * 3
    assert rewards(judge, said(*texts), [FIRST, FIRST, SECOND]) == [1.0, 1.0, 0.0]
    assert len(judge.asked) == 2


def test_equal_actions_after_different_reasoning_are_judged_apart() -> None:
    judge = Told(Verdict(1.0), Verdict(0.0))
    texts = [f"<think>{thought}</think><answer>36</answer>" for thought in ("3 * 12", "no idea")]
    assert rewards(judge, said(*texts), [FIRST] * 2) == [1.0, 0.0]


@pytest.mark.parametrize(
    "completion",
    [
        "<think>36 or <answer>37</answer>?</think><answer>36</answer>",
        [{"role": "assistant", "content": "<think>36 or <answer>37</answer>?</think><answer>36</answer>"}],
        [{"role": "assistant", "reasoning_content": "<answer>37</answer>?", "content": "<answer>36</answer>"}],
        [{"role": "assistant", "thinking": "<answer>37</answer>?", "content": "<answer>36</answer>"}],
    ],
)
def test_reasoning_is_never_read_for_tags(completion: Any) -> None:
    judge = Told(Verdict(1.0))
    assert rewards(judge, [completion], [FIRST]) == [1.0]
    assert judge.asked[0].step.action == Answer("36")
    assert "37" in judge.asked[0].step.thinking


def test_a_call_in_a_servers_own_way_is_no_action_of_the_protocol() -> None:
    call = {"type": "function", "function": {"name": "calculator", "arguments": {"expression": "3 * 12"}}}
    assert rewards(Told(), [[{"role": "assistant", "content": None, "tool_calls": [call]}]], [FIRST]) == [0.0]


def test_trl_is_told_what_was_missing_and_why() -> None:
    metrics: dict[str, float] = {}
    extra: dict[str, list[str]] = {}
    judge = Told(Verdict(0.0, "it guesses"), MISSING)
    texts = said("<answer>36</answer>", "<answer>35</answer>", "no tag", "<answer>36</answer>")
    rewards(judge, texts, [FIRST] * 4, log_metric=metrics.__setitem__, log_extra=extra.__setitem__)
    assert metrics == {"swirl/malformed": 0.25, "swirl/missing": 0.25}
    assert extra["verdict"][:2] == ["it guesses", "timed_out"]
    assert extra["verdict"][2].startswith("no tag")


def test_a_model_judge_that_fails_is_none_and_one_that_is_gone_ends_training() -> None:
    def say(fault: str) -> ServedJudge:
        def answer(text: str, seed: int) -> str:
            raise failure(fault)

        return ServedJudge(Answering(answer))

    assert rewards(say("timed_out"), said("<answer>36</answer>"), [SECOND]) == [None]
    with pytest.raises(ServiceFailure):
        rewards(say("unusable"), said("<answer>36</answer>"), [SECOND])


def test_too_many_missing_verdicts_end_training_where_that_is_wanted() -> None:
    texts = [f"<answer>{i}</answer>" for i in range(2)]
    reward = step_reward(Told(MISSING, Verdict(1.0)), max_missing=0.5)
    assert reward(prompts=[], completions=said(*texts), state=[FIRST] * 2) == [None, 1.0]
    reward = step_reward(Told(MISSING, MISSING), max_missing=0.5)
    with pytest.raises(TrainingError, match=r"2 of 2 verdicts are missing \(2 timed_out; on 2 answers\)"):
        reward(prompts=[], completions=said(*texts), state=[FIRST] * 2)


def test_what_is_wrong_with_the_columns_is_said() -> None:
    reward = step_reward(Rule())
    with pytest.raises(
        ConfigError, match="expected the column `state` beside each of 1 completions, found 0, and the columns answers;"
    ):
        reward(prompts=[], completions=said("x"), answers=[[]])
    with pytest.raises(ConfigError, match=r"the column `state`: expected what .* writes there, found '\{\"id\": 1\}'"):
        reward(prompts=[], completions=said("<answer>1</answer>"), state=['{"id": 1}'])
    with pytest.raises(ConfigError, match=r"the column `state`: expected what .* writes there, found None"):
        reward(prompts=[], completions=said("<answer>1</answer>"), state=[None])
    with pytest.raises(ConfigError, match=r"expected max_missing, a share between 0 and 1, found 1\.5"):
        step_reward(Rule(), max_missing=1.5)
    with pytest.raises(ConfigError, match="expected completions of one message, found one of 2"):
        reward(prompts=[], completions=[said("x")[0] * 2], state=[FIRST])


def test_it_is_named_after_its_judge() -> None:
    assert step_reward(Rule()).__name__ == "judge_rule"
