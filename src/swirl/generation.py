"""What a run's trajectories are like: the settings of generation. Not here: how they are made (`swirl.rollout`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from swirl.errors import ConfigError
from swirl.policies import Sampling
from swirl.types import OnMalformed, PromptStyle, Question

OnToolFailure = Literal["raise", "stop"]

ONE_A_NAME = (
    "what it leaves is filed under its name, so name each task once, and put two files' questions into one file"
)
"""What to do about a task named twice."""


def require_distinct(key: str, values: Sequence[object], advice: str = "name each once") -> None:
    """Raise `ConfigError` where a setting's list holds a value twice.

    >>> require_distinct("evaluate.modes", ("greedy", "greedy"))
    Traceback (most recent call last):
    swirl.errors.ConfigError: evaluate.modes names greedy twice; name each once
    """
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ConfigError(f"{key} names {value} twice; {advice}")


def task_names(specs: Sequence[str]) -> list[str]:
    """The names of tasks, without the files or folders behind the colon.

    >>> task_names(["arithmetic", "jsonl:mine.jsonl"])
    ['arithmetic', 'jsonl']
    """
    return [spec.partition(":")[0] for spec in specs]


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """Synthetic trajectories, written by the policy itself."""

    tasks: tuple[str, ...] = ("arithmetic", "world")
    """Tasks by name, a file or folder behind a colon where one is needed: `gsm8k:DATA/gsm8k`, `jsonl:questions.jsonl`."""
    questions: int = 400
    """Training questions a task."""
    samples: int = 5
    """Trajectories a question (the paper: 5)."""
    prompt: PromptStyle = PromptStyle.TERSE
    """terse (the paper's), reasoned (invites reasoning first) or bare (the question alone)."""
    max_calls: int = 0
    """Most tool calls a trajectory; 0: the task's own cap, 10 for maths and 5 for question answering as in the paper."""
    temperature: float = 1.0
    """Sampling temperature."""
    max_tokens: int = 256
    """Most tokens of one action."""
    max_context: int = 4096
    """Most tokens of a prompt and its action together."""
    malformed: OnMalformed = OnMalformed.STOP
    """What a malformed action does: stop the trajectory, or observe (tell the policy, and go on)."""
    keep_thinking: bool = False
    """Keep a thinking model's reasoning in the context of later steps."""
    tool_failure: OnToolFailure = "raise"
    """What a broken tool service does: raise (stop; the same command resumes) or stop (end the trajectories it hits)."""
    chunk: int = 100
    """Questions that are committed together; a chunk is written whole or redone whole. A policy behind a server has none: each trajectory
    is committed as it ends."""
    shard: int = 10_000
    """Trajectories a file: trajectories.jsonl, trajectories-00001.jsonl, and so on. The samples of a question stay together."""
    slots: int = 512
    """Trajectories under way at once; of a policy behind a server, as many as policy_server.concurrency says."""

    def __post_init__(self) -> None:
        for name in ("questions", "samples", "max_tokens", "max_context", "chunk", "shard", "slots"):
            if getattr(self, name) < 1:
                raise ConfigError(f"generate.{name} must be at least 1, found {getattr(self, name)}")
        if self.temperature <= 0:
            raise ConfigError(
                f"generate.temperature must be above 0 (greedy samples would all be equal), found {self.temperature}"
            )
        if not self.tasks:
            raise ConfigError("generate.tasks is empty: name at least one task, e.g. arithmetic")
        if self.max_calls < 0:
            raise ConfigError(f"generate.max_calls must be 0 (the task's own cap) or above, found {self.max_calls}")
        require_distinct("generate.tasks", task_names(self.tasks), ONE_A_NAME)
        _ = self.sampling

    @property
    def sampling(self) -> Sampling:
        """How actions are sampled."""
        return Sampling(temperature=self.temperature, max_tokens=self.max_tokens, max_context=self.max_context)


def samples_of(question: Question, count: int) -> Sequence[int]:
    """The numbers of a question's samples: those that its task asks for, else the first `count`.

    >>> list(samples_of(Question(id="q", task="t", text="?"), 2))
    [0, 1]
    """
    asked: Sequence[int] = question.meta.get("samples", range(count)) if question.task == "jsonl" else range(count)
    return asked
