"""The solver: our step (`swirl.rollout.advance`), repeated by Inspect's means until the trajectory ends.

A failing tool service, and a model that cannot be asked, are errors of the sample, about which Inspect is told what to do
(`--retry-on-error`, `--no-fail-on-error`). Not here: what goes out and how it is read (`exchange`).
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
from anyio import to_thread
from inspect_ai.log import transcript
from inspect_ai.model import GenerateConfig, ModelOutput, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import span
from msgspec import structs

from swirl.errors import ConfigError, ServiceFailure
from swirl.inspect_tasks.config import toolbox
from swirl.inspect_tasks.exchange import asked_at, completion_of, messages, stopping, tools
from swirl.policies.request import Asked
from swirl.rollout import advance, begin
from swirl.services.faults import Fault, Trouble
from swirl.tools import Toolbox
from swirl.types import StopReason, Trajectory

KEY = "swirl"
"""Of a sample's metadata: its trajectory as a record, as `trajectories.jsonl` would hold it; before a sample begins, the first state."""


def _steps(task: str, stop: bool = True, tokenizer: str = "", search: Mapping[str, Any] | None = None) -> Solver:
    """Step-wise inference with the tools of a task, e.g. `gsm8k`; each step is a span of the transcript. The rest as in `TaskConfig`."""
    tools_of_task = toolbox(task, tokenizer, search or {})

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        trajectory = _begun(state)
        while trajectory.stop is None:
            async with span(f"step {len(trajectory.steps)}", type="step"):
                trajectory = await _step(trajectory, state, tools_of_task, stop)
            state.metadata[KEY] = msgspec.to_builtins(trajectory)
        return state

    return solve


steps: Any = solver(name="steps")(_steps)


def trajectory_of(metadata: Mapping[str, Any]) -> Trajectory:
    """The trajectory that a sample's metadata holds; raises `ConfigError` where there is none.

    >>> trajectory_of({})
    Traceback (most recent call last):
    swirl.errors.ConfigError: expected a trajectory in the sample's metadata, under 'swirl', found none that can be read; \
the solver and the scorer are for samples of swirl's own tasks
    """
    try:
        return msgspec.convert(metadata.get(KEY), Trajectory)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"expected a trajectory in the sample's metadata, under {KEY!r}, found none that can be read; the solver and the scorer are "
            "for samples of swirl's own tasks"
        ) from error


def _begun(state: TaskState) -> Trajectory:
    """The first state of the sample's trajectory; an epoch is one of the question's samples. How it is seeded, Inspect knows."""
    first = trajectory_of(state.metadata)
    begun = begin(first.question, first.rules, sample=state.epoch - 1, policy=str(state.model))
    return structs.replace(begun, seed=0)


async def _step(trajectory: Trajectory, state: TaskState, tools_of_task: Toolbox, stop: bool) -> Trajectory:
    """The next state. The sample's messages hold the first turn already; each step adds the action before it and what was observed."""
    asked = asked_at(trajectory)
    state.messages.extend(messages(asked.content[1:][-2:]))
    output = await get_model().generate(
        state.messages, tools(asked), config=stopping(asked) if stop else GenerateConfig()
    )
    state.output = output
    after = await _after(trajectory, output, asked, tools_of_task)
    if after.stop is not None:
        state.messages.extend([output.message] if output.choices else [])
    elif (observed := after.steps[-1].observation) is not None:
        transcript().info({"observation": observed.text, "refused": observed.refused}, source=KEY)
    return after


async def _after(trajectory: Trajectory, output: ModelOutput, asked: Asked, tools_of_task: Toolbox) -> Trajectory:
    """The state after a reply. A tool blocks, so that it runs in a thread."""
    try:
        completion = completion_of(output, asked)
    except Trouble as trouble:
        if trouble.fault is Fault.REFUSED:
            return structs.replace(trajectory, stop=StopReason.REFUSED)
        raise ServiceFailure(f"{trajectory.policy}: {trouble.problem}", trouble.fault) from trouble
    return await to_thread.run_sync(partial(advance, trajectory, completion, tools_of_task), abandon_on_cancel=True)
