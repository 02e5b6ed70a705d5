"""What can be checked of a trajectory on its own: its actions are what its texts say, its results what its tools give, its states prefixes.

Pure. A call that a policy's server could not make is taken as it came: there is no text to read it off.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

from msgspec import structs

from swirl.decompose import decompose
from swirl.protocol import parse, render
from swirl.tools import ToolInput
from swirl.tools.calculator import Calculator
from swirl.types import Action, Answer, Malformed, OnMalformed, Step, StopReason, ToolCall, Trajectory

_CALCULATOR = Calculator()
_UNTAKEN = (StopReason.CONTEXT_TOO_LONG, StopReason.REFUSED)
"""Endings before a step was taken: the last one is complete."""


def problems(trajectory: Trajectory, *, own_tools: bool = True) -> Iterator[str]:
    """What is wrong with it, a sentence each without its place. Results of tools that are not our own cannot be worked out again.

    >>> from swirl.types import Question, Rules
    >>> step = Step(text="<answer>6</answer>", action=Answer("7"))
    >>> whole = Trajectory(id="q/0", question=Question(id="q", task="t", text="?"), rules=Rules(), steps=(step,), stop=StopReason.ANSWERED)
    >>> list(problems(whole))
    ["step 0: its text reads as Answer(text='6'), its action is Answer(text='7')"]
    """
    for index, step in enumerate(trajectory.steps):
        for problem in _in_step(trajectory, index, step, own_tools):
            yield f"step {index}: {problem}"
    yield from _in_ending(trajectory)
    yield from _in_states(trajectory)


def _in_step(trajectory: Trajectory, index: int, step: Step, own_tools: bool) -> Iterator[str]:
    taken = isinstance(step.action, Malformed) and (trajectory.rules.native_calls or not own_tools)
    if not taken and (read := parse(step.text)) != _as_written(step.action):
        yield f"its text reads as {_shown(read)}, its action is {_shown(step.action)}"
    yield from _in_tokens(step)
    yield from _in_result(step, "calculator" in trajectory.rules.tools and own_tools)
    if index + 1 < len(trajectory.steps) and not _goes_on(trajectory, step):
        yield f"{_shown(step.action)} is followed by another step, and nothing came back that could be"


def _as_written(action: Action) -> Action:
    """Without what a server called a call."""
    return structs.replace(action, call_id="", raw="") if isinstance(action, ToolCall) else action


def _shown(action: Action) -> str:
    return f"{action!r:.200}"


def _goes_on(trajectory: Trajectory, step: Step) -> bool:
    """Whether another step can follow."""
    if isinstance(step.action, Malformed):
        return trajectory.rules.malformed is OnMalformed.OBSERVE
    return step.observation is not None


def _in_tokens(step: Step) -> Iterator[str]:
    ids, logprobs = len(step.token_ids), len(step.logprobs)
    if logprobs not in (0, ids):
        yield f"it has {ids} token ids and {logprobs} log-probabilities"
    if not 0 <= step.thinking_tokens <= ids:
        yield f"{step.thinking_tokens} of its {ids} tokens are said to be thinking"
    if min(step.token_ids, default=0) < 0:
        yield f"{min(step.token_ids)} is no token id"
    if any(not value <= 0.0 or math.isinf(value) for value in step.logprobs):
        yield "a log-probability is not below 0"


def _in_result(step: Step, calculates: bool) -> Iterator[str]:
    if step.observation is None:
        return
    match step.action:
        case ToolCall("calculator", arguments) if calculates:
            [gives] = _CALCULATOR.run([ToolInput(arguments)])
            if gives != step.observation:
                yield f"the calculator gives {gives.text!r:.200} for {arguments!r:.200}, and {step.observation.text!r:.200} is on record"
        case Answer() | Malformed():
            yield "it has a result, and called no tool"


def _in_ending(trajectory: Trajectory) -> Iterator[str]:
    last = trajectory.steps[-1] if trajectory.steps else None
    answers = last is not None and isinstance(last.action, Answer)
    if trajectory.stop is None:
        yield "it has not ended"
    elif trajectory.stop is StopReason.ANSWERED and not answers:
        yield "it is said to be answered, and its last step is no answer"
    elif answers and trajectory.stop not in (StopReason.ANSWERED, StopReason.ACTION_TOO_LONG):
        yield f"its last step is an answer, and it is said to have ended otherwise ({trajectory.stop})"
    elif last is not None and trajectory.stop in _UNTAKEN and not _goes_on(trajectory, last):
        yield f"it is said to have ended before another step ({trajectory.stop}), and nothing came back of its last one"
    if trajectory.num_calls > trajectory.rules.max_calls + 1:
        yield f"it has {trajectory.num_calls} calls, and {trajectory.rules.max_calls} were allowed"


def _in_states(trajectory: Trajectory) -> Iterator[str]:
    """A state is the first steps of its trajectory, and its prompt the beginning of the next state's."""
    states = decompose(trajectory)
    if any(state.steps != trajectory.steps[:index] for index, state in enumerate(states)):
        yield "a state is not the first steps of it"
    try:
        prompts = [render(state).messages for state in states]
    except ValueError as error:
        yield f"its states have no prompt: {error}"
        return
    for index, (prompt, longer) in enumerate(pairwise(prompts)):
        if longer[: len(prompt)] != prompt:
            yield f"the prompt of state {index + 1} does not begin with that of state {index}"
