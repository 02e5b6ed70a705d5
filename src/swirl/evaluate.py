"""Step-wise inference on held-out questions (paper, stage 3): the same loop, protocol, caps and stop rules as in generation.

Sampled at temperature 1 and greedily, because a gain at temperature 1 alone may be mere sharpening. The policies before and after training
answer the same questions from the same seeds, so their difference is taken question by question.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from msgspec import Struct

from swirl.errors import ConfigError
from swirl.policies import Policy, Sampling
from swirl.rollout import ONE_A_NAME, begin, require_distinct, rollout, task_names
from swirl.seeds import derive
from swirl.statistics import paired_bootstrap, wilson
from swirl.tasks import Task
from swirl.tools import Toolbox
from swirl.types import Malformed, PromptStyle, Question, Rules, Trajectory, Verdict

Mode = Literal["sampled", "greedy"]
When = Literal["before", "after"]


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Held-out questions, answered before and after training."""

    tasks: tuple[str, ...] = ("arithmetic", "world")
    """Tasks by name, as in generate.tasks."""
    questions: int = 300
    """Held-out questions a task."""
    modes: tuple[Mode, ...] = ("sampled", "greedy")
    """sampled (at temperature 1) and greedy."""
    prompts: tuple[PromptStyle, ...] = ()
    """Prompt styles to evaluate with; empty: the one of generate.prompt."""
    draw: int = 0
    """Which draw of held-out questions; another number, other questions."""
    max_calls: int = 0
    """Most tool calls a question; 0: the task's own cap."""
    max_tokens: int = 256
    """Most tokens of one action."""
    max_context: int = 4096
    """Most tokens of a prompt and its action together."""
    chunk: int = 100
    """Questions that are committed together."""
    slots: int = 512
    """Trajectories under way at once."""

    def __post_init__(self) -> None:
        for name in ("questions", "max_tokens", "max_context", "chunk", "slots"):
            if getattr(self, name) < 1:
                raise ConfigError(f"evaluate.{name} must be at least 1, found {getattr(self, name)}")
        for name in ("tasks", "modes"):
            if not getattr(self, name):
                raise ConfigError(f"evaluate.{name} is empty: name at least one")
        if min(self.draw, self.max_calls) < 0:
            raise ConfigError(
                f"evaluate.draw and evaluate.max_calls must be 0 or above, found {self.draw} and {self.max_calls}"
            )
        require_distinct("evaluate.tasks", task_names(self.tasks), ONE_A_NAME)
        require_distinct("evaluate.modes", self.modes)
        require_distinct("evaluate.prompts", self.prompts)
        _ = self.sampling("greedy")

    def sampling(self, mode: Mode) -> Sampling:
        """How a mode samples."""
        temperature = 1.0 if mode == "sampled" else 0.0
        return Sampling(temperature=temperature, max_tokens=self.max_tokens, max_context=self.max_context)


class EvaluatedTrajectory(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
    tag="swirl.evaluation/1",
    tag_field="schema",
):
    """A held-out question as a policy answered it, graded."""

    policy: When
    task: str
    mode: Mode
    prompt: PromptStyle
    trajectory: Trajectory
    correct: bool
    f1: float
    verdicts: tuple[Verdict, ...] = ()
    """The training judge's, one a step; empty where it did not judge."""


def answer_all(
    questions: Sequence[Question],
    rules: Rules,
    policy: Policy,
    toolbox: Toolbox,
    sampling: Sampling,
    *,
    seed: int,
    slots: int = 512,
    on_ended: Callable[[int], None] = lambda count: None,
) -> list[Trajectory]:
    """One finished trajectory a question. The seed of each step depends on the run's seed, the question and the step, not on the policy."""
    own = derive(seed, "evaluate")
    states = [begin(question, rules, seed=own, policy=policy.name) for question in questions]
    return rollout(states, policy, toolbox, sampling, slots=slots, on_ended=on_ended)


def grade(task: Task, trajectory: Trajectory) -> tuple[bool, float]:
    """Whether the final answer is right, and its F1; without an answer both are nothing."""
    if trajectory.answer is None:
        return False, 0.0
    graded = task.grade(trajectory.question, trajectory.answer)
    return graded.correct, graded.f1


def summarise(records: Iterable[EvaluatedTrajectory]) -> dict[str, Any]:
    """Accuracy before and after with intervals, overall and under `tasks`; greedy beside sampled. Where several prompt styles were
    evaluated, the figures are the first one's, and every style's are under `prompts`."""
    everything = list(records)
    styles = list(dict.fromkeys(record.prompt for record in everything))
    first = [record for record in everything if record.prompt is styles[0]] if styles else []
    tasks = dict.fromkeys(record.task for record in first)
    summary = _stands(first)
    summary["tasks"] = {task: _stands([record for record in first if record.task == task]) for task in tasks}
    if len(styles) > 1:
        summary["prompts"] = {
            style.value: _stands([record for record in everything if record.prompt is style]) for style in styles
        }
    return summary


def _stands(records: Sequence[EvaluatedTrajectory]) -> dict[str, Any]:
    """Sampled figures, and the greedy ones under `greedy`."""
    summary = _stand([record for record in records if record.mode == "sampled"])
    greedy = _stand([record for record in records if record.mode == "greedy"])
    return {**summary, "greedy": greedy} if greedy else summary


def _stand(records: Sequence[EvaluatedTrajectory]) -> dict[str, Any]:
    """Before, after, and the paired gain, as far as they are there."""
    by_policy: dict[str, dict[str, EvaluatedTrajectory]] = {}
    for record in records:
        by_policy.setdefault(record.policy, {})[f"{record.task}/{record.trajectory.id}"] = record
    stand: dict[str, Any] = {
        when: _figures(list(by_policy[when].values())) for when in ("before", "after") if when in by_policy
    }
    if len(stand) == 2:
        stand["gain"] = _gain(by_policy["before"], by_policy["after"])
    return stand


def _gain(before: Mapping[str, EvaluatedTrajectory], after: Mapping[str, EvaluatedTrajectory]) -> dict[str, Any]:
    shared = [name for name in before if name in after]
    gain = paired_bootstrap(
        [float(before[n].correct) for n in shared], [float(after[n].correct) for n in shared], seed=0
    )
    return {"mean": round(gain.mean, 6), "ci95": [round(gain.low, 6), round(gain.high, 6)]}


def _figures(records: Sequence[EvaluatedTrajectory]) -> dict[str, Any]:
    accuracy = wilson(sum(record.correct for record in records), len(records))
    scores = [verdict.score for record in records for verdict in record.verdicts if verdict.score is not None]
    malformed = [float(isinstance(step.action, Malformed)) for record in records for step in record.trajectory.steps]
    return {
        "accuracy": round(accuracy.mean, 6),
        "accuracy_ci95": [round(accuracy.low, 6), round(accuracy.high, 6)],
        "f1": _mean([record.f1 for record in records]),
        "process_label": _mean(scores) if scores else None,
        "steps": _mean([float(len(record.trajectory.steps)) for record in records]),
        "calls": _mean([float(record.trajectory.num_calls) for record in records]),
        "malformed_rate": _mean(malformed) if malformed else 0.0,
        "n": len(records),
    }


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 6)
