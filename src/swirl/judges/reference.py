"""A judge that knows how a question was meant to be solved: it measures other judges, and is no part of the method.

It knows GSM8K's worked solutions (`swirl.judges.worked_solution`) and MuSiQue's decompositions (`swirl.judges.sub_questions`), by what a
question's `meta` holds.
"""

from collections.abc import Callable, Mapping, Sequence

from swirl.errors import ConfigError
from swirl.judges import StepSample, sub_questions, worked_solution
from swirl.types import Answer, Malformed, Step, ToolCall, Trajectory, Verdict

_KINDS: Mapping[str, Callable[[Trajectory, ToolCall | Answer], Verdict]] = {
    "solution": worked_solution.judge_action,
    "decomposition": sub_questions.judge_action,
}
"""Key of `meta` -> who reads it."""


class Reference:
    """The judge. Raises `ConfigError` for a question that comes with neither a worked solution nor a decomposition."""

    name = "reference"

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        return [judge_step(sample.state, sample.step) for sample in samples]


def judge_step(state: Trajectory, step: Step) -> Verdict:
    """Whether a step is one of those that the question was meant to be solved by; raises as the judge does."""
    question = state.question
    kind = next((judge for key, judge in _KINDS.items() if question.meta.get(key)), None)
    if kind is None:
        raise ConfigError(
            f"the judge `reference` needs worked solutions or decompositions, and question {question.id!r} of {question.task} has none"
        )
    if isinstance(step.action, Malformed):
        return Verdict(0.0, step.action.reason)
    return kind(state, step.action)
