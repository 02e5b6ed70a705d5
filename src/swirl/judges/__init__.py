"""One step -> one verdict. The same object filters trajectories and rewards fresh actions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from msgspec import Struct

from swirl.errors import ConfigError
from swirl.types import Step, Trajectory, Verdict

JudgeName = Literal["rule", "solver", "reference", "model", "random"]

MODEL_CONTEXT = 8192
"""Most tokens of the model judge's prompt and explanation together."""


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """Who says whether a step is reasonable."""

    name: JudgeName = "rule"
    """rule (label-free), solver (the generated tasks only), reference (GSM8K's worked solutions, MuSiQue's decompositions), model (a
    language model) or random (a coin, the control)."""
    reward: JudgeName | Literal["same"] = "same"
    """Judge of the fresh actions in training; same: `name`, as in the paper."""
    model: str = ""
    """The model judge's model: a folder or a hub id; empty: the policy's own initial model."""
    max_tokens: int = 512
    """Most tokens of the model judge's explanation."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_tokens < MODEL_CONTEXT:
            raise ConfigError(
                f"judge.max_tokens must be at least 1 and below {MODEL_CONTEXT}, which the judge's prompt has to fit in too;"
                f" found {self.max_tokens}"
            )


class StepSample(Struct, frozen=True):
    """A step to be judged: the state it was taken at, and the action. The observation it brought, and whatever came later, stay unseen."""

    state: Trajectory
    """Unfinished: all that came before the step."""
    step: Step
    """Its `observation` is None."""


@runtime_checkable
class Judge(Protocol):
    """Says of each step whether it is reasonable, given what came before it."""

    name: str

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        """One verdict a sample. Whatever cannot be judged has no score (`Verdict.score` is None): never 0."""
        ...
