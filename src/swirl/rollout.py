"""The step, and the drivers that repeat it: questions in, finished trajectories out (paper, stage 1).

`advance` is the step: a state and a completion give the next state. It is pure but for the tools it runs. Two drivers repeat it, with equal
seeds, so that equal completions make equal trajectories:

- `rollout` goes step by step for a policy on this machine: up to `slots` trajectories are under way at once, a finished one makes room for
  the next in order, so the schedule is a function of the states alone.
- `rollout_as_ready` is for a policy behind a server: every trajectory advances on its own, and what takes long delays nothing else.

Nothing here knows judges or gold answers.

Differs from the paper: every ending has a `StopReason`, and a tool call beyond the cap is recorded but not made.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from functools import partial

from msgspec import structs

from swirl.errors import ServiceFailure, ToolFailure
from swirl.generation import GenerateConfig as GenerateConfig
from swirl.generation import OnToolFailure as OnToolFailure
from swirl.policies import Completion, Finish, Policy, Remembering, Sampling, Serving
from swirl.protocol import parse, render
from swirl.seeds import derive
from swirl.services.faults import Fault
from swirl.services.loop import as_done
from swirl.services.threads import in_thread
from swirl.tools import Toolbox
from swirl.types import (
    Answer,
    Malformed,
    Observation,
    OnMalformed,
    Question,
    Rules,
    Step,
    StopReason,
    ToolCall,
    Trajectory,
)

_TOOL_THREADS = 32
"""Most tool calls that are under way at once beside a policy behind a server."""


def begin(
    question: Question, rules: Rules, *, sample: int = 0, seed: int = 0, policy: str = "", origin: str = ""
) -> Trajectory:
    """The first state of a trajectory: no steps yet. `seed` is the run's; the trajectory gets its own, derived from it.

    >>> begin(Question(id="q7", task="t", text="?"), Rules(), sample=3).id
    'q7/3'
    """
    name = f"{question.id}/{sample}"
    own = derive(seed, "trajectory", question.task, name)
    return Trajectory(id=name, question=question, rules=rules, sample=sample, seed=own, policy=policy, origin=origin)


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
        action=completion.action or parse(completion.text),
        thinking=completion.thinking,
        token_ids=completion.token_ids,
        thinking_tokens=completion.thinking_tokens,
        logprobs=completion.logprobs,
        restored=completion.restored,
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
    waiting = [i for i, state in enumerate(states) if _waits(state)]
    try:
        observations = toolbox.run([_call(states[i]) for i in waiting])
    except ToolFailure:
        if on_failure == "raise":
            raise
        return [_observe_alone(state, toolbox) if i in waiting else state for i, state in enumerate(states)]
    for i, observation in zip(waiting, observations, strict=True):
        observed[i] = _with_observation(states[i], observation)
    return observed


def _waits(taken: Trajectory) -> bool:
    """Whether its last action asks for a tool that was not run yet."""
    return taken.stop is None and isinstance(taken.steps[-1].action, ToolCall)


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
    depend on `slots` but for floating-point rounding in the policy. A policy that can remember does so until all are finished; one behind
    a server is asked by `rollout_as_ready`. `on_ended` hears how many trajectories have ended since it was last told.

    Raises `ToolFailure` where a tool's service is broken, unless `on_tool_failure` is "stop".
    """
    current = list(states)
    waiting = deque(i for i, state in enumerate(current) if state.stop is None)
    if isinstance(policy, Serving):
        places, under_way = list(waiting), [current[i] for i in waiting]
        for at, ended in rollout_as_ready(under_way, policy, toolbox, sampling, on_tool_failure=on_tool_failure):
            current[places[at]] = ended
            on_ended(1)
        return current
    policy = policy.remembering() if isinstance(policy, Remembering) else policy
    active: list[int] = []
    while waiting or active:
        while waiting and len(active) < slots:
            active.append(waiting.popleft())
        prompts = [render(current[i]) for i in active]
        completions = policy.complete(prompts, sampling, [[_seed(current[i])] for i in active])
        taken = [take(current[i], completion) for i, [completion] in zip(active, completions, strict=True)]
        for i, state in zip(active, _observe(taken, toolbox, on_tool_failure), strict=True):
            current[i] = state
        going = [i for i in active if current[i].stop is None]
        on_ended(len(active) - len(going))
        active = going
    return current


def _seed(state: Trajectory) -> int:
    """Of the next step."""
    return derive(state.seed, "step", len(state.steps))


def rollout_as_ready(
    states: Iterable[Trajectory],
    policy: Serving,
    toolbox: Toolbox | Mapping[str, Toolbox],
    sampling: Sampling,
    *,
    on_tool_failure: OnToolFailure = "raise",
) -> Generator[tuple[int, Trajectory], None, None]:
    """Finish every state on its own, up to `policy.in_flight` of them at once, begun in order; yields (place of the state, trajectory) as
    each ends. Trajectories are those that `rollout` would make of equal completions. Tools run in threads, several calls at once; a mapping
    gives each task's questions a toolbox of their own.

    A request that the server refuses ends its own trajectory (`StopReason.REFUSED`). Raises `ServiceFailure` where the server fails in
    another way, and `ToolFailure` as `rollout` does, both after what is under way has ended and was yielded. A consumer that closes this
    early cancels what is under way.
    """
    threads = asyncio.Semaphore(_TOOL_THREADS)

    async def finish(state: Trajectory) -> Trajectory:
        tools = toolbox if isinstance(toolbox, Toolbox) else toolbox[state.question.task]
        while state.stop is None:
            state = await _asked(state, policy, sampling)
            if _waits(state):
                async with threads:
                    [state] = await in_thread(partial(_observe, [state], tools, on_tool_failure))
        return state

    yield from as_done(states, finish, policy.in_flight)


async def _asked(state: Trajectory, policy: Serving, sampling: Sampling) -> Trajectory:
    """The state with its next action, or ended where the server will not write one."""
    try:
        return take(state, await policy.ask(render(state), sampling, _seed(state)))
    except ServiceFailure as failure:
        if failure.fault != Fault.REFUSED:
            raise
        return structs.replace(state, stop=StopReason.REFUSED)
