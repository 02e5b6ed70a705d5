"""How much trajectories ask of their policy, before they are there: requests, and tokens read and written.

About: a trajectory takes `STEPS` steps, and whatever is written or found is half as long as it may be; where trajectories are recorded
already, they say how it goes. At most: all steps that it may take, each as long as it may be. A token is taken for four characters.
"""

from collections.abc import Iterable
from typing import NamedTuple

from swirl.policies import Sampling
from swirl.protocol import render
from swirl.rollout import begin
from swirl.types import Question, Rules, Trajectory

STEPS = 3.0
"""Steps of a trajectory, about, where none is recorded."""
PART = 0.5
"""How much of what it may be long a text is, about."""
_CALCULATED = 80
"""Most tokens of a calculator's result: 300 digits."""
_CHARACTERS = 4
"""A token, about."""


class Volume(NamedTuple):
    """Requests, and the tokens of all of them."""

    requests: float = 0.0
    tokens_in: float = 0.0
    tokens_out: float = 0.0

    def plus(self, other: "Volume") -> "Volume":
        """Both together."""
        return Volume(*(mine + its for mine, its in zip(self, other, strict=True)))

    def times(self, factor: int | float) -> "Volume":
        """So many of it."""
        return Volume(*(factor * mine for mine in self))


class Way(NamedTuple):
    """How a trajectory goes."""

    first: float
    """Tokens of its first prompt."""
    steps: float
    action: float
    """Tokens that each writes."""
    growth: float
    """Tokens that each adds to the next prompt: the action and what it found."""
    room: float
    """Most tokens of a prompt."""

    def asked(self) -> Volume:
        """All requests that it takes."""
        whole = int(self.steps)
        parts = [(1.0, i) for i in range(whole)] + [(self.steps - whole, whole)]
        read = sum(part * min(self.first + i * self.growth, self.room) for part, i in parts)
        return Volume(self.steps, read, self.steps * self.action)


class Play(NamedTuple):
    """A question that is to be answered so many times."""

    times: int
    searches: bool
    about: Way
    most: Way


def tokens(text: str) -> float:
    """How many tokens a text is, about.

    >>> tokens("four characters make a token")
    7.0
    """
    return len(text) / _CHARACTERS


def summed(volumes: Iterable[Volume]) -> Volume:
    """All of them together."""
    found = Volume()
    for volume in volumes:
        found = found.plus(volume)
    return found


def plays(
    asked: Iterable[tuple[Rules, Question, int]], sampling: Sampling, recorded: Iterable[Trajectory], found: int
) -> list[Play]:
    """How trajectories go that are not there yet, so many a question, where a search shows `found` tokens at most."""
    habits = _habits(recorded)
    going = []
    for rules, question, times in asked:
        first = tokens("".join(message.text for message in render(begin(question, rules)).messages))
        result = found if "search" in rules.tools else _CALCULATED
        room = sampling.max_context - sampling.max_tokens
        most = Way(first, rules.max_calls + 1, sampling.max_tokens, 2 * sampling.max_tokens + result, room)
        about = Way(first, min(STEPS, most.steps), PART * most.action, PART * most.growth, room)
        if habits is not None:
            steps, action, growth = habits
            about = Way(first, min(steps, most.steps), min(action, most.action), growth, room)
        going.append(Play(times, "search" in rules.tools, about, most))
    return going


def _habits(recorded: Iterable[Trajectory]) -> tuple[float, float, float] | None:
    """Steps of a trajectory, tokens of an action and tokens that a step adds, on average; None where there is no step."""
    count = steps = 0
    written = seen = 0.0
    for trajectory in recorded:
        count += 1
        for step in trajectory.steps:
            steps += 1
            written += len(step.token_ids) or tokens(step.thinking + step.text)
            seen += tokens(step.text + (step.observation.text if step.observation else ""))
    return (steps / count, written / steps, seen / steps) if steps else None
