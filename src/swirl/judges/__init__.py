"""One step -> one verdict. The same object filters trajectories and rewards fresh actions."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from swirl.types import Step, Trajectory, Verdict


class StepSample(Struct, frozen=True):
    """A step to be judged: the state it was taken at, and the action. The observation it brought, and whatever came later, stay unseen."""

    state: Trajectory
    """Unfinished: all that came before the step."""
    step: Step
    """Its `observation` is None."""


class Judge(Protocol):
    name: str

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        """One verdict a sample. Whatever cannot be judged has no score (`Verdict.score` is None): never 0."""
        ...
