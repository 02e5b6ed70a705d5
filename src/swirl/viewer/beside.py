"""An evaluated answer as a page tells it, step by step, and where two answers to one question part.

Not here: which records these are (`swirl.viewer.answers`).
"""

from typing import Any

from swirl.evaluate import EvaluatedTrajectory
from swirl.known import badge
from swirl.protocol import ANSWER_TAG, TAGS
from swirl.types import Answer, Malformed, Step, ToolCall, Trajectory, Verdict


def told(record: EvaluatedTrajectory, parting: int | None = None) -> dict[str, Any]:
    """All that a page shows of an answer; `parting` is the step, from 0, at which it leaves the other."""
    trajectory = record.trajectory
    said: list[Verdict | None] = [*record.verdicts, *[None] * len(trajectory.steps)]
    return {
        "trajectory": trajectory.id,
        "policy": trajectory.policy,
        "right": record.correct,
        "answer": trajectory.answer,
        "ending": trajectory.stop.value.replace("_", " ") if trajectory.stop else "unfinished",
        "calls": trajectory.num_calls,
        "tokens": trajectory.num_tokens if any(step.token_ids for step in trajectory.steps) else None,
        "grades": _grades(record),
        "steps": [
            _step(place, step, said[place], bool(record.verdicts)) | {"parts": place == parting}
            for place, step in enumerate(trajectory.steps)
        ],
    }


def _grades(record: EvaluatedTrajectory) -> dict[str, str]:
    """What was measured of the final answer, by name."""
    grade = record.grade
    words = (("F1 of words", grade.f1), ("precision", grade.precision), ("recall", grade.recall))
    found = {"exact match": "yes" if grade.exact_match else "no", **{name: f"{value:.2f}" for name, value in words}}
    if grade.by_value:
        found["right by value"] = "yes" if grade.correct else "no"
    if record.judged is not None:
        found["right by the grader"] = "yes" if record.judged else "no"
    elif record.grading is not None:
        found["right by the grader"] = f"missing ({record.grading.value.replace('_', ' ')})"
    return found


def _step(place: int, step: Step, verdict: Verdict | None, judged: bool) -> dict[str, Any]:
    thought, action = _parted(step)
    call = step.action if isinstance(step.action, ToolCall) else None
    return {
        "number": place + 1,
        "thinking": step.thinking,
        "thought": thought,
        "action": action,
        "tool": call.tool if call else "",
        "arguments": call.arguments if call and not action else "",
        "malformed": step.action.reason if isinstance(step.action, Malformed) else "",
        "result": step.observation.text if step.observation is not None else None,
        "refused": step.observation is not None and step.observation.refused,
        "verdict": _verdict(verdict) if judged else None,
        "tokens": len(step.token_ids) or None,
    }


def _parted(step: Step) -> tuple[str, str]:
    """What a step says before its tag, and the tag with what it holds; no tag where a server's own call or nothing readable was made."""
    match step.action:
        case ToolCall(tool=tool):
            tag = TAGS.get(tool, tool)
        case Answer():
            tag = ANSWER_TAG
        case Malformed():
            return step.text, ""
    thought, opening, rest = step.text.partition(f"<{tag}>")
    return (thought, opening + rest) if opening else (step.text, "")


def _verdict(verdict: Verdict | None) -> dict[str, Any]:
    found = {"standing": badge(verdict), "score": None, "why": "not judged", "reason": ""}
    if verdict is None:
        return found
    graded = verdict.score if verdict.score not in (0.0, 1.0) else None
    why = verdict.status.value.replace("_", " ") if verdict.score is None else ""
    return found | {"score": graded, "why": why, "reason": verdict.reason}


def parting(before: Trajectory, after: Trajectory) -> tuple[int | None, str]:
    """The first step, from 0, at which two answers differ, and how, in words; None where they are equal.

    >>> from swirl.types import Question, Rules
    >>> state = Trajectory(id="q/0", question=Question(id="q", task="t", text="?"), rules=Rules())
    >>> parting(state, state)
    (None, 'Both took the same steps.')
    """
    for place, (one, other) in enumerate(zip(before.steps, after.steps, strict=False)):
        if how := _how(one, other):
            same = f"{place} {'step is' if place == 1 else 'steps are'} the same" if place else "nothing is the same"
            return place, f"Step {place + 1} is the first that differs ({how}); before it {same}."
    shorter, longer = sorted((len(before.steps), len(after.steps)))
    if shorter == longer:
        return None, "Both took the same steps."
    return shorter, f"The first {shorter} steps are the same; one of the two goes on with step {shorter + 1}."


def _how(one: Step, other: Step) -> str:
    if one.action != other.action:
        return "another action" if type(one.action) is type(other.action) else "another kind of action"
    if (one.text, one.thinking) != (other.text, other.thinking):
        return "the same action, other words before it"
    return "the same action, another result" if one.observation != other.observation else ""
