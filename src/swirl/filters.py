"""Keep or drop whole trajectories, with the reason (paper, stage 1: filtering).

| rule    | keeps a trajectory when                                              | sees the gold answer |
| ------- | -------------------------------------------------------------------- | -------------------- |
| none    | it has a step                                                        | no                   |
| process | every step was judged reasonable given what came before it           | no                   |
| outcome | the final answer is correct                                          | yes                  |
| both    | both                                                                 | yes                  |

Pure: verdicts and grades are handed in. A step whose verdict is missing is not known to be reasonable, so `process` drops its trajectory
and says so. A trajectory that ends without an answer never passes `outcome`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct

from swirl.errors import ConfigError
from swirl.seeds import derive
from swirl.types import Trajectory, Verdict


class Rule(StrEnum):
    """What a trajectory has to pass; the table above says when it does."""

    NONE = "none"
    PROCESS = "process"
    OUTCOME = "outcome"
    BOTH = "both"


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """Which trajectories training sees."""

    rule: Rule = Rule.PROCESS
    """none, process (the paper's best), outcome, or both."""
    size: int = 0
    """Most trajectories to keep, drawn by seed; 0 keeps all. For comparing rules at an equal number of trajectories."""

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ConfigError(f"filter.size must be 0 (keep all) or above, found {self.size}")


class Decision(Struct, frozen=True, kw_only=True):
    """What became of one trajectory, and why."""

    trajectory: str
    kept: bool
    reason: str


class Kept(Struct, frozen=True):
    """What came of a rule."""

    kept: int
    """How many trajectories it keeps."""


class Selection(Struct, frozen=True, kw_only=True, tag="swirl.selection/1", tag_field="schema"):
    """`selection.json`: what the filter decided."""

    rule: Rule
    judge: str
    num_trajectories: int
    rules: dict[Rule, Kept]
    """What this rule and every other would keep, before any trimming to size."""
    decisions: tuple[Decision, ...]
    """One on each trajectory, in the order of `trajectories.jsonl`."""

    @property
    def kept(self) -> frozenset[str]:
        """Ids of the trajectories it keeps."""
        return frozenset(decision.trajectory for decision in self.decisions if decision.kept)


def decide(trajectory: Trajectory, verdicts: Sequence[Verdict | None], correct: bool | None, rule: Rule) -> Decision:
    """Whether a rule keeps a trajectory. `verdicts` has one entry a step, None where there is none yet; `correct` is None where it has no
    gold answer or was not graded.

    >>> from swirl.types import Answer, Question, Rules, Step, StopReason
    >>> steps = (Step(text="<answer>6</answer>", action=Answer("6")),)
    >>> whole = Trajectory(id="q/0", question=Question(id="q", task="t", text="?"), rules=Rules(), steps=steps, stop=StopReason.ANSWERED)
    >>> decide(whole, [Verdict(0.0, "it guesses")], True, Rule.PROCESS).reason
    'step 1 was judged bad: it guesses'
    >>> decide(whole, [Verdict(0.0, "it guesses")], True, Rule.OUTCOME).kept
    True
    """
    reason = ""
    if not trajectory.steps:
        reason = f"no step was taken ({trajectory.stop or 'unfinished'})"
    if not reason and rule in (Rule.PROCESS, Rule.BOTH):
        reason = _fault_in_process(verdicts)
    if not reason and rule in (Rule.OUTCOME, Rule.BOTH):
        reason = _fault_in_outcome(trajectory, correct)
    return Decision(trajectory=trajectory.id, kept=not reason, reason=reason or "passed")


def _fault_in_process(verdicts: Sequence[Verdict | None]) -> str:
    for number, verdict in enumerate(verdicts, start=1):
        if verdict is None or verdict.score is None:
            return f"step {number} has no verdict ({'not judged' if verdict is None else verdict.status.value})"
        if not verdict.good:
            return f"step {number} was judged bad: {verdict.reason}"
    return ""


def _fault_in_outcome(trajectory: Trajectory, correct: bool | None) -> str:
    if trajectory.answer is None:
        return f"it ended without an answer ({trajectory.stop or 'unfinished'})"
    if correct is None:
        return "its answer was not graded"
    return "" if correct else f"its answer is wrong: {trajectory.answer}"


def trim(decisions: Sequence[Decision], size: int, seed: int) -> list[Decision]:
    """Keep at most `size` of the kept ones, drawn by seed and independent of their order; the rest say so.

    >>> kept = [Decision(trajectory=f"q/{i}", kept=True, reason="passed") for i in range(5)]
    >>> sum(decision.kept for decision in trim(kept, 2, seed=1))
    2
    """
    kept = sorted((d.trajectory for d in decisions if d.kept), key=lambda name: derive(seed, "trim", name))
    chosen = set(kept[:size])
    surplus = f"passed, but more than the {size} asked for"
    return [
        d if not d.kept or d.trajectory in chosen else Decision(trajectory=d.trajectory, kept=False, reason=surplus)
        for d in decisions
    ]


def survivors(decisions: Sequence[Decision]) -> Mapping[str, Decision]:
    """The kept ones, by trajectory id."""
    return {decision.trajectory: decision for decision in decisions if decision.kept}
