"""The states of trajectories, a line each: the contexts that step-wise training acts at (paper, stage 1: decomposition).

The messages are those that `swirl.protocol.render` makes, with tools called in their tags, as a policy here is trained. The action
that was once taken at a state is left out.
"""

from collections.abc import Iterable, Iterator

import msgspec

from swirl.decompose import state_before
from swirl.exports import Format, Item, Row
from swirl.exports.turns import Turn, turns
from swirl.types import Trajectory


def rows(items: Iterable[Item]) -> Iterator[Row]:
    """A row a state, K of them of a trajectory of K steps.

    >>> from swirl.types import Answer, Question, Rules, Step
    >>> step = Step(text="<answer>6</answer>", action=Answer("6"))
    >>> whole = Trajectory(id="q/0", question=Question(id="q", task="t", text="?"), rules=Rules(), steps=(step,))
    >>> [(row["state"], len(row["messages"])) for row in rows([Item(whole)])]
    [('q/0:0', 1)]
    """
    for item in items:
        said = _turns(item.trajectory)
        for index in range(len(item.trajectory.steps)):
            yield {**_named(item.trajectory, index), "messages": said[: 2 * index + 1]}


def lines(trajectories: Iterable[Trajectory]) -> Iterator[list[bytes]]:
    """The same rows as lines of JSON, those of each trajectory together: what its states share is encoded once.

    >>> from swirl.types import Answer, Question, Rules, Step
    >>> step = Step(text="<answer>6</answer>", action=Answer("6"))
    >>> whole = Trajectory(id="q/0", question=Question(id="q", task="t", text="?"), rules=Rules(), steps=(step,))
    >>> list(lines([whole])) == [[msgspec.json.encode(row) + b"\\n" for row in rows([Item(whole)])]]
    True
    """
    encode = msgspec.json.Encoder().encode
    for trajectory in trajectories:
        said = [encode(turn) for turn in _turns(trajectory)]
        yield [
            b'%b,"messages":[%b]}\n'
            % (encode(_named(trajectory, index)).removesuffix(b"}"), b",".join(said[: 2 * index + 1]))
            for index in range(len(trajectory.steps))
        ]


def _named(trajectory: Trajectory, index: int) -> Row:
    return {"state": f"{trajectory.id}:{index}", "trajectory": trajectory.id, "step": index}


def _turns(trajectory: Trajectory) -> list[Turn]:
    """The messages of its last state; those of an earlier one are the first of them."""
    if not trajectory.steps:
        return []
    return turns(state_before(trajectory, len(trajectory.steps) - 1))


FORMAT = Format("states", "a line a state: the contexts that step-wise training acts at, as `messages`", rows)
