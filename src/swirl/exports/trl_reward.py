"""A reward function for TRL's GRPOTrainer and RLOOTrainer that asks a judge, as step-wise RL does here.

A completion is read by the protocol as one action at the state of its row (the column `state` of `--to trl-grpo`) and judged there. The
reward is the score. A malformed action is 0 without asking; equal actions at one state are judged once. A verdict that is missing is None,
never 0: TRL 1.16 takes such a completion out of its group's mean and deviation, and its advantage is 0.

TRL trains on all that was sampled, so text after the closing tag is part of the action, and makes it malformed; where a model does not end
its turn there, TRL has to be told where to stop.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from swirl.errors import ConfigError, TrainingError
from swirl.judges import Judge, StepSample
from swirl.judges.asking import settled
from swirl.judges.missing import Missing
from swirl.policies.reply import split_thinking
from swirl.protocol import parse
from swirl.types import Malformed, Step, Trajectory, Verdict

RewardFunction = Callable[..., list[float | None]]
Completion = str | Sequence[Mapping[str, Any]]
"""What TRL hands to a reward function: a text, or, where prompts are conversational, the messages of the completion."""


def step_reward(judge: Judge, *, max_missing: float = 1.0) -> RewardFunction:
    """The reward function of a judge. Raises `TrainingError` at a batch in which a larger share of the verdicts is missing than
    `max_missing`; 1 goes on whatever happens. A judge whose service will answer no request raises `ServiceFailure`.

    >>> from swirl.judges.rule import Rule
    >>> state = '{"schema": "swirl.trajectory/1", "id": "q/0", "question": {"id": "q", "task": "t", "text": "Twice 3?"}, "rules": {}}'
    >>> said = [[{"role": "assistant", "content": text}] for text in ("<math_exp>2 * 3</math_exp>", "It is 6.")]
    >>> step_reward(Rule())(prompts=["Twice 3?"] * 2, completions=said, state=[state] * 2)
    [1.0, 0.0]
    """
    if not 0 <= max_missing <= 1:
        raise ConfigError(f"expected max_missing, a share between 0 and 1, found {max_missing}")

    def reward(
        prompts: Sequence[Any], completions: Sequence[Completion], state: Sequence[Any] = (), **columns: Any
    ) -> list[float | None]:
        if len(state) != len(completions):
            raise ConfigError(
                f"expected the column `state` beside each of {len(completions)} completions, found {len(state)}, and the columns "
                f"{', '.join(sorted(columns)) or 'none'}; train on what `swirl export RUN --to trl-grpo` writes, with "
                "remove_unused_columns=False"
            )
        steps = [_step(completion) for completion in completions]
        verdicts = _verdicts(judge, state, steps)
        _tell(steps, verdicts, columns)
        _require(steps, verdicts, max_missing)
        return [verdict.score for verdict in verdicts]

    reward.__name__ = f"judge_{judge.name}"
    return reward


def _step(completion: Completion) -> Step:
    """A completion as an action. Reasoning stands apart in the message, or before `</think>` in its text."""
    message = {"content": completion} if isinstance(completion, str) else _only(completion)
    thinking, text = split_thinking(str(message.get("content") or ""))
    apart = message.get("reasoning_content") or message.get("thinking") or ""
    return Step(text=text, action=parse(text), thinking=str(apart) or thinking)


def _only(messages: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    if len(messages) != 1:
        raise ConfigError(
            f"expected completions of one message, found one of {len(messages)}: step-wise training samples one action at a state, and "
            "runs no tool; give the trainer no tools and no environment"
        )
    return messages[0]


def _verdicts(judge: Judge, states: Sequence[Any], steps: Sequence[Step]) -> list[Verdict]:
    keys = [(state, step.thinking, step.text) for state, step in zip(states, steps, strict=True)]
    known = {text: _state(text) for text in dict.fromkeys(states)}
    asked = {
        key: StepSample(known[key[0]], step) for key, step in zip(keys, steps, strict=True) if settled(step) is None
    }
    told = dict(zip(asked, judge.judge(list(asked.values())), strict=True)) if asked else {}
    return [settled(step) or told[key] for key, step in zip(keys, steps, strict=True)]


def _state(text: Any) -> Trajectory:
    try:
        return msgspec.json.decode(text, type=Trajectory)
    except (msgspec.MsgspecError, TypeError) as error:
        raise ConfigError(
            f"the column `state`: expected what `swirl export RUN --to trl-grpo` writes there, found {text!r:.40} ({error}); export again"
        ) from error


def _tell(steps: Sequence[Step], verdicts: Sequence[Verdict], columns: Mapping[str, Any]) -> None:
    """Into TRL's metrics, and beside the completions that it logs, where it offers to take them."""
    if (log_metric := columns.get("log_metric")) and steps:
        log_metric("swirl/malformed", sum(isinstance(step.action, Malformed) for step in steps) / len(steps))
        log_metric("swirl/missing", sum(verdict.score is None for verdict in verdicts) / len(steps))
    if log_extra := columns.get("log_extra"):
        log_extra("verdict", [verdict.reason or verdict.status.value for verdict in verdicts])


def _require(steps: Sequence[Step], verdicts: Sequence[Verdict], max_missing: float) -> None:
    found = Missing.among((step, verdict.status) for step, verdict in zip(steps, verdicts, strict=True))
    if found.count > max_missing * found.total:
        raise TrainingError(
            f"{found.told()}, more than max_missing = {max_missing} allows; mend the judge, then train again"
        )
