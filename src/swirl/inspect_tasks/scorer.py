"""The scorer: the task's own grade of the final answer, as accuracy, exact match and F1, and how often there was an answer at all."""

from typing import Any

from inspect_ai.scorer import Score, Scorer, Target, accuracy, mean, scorer, stderr
from inspect_ai.solver import TaskState

from swirl.errors import ConfigError
from swirl.evaluate import grade
from swirl.inspect_tasks.config import opened
from swirl.inspect_tasks.solver import trajectory_of
from swirl.protocol import parse
from swirl.types import Answer, Step, StopReason, Trajectory

METRICS = {
    "correct": [accuracy(), stderr()],
    "exact_match": [mean(), stderr()],
    "f1": [mean(), stderr()],
    "answered": [mean(), stderr()],
}
"""Value of a score -> its metrics in Inspect."""


def _graded(task: str) -> Scorer:
    """The grades of a task, e.g. `gsm8k`. A question without accepted answers is left unscored."""

    async def score(state: TaskState, target: Target) -> Score:
        trajectory = _answered(trajectory_of(state.metadata), state)
        ending = trajectory.stop.value if trajectory.stop else "unfinished"
        told = {"stop": ending, "steps": len(trajectory.steps), "calls": trajectory.num_calls}
        try:
            found = grade(opened(task), trajectory)
        except ConfigError as error:
            return Score.unscored(
                reason="scoring_failed", answer=trajectory.answer, explanation=str(error), metadata=told
            )
        value = {
            "correct": float(found.correct),
            "exact_match": float(found.exact_match),
            "f1": found.f1,
            "answered": float(trajectory.answer is not None),
        }
        accepted = " or ".join(trajectory.question.answers)
        return Score(
            value=value, answer=trajectory.answer, explanation=f"{ending}; accepted: {accepted}", metadata=told
        )

    return score


graded: Any = scorer(metrics=METRICS, name="graded")(_graded)


def _answered(trajectory: Trajectory, state: TaskState) -> Trajectory:
    """The trajectory of our own solver. Of another one (`--solver`) the last reply is read as its one action."""
    if trajectory.steps or trajectory.stop or not state.output.choices:
        return trajectory
    action = parse(state.output.completion)
    stop = StopReason.ANSWERED if isinstance(action, Answer) else StopReason.MALFORMED
    return Trajectory(
        id=trajectory.id,
        question=trajectory.question,
        rules=trajectory.rules,
        steps=(Step(text=state.output.completion, action=action),),
        stop=stop,
    )
