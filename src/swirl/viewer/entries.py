"""A trajectory as the row that the viewer's index holds of it, and as the text that is searched."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from msgspec import Struct

from swirl.evaluate import EvaluatedTrajectory
from swirl.filters import Check, FilterConfig, Rule, faults
from swirl.known import LABELS, standing
from swirl.selection import AMONG_ALL
from swirl.slim import SlimTrajectory
from swirl.types import Malformed, Question, Step, ToolCall, Trajectory, Verdict

BORDER = "\n\ue000\n"
"""Between two parts of a text: a word of its own, so that no phrase goes across."""
MOST_SHOWN = 300
"""Characters of a question or an answer that a table tells."""
Said = Sequence[Verdict | None]
"""One entry a step, None where there is no verdict."""
_NOBODY = SlimTrajectory(id="", question=Question(id="", task="", text=""))


class Tally(Struct, frozen=True):
    """What comes of the verdicts on a trajectory."""

    good: int
    bad: int
    missing: int
    process: bool
    """Whether it passes the filter's check of its steps."""


class Entry(Struct, frozen=True, kw_only=True):
    """What is told of a trajectory before anybody judged it."""

    trajectory: Trajectory
    text: str
    """All that is searched."""
    correct: bool | None
    checked: bool
    """Whether it passes the filter's checks but those of rules, as far as they depend on no other trajectory."""
    outcome: bool
    tally: Tally

    @property
    def errors(self) -> int:
        """Calls that a tool could not use."""
        return sum(bool(step.observation and step.observation.refused) for step in self.trajectory.steps)

    @property
    def tools(self) -> frozenset[str]:
        """Names of the tools that it asks."""
        return frozenset(step.action.tool for step in self.trajectory.steps if isinstance(step.action, ToolCall))

    @property
    def stop(self) -> str:
        """How it ended."""
        return self.trajectory.stop.value if self.trajectory.stop else "unfinished"


def generated(trajectory: Trajectory, right: Callable[[Trajectory], bool | None], config: FilterConfig) -> Entry:
    """The entry of a trajectory that was made for training."""
    return _entry(trajectory, right(trajectory), (), config)


def evaluated(record: EvaluatedTrajectory, config: FilterConfig) -> Entry:
    """The entry of an answer to a held-out question, with the labels on its steps: they alone count for a rule."""
    return _entry(record.trajectory, record.correct, record.verdicts, replace(config, judges=(), agree=0))


def _entry(trajectory: Trajectory, correct: bool | None, said: Sequence[Verdict], config: FilterConfig) -> Entry:
    found = faults(trajectory, {}, correct, config)
    reasons = (verdict.reason for verdict in said if verdict.reason)
    padded = [said[place] if place < len(said) else None for place in range(len(trajectory.steps))]
    return Entry(
        trajectory=trajectory,
        text=BORDER.join([*_parts(trajectory), *reasons]),
        correct=correct,
        checked=not any(check in found for check in config.checks(Rule.NONE) if check not in AMONG_ALL),
        outcome=Check.OUTCOME not in found,
        tally=tally(padded, {LABELS: padded}, config),
    )


def _parts(trajectory: Trajectory) -> Iterator[str]:
    yield trajectory.id
    yield trajectory.question.text
    for step in trajectory.steps:
        yield from filter(None, _said(step))


def _said(step: Step) -> Iterator[str]:
    yield step.thinking
    yield step.text
    if isinstance(step.action, ToolCall) and f">{step.action.arguments}<" not in step.text:
        yield step.action.arguments
    if isinstance(step.action, Malformed):
        yield step.action.reason
    if step.observation is not None:
        yield step.observation.text


def tally(own: Said, counting: Mapping[str, Said], config: FilterConfig) -> Tally:
    """What comes of verdicts, one a step: those of the run's own judge, and by judge those that count for the filter.

    >>> own = [Verdict(1.0), Verdict(0.0), None]
    >>> tally(own, {"rule": own}, FilterConfig())
    Tally(good=1, bad=1, missing=1, process=False)
    """
    found = [standing(verdict) for verdict in own]
    passes = Check.PROCESS not in faults(_NOBODY, counting, None, config)
    return Tally(found.count("good"), found.count("bad"), found.count("missing"), passes)


def shortened(text: str) -> str:
    """As much of a text as a table tells.

    >>> len(shortened("x" * 1000))
    301
    """
    return text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "…"
