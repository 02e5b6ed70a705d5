"""The step, and the driver that repeats it: questions in, finished trajectories out (paper, stage 1).

`advance` is the step: a state and a completion give the next state. It is pure but for the tools it runs. `rollout` is the batched driver
for a policy on this machine: up to `slots` trajectories are under way at once, a finished one makes room for the next in order, so the
schedule is a function of the states alone. Nothing here knows judges or gold answers.

Differs from the paper: every ending has a `StopReason`, and a tool call beyond the cap is recorded but not made.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import structs

from swirl.errors import ConfigError, ToolFailure
from swirl.policies import Completion, Finish, Policy, Remembering, Sampling
from swirl.protocol import parse, render
from swirl.seeds import derive
from swirl.tools import Toolbox
from swirl.types import (
    Answer,
    Malformed,
    Observation,
    OnMalformed,
    PromptStyle,
    Question,
    Rules,
    Step,
    StopReason,
    ToolCall,
    Trajectory,
)

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
    """Questions that are committed together; a chunk is written whole or redone whole."""
    slots: int = 512
    """Trajectories under way at once."""

    def __post_init__(self) -> None:
        for name in ("questions", "samples", "max_tokens", "max_context", "chunk", "slots"):
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


def begin(question: Question, rules: Rules, *, sample: int = 0, seed: int = 0, policy: str = "") -> Trajectory:
    """The first state of a trajectory: no steps yet. `seed` is the run's; the trajectory gets its own, derived from it.

    >>> begin(Question(id="q7", task="t", text="?"), Rules(), sample=3).id
    'q7/3'
    """
    name = f"{question.id}/{sample}"
    own = derive(seed, "trajectory", question.task, name)
    return Trajectory(id=name, question=question, rules=rules, sample=sample, seed=own, policy=policy)


def advance(state: Trajectory, completion: Completion, toolbox: Toolbox) -> Trajectory:
    """The next state: the completion read as an action, the tool's observation where it calls one, the reason where it ends.

    >>> from swirl.tools.calculator import Calculator
    >>> state = begin(Question(id="q", task="t", text="What is 2 * 3?"), Rules(tools=("calculator",)))
    >>> state = advance(state, Completion(text="<math_exp>2 * 3</math_exp>"), Toolbox([Calculator()]))
    >>> state.steps[0].observation.text, state.stop
    ('6', None)
    >>> advance(state, Completion(text="<answer>6</answer>"), Toolbox([])).stop
    <StopReason.ANSWERED: 'answered'>
    """
    return _observe([take(state, completion)], toolbox, "raise")[0]


def take(state: Trajectory, completion: Completion) -> Trajectory:
    """The state with the completion's action appended; still without an observation."""
    if completion.finish is Finish.CONTEXT:
        return structs.replace(state, stop=StopReason.CONTEXT_TOO_LONG)
    step = Step(
        text=completion.text,
        action=parse(completion.text),
        thinking=completion.thinking,
        token_ids=completion.token_ids,
        thinking_tokens=completion.thinking_tokens,
        logprobs=completion.logprobs,
    )
    taken = structs.replace(state, steps=(*state.steps, step))
    return structs.replace(taken, stop=_ending(taken, completion.finish))


def _ending(taken: Trajectory, finish: Finish) -> StopReason | None:
    if finish is Finish.LENGTH:
        return StopReason.ACTION_TOO_LONG
    action = taken.steps[-1].action
    if isinstance(action, Answer):
        return StopReason.ANSWERED
    if isinstance(action, Malformed) and taken.rules.malformed is OnMalformed.STOP:
        return StopReason.MALFORMED
    return StopReason.MAX_CALLS if taken.num_calls > taken.rules.max_calls else None


def _observe(states: Sequence[Trajectory], toolbox: Toolbox, on_failure: OnToolFailure) -> list[Trajectory]:
    """Run the tool calls that the states wait for, all in one batch."""
    observed = list(states)
    waiting = [
        i for i, state in enumerate(states) if state.stop is None and isinstance(state.steps[-1].action, ToolCall)
    ]
    try:
        observations = toolbox.run([_call(states[i]) for i in waiting])
    except ToolFailure:
        if on_failure == "raise":
            raise
        return [_observe_alone(state, toolbox) if i in waiting else state for i, state in enumerate(states)]
    for i, observation in zip(waiting, observations, strict=True):
        observed[i] = _with_observation(states[i], observation)
    return observed


def _observe_alone(state: Trajectory, toolbox: Toolbox) -> Trajectory:
    try:
        return _with_observation(state, toolbox.run([_call(state)])[0])
    except ToolFailure:
        return structs.replace(state, stop=StopReason.TOOL_FAILED)


def _call(state: Trajectory) -> tuple[ToolCall, tuple[str, ...]]:
    action = state.steps[-1].action
    assert isinstance(action, ToolCall)
    return action, state.question.scope


def _with_observation(state: Trajectory, observation: Observation) -> Trajectory:
    last = structs.replace(state.steps[-1], observation=observation)
    return structs.replace(state, steps=(*state.steps[:-1], last))


def rollout(
    states: Sequence[Trajectory],
    policy: Policy,
    toolbox: Toolbox,
    sampling: Sampling,
    *,
    slots: int = 512,
    on_tool_failure: OnToolFailure = "raise",
    on_ended: Callable[[int], None] = lambda count: None,
) -> list[Trajectory]:
    """Finish every state, in order. Step `i` of a trajectory is sampled with `derive(trajectory.seed, "step", i)`, so the result does not
    depend on `slots` but for floating-point rounding in the policy. A policy that can remember does so until all are finished.
    `on_ended` hears after each step how many trajectories it ended.

    Raises `ToolFailure` where a tool's service is broken, unless `on_tool_failure` is "stop".
    """
    policy = policy.remembering() if isinstance(policy, Remembering) else policy
    current = list(states)
    waiting = deque(i for i, state in enumerate(current) if state.stop is None)
    active: list[int] = []
    while waiting or active:
        while waiting and len(active) < slots:
            active.append(waiting.popleft())
        prompts = [render(current[i]) for i in active]
        seeds = [[derive(current[i].seed, "step", len(current[i].steps))] for i in active]
        completions = policy.complete(prompts, sampling, seeds)
        taken = [take(current[i], completion) for i, [completion] in zip(active, completions, strict=True)]
        for i, state in zip(active, _observe(taken, toolbox, on_tool_failure), strict=True):
            current[i] = state
        going = [i for i in active if current[i].stop is None]
        on_ended(len(active) - len(going))
        active = going
    return current
