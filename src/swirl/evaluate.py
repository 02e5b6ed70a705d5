"""Step-wise inference on held-out questions (paper, stage 3): the same loop, protocol, caps and stop rules as in generation.

Sampled at temperature 1 and greedily, because a gain at temperature 1 alone may be mere sharpening; with tools and, where that is asked
for, without any. The policies before and after training answer the same questions from the same seeds, so their difference is taken
question by question. Not here: what the answers come to (`swirl.figures`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct, structs

from swirl.errors import ConfigError
from swirl.generation import ONE_A_NAME, require_distinct, task_names
from swirl.judges.missing import PASSING
from swirl.policies import Policy, Sampling
from swirl.rollout import begin, rollout
from swirl.seeds import derive
from swirl.tasks import Grade, Task
from swirl.tools import Toolbox
from swirl.types import PromptStyle, Question, Rules, Trajectory, Verdict, VerdictStatus

Mode = Literal["sampled", "greedy"]
When = Literal["before", "after"]
"""Which of two policies: before and after training, or the run's own and the one it is compared with (`evaluate.against`)."""
ToolUse = Literal["with", "without"]


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
    samples: int = 1
    """Sampled answers a question, for pass@k; greedy always has one."""
    tools: tuple[ToolUse, ...] = ("with",)
    """with (the task's tools), without (the prompt offers none, and the answer has to follow at once) or both, to be compared."""
    against: str = ""
    """A second policy to compare with: a folder or a hub id; empty: the run's trained model."""
    grader: str = ""
    """A language model that compares each answer with the accepted ones, as in the paper: a folder, a hub id, or
    `judge_server`: the model of the judge's server; empty: none."""
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
        for name in ("questions", "samples", "max_tokens", "max_context", "chunk", "slots"):
            if getattr(self, name) < 1:
                raise ConfigError(f"evaluate.{name} must be at least 1, found {getattr(self, name)}")
        for name in ("tasks", "modes", "tools"):
            if not getattr(self, name):
                raise ConfigError(f"evaluate.{name} is empty: name at least one")
        if min(self.draw, self.max_calls) < 0:
            raise ConfigError(
                f"evaluate.draw and evaluate.max_calls must be 0 or above, found {self.draw} and {self.max_calls}"
            )
        require_distinct("evaluate.tasks", task_names(self.tasks), ONE_A_NAME)
        require_distinct("evaluate.modes", self.modes)
        require_distinct("evaluate.prompts", self.prompts)
        require_distinct("evaluate.tools", self.tools)
        if self.samples > 1 and "sampled" not in self.modes:
            raise ConfigError(
                f"evaluate.samples = {self.samples} needs the mode sampled, because greedy answers are all equal; "
                'add "sampled" to evaluate.modes'
            )
        _ = self.sampling("greedy")

    def sampling(self, mode: Mode) -> Sampling:
        """How a mode samples."""
        temperature = 1.0 if mode == "sampled" else 0.0
        return Sampling(temperature=temperature, max_tokens=self.max_tokens, max_context=self.max_context)

    def samples_in(self, mode: Mode) -> int:
        """Answers a question in a mode."""
        return self.samples if mode == "sampled" else 1


class EvaluatedTrajectory(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
    tag="swirl.evaluation/2",
    tag_field="schema",
):
    """A held-out question as a policy answered it, graded."""

    policy: When
    task: str
    mode: Mode
    prompt: PromptStyle
    tools: bool = True
    """Whether tools were on offer."""
    trajectory: Trajectory
    """Its `sample` says which of the question's answers this is."""
    grade: Grade
    judged: bool | None = None
    """Whether a model finds the answer right; None where none was asked, or its word is missing."""
    grading: VerdictStatus | None = None
    """Why that word is missing; None where it is there, or was not asked for."""
    verdicts: tuple[Verdict, ...] = ()
    """The training judge's, one a step; empty where it did not judge."""

    @property
    def to_grade(self) -> bool:
        """Whether a grader, where there is one, is to be asked about it: it never was, or failed in passing."""
        lacking = self.judged is None and (self.grading is None or self.grading in PASSING)
        return lacking and self.trajectory.answer is not None

    @property
    def correct(self) -> bool:
        """What accuracy counts."""
        return self.grade.correct


def answer_all(
    questions: Sequence[Question],
    rules: Rules,
    policy: Policy,
    toolbox: Toolbox,
    sampling: Sampling,
    *,
    seed: int,
    samples: int = 1,
    slots: int = 512,
    origin: str = "",
    on_ended: Callable[[int], None] = lambda count: None,
) -> list[Trajectory]:
    """So many finished trajectories a question, one after another. The seed of each step depends on the run's seed, the question, the
    sample and the step, not on the policy."""
    own = derive(seed, "evaluate")
    states = [
        begin(question, rules, sample=sample, seed=own, policy=policy.name, origin=origin)
        for question in questions
        for sample in range(samples)
    ]
    return rollout(states, policy, toolbox, sampling, slots=slots, on_ended=on_ended)


def without_tools(rules: Rules) -> Rules:
    """The same rules with no tool on offer, so that a call ends the trajectory.

    >>> without_tools(Rules(tools=("search",), max_calls=5)).max_calls
    0
    """
    return structs.replace(rules, tools=(), max_calls=0)


def grade(task: Task, trajectory: Trajectory) -> Grade:
    """The grade of the final answer; without one, nothing is right."""
    if trajectory.answer is None:
        return Grade(correct=False)
    return task.grade(trajectory.question, trajectory.answer)
