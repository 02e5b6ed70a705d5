"""One step -> one verdict. The same object filters trajectories and rewards fresh actions."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

from msgspec import Struct

from swirl.errors import ConfigError
from swirl.services import ServerConfig
from swirl.types import Step, Trajectory, Verdict

JudgeName = Literal["rule", "solver", "reference", "model", "random"]


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
    max_context: int = 8192
    """Most tokens of the model judge's prompt and explanation together; what does not fit has no verdict."""
    votes: int = 1
    """How often the model judge is asked about each step; the score is the share of GOOD."""
    temperature: float = 0.0
    """The model judge's sampling temperature; above 0 where it has several votes."""
    graded: bool = False
    """Take the probability of GOOD against BAD as the score, in place of 1 or 0; needs a server that tells log-probabilities."""
    format: Literal["text", "json"] = "text"
    """The model judge's replies: text that ends in GOOD or BAD, or json by a schema, where the server can hold to one."""
    view: Literal["step", "hindsight"] = "step"
    """step (a call a step, blind to what came after, as in the paper) or hindsight (a call a trajectory: cheaper, for filtering only)."""
    max_missing: float = 0.5
    """Largest share of verdicts that may be missing before the judge stage stops; of a grader's words, before the evaluation does."""

    def __post_init__(self) -> None:
        if self.votes < 1:
            raise ConfigError(f"judge.votes must be at least 1, found {self.votes}")
        if self.temperature < 0 or (self.votes > 1 and self.temperature == 0):
            raise ConfigError(
                f"judge.temperature must be 0 or above, and above 0 with several votes (greedy ones would all be equal); found "
                f"{self.temperature} with {self.votes} {'votes' if self.votes > 1 else 'vote'}"
            )
        if not 0 <= self.max_missing <= 1:
            raise ConfigError(f"judge.max_missing must be between 0 and 1, found {self.max_missing}")
        if not 1 <= self.max_tokens < self.max_context:
            raise ConfigError(
                f"judge.max_tokens must be at least 1 and below judge.max_context = {self.max_context}, which its prompt has to fit in; "
                f"found {self.max_tokens}"
            )

    @property
    def rewarding(self) -> JudgeName:
        """The judge of the fresh actions in training.

        >>> JudgeConfig(name="solver").rewarding, JudgeConfig(name="solver", reward="rule").rewarding
        ('solver', 'rule')
        """
        return self.name if self.reward == "same" else self.reward


@dataclass(frozen=True, kw_only=True)
class JudgeServerConfig(ServerConfig):
    """A server that the model judge asks in place of a model on this machine."""

    SECTION: ClassVar[str] = "judge_server"

    cache: bool = True
    """Keep replies in `~/.cache/swirl` (or `$SWIRL_CACHE`), so that nothing is paid for twice."""


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


@runtime_checkable
class Streaming(Judge, Protocol):
    """A judge behind a service: it is asked about many steps at once, and its verdicts come in any order."""

    def judge_as_ready(self, samples: Iterable[StepSample]) -> Iterator[tuple[int, Verdict]]:
        """(place of the sample, verdict) as each comes. Samples are drawn when they are needed, and asked about in order. Raises
        `ServiceFailure` where no request will be answered, once all that is under way has come."""
        ...


@runtime_checkable
class Hindsight(Protocol):
    """A judge of whole trajectories, which knows what came of each step: for filtering, never as a reward."""

    name: str

    def judge_whole(self, trajectories: Iterable[Trajectory]) -> Iterator[tuple[int, list[Verdict]]]:
        """(place of the trajectory, a verdict on each of its steps) as each comes; otherwise as `Streaming.judge_as_ready`."""
        ...
