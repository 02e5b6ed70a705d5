"""A trajectory of K steps is K states (paper, stage 1: decomposition).

State i is the context before action i: the question, the earlier actions and their observations. Step-wise RL trains on these states;
the action that was once taken at each of them is left out, because the current policy samples its own.
"""

from msgspec import structs

from swirl.types import Trajectory


def decompose(trajectory: Trajectory) -> list[Trajectory]:
    """The K states of a trajectory of K steps, contexts growing.

    >>> from swirl.types import Answer, Observation, Question, Rules, Step, StopReason, ToolCall
    >>> call, answer = ToolCall("calculator", "2 * 3"), Answer("6")
    >>> steps = (Step(text="...", action=call, observation=Observation("6")), Step(text="...", action=answer))
    >>> whole = Trajectory(id="q/0", question=Question(id="q", task="t", text="?"), rules=Rules(), steps=steps, stop=StopReason.ANSWERED)
    >>> [len(state.steps) for state in decompose(whole)]
    [0, 1]
    """
    return [state_before(trajectory, index) for index in range(len(trajectory.steps))]


def state_before(trajectory: Trajectory, index: int) -> Trajectory:
    """The state at which step `index` was taken."""
    return structs.replace(trajectory, steps=trajectory.steps[:index], stop=None)
