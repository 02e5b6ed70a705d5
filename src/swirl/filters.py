"""Keep or drop a trajectory, with the reason (paper, stage 1: filtering): a query over the verdicts that are on record.

| rule    | keeps a trajectory when                                              | sees the gold answer |
| ------- | -------------------------------------------------------------------- | -------------------- |
| none    | it has a step                                                        | no                   |
| process | every step was judged reasonable given what came before it           | no                   |
| outcome | the final answer is correct                                          | yes                  |
| both    | both                                                                 | yes                  |
| either  | one of the two                                                       | yes                  |

Beside its rule, a filter may ask for few or many steps, for an answer, and for tools that refused nothing. Pure: verdicts and grades are
handed in. A step whose verdict is missing is not known to be reasonable, so `process` drops its trajectory and says so. A trajectory that
ends without an answer never passes `outcome`.

Not here: what depends on the other trajectories (`swirl.selection`: equal ones, balance, size).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple

from msgspec import Struct

from swirl.errors import ConfigError
from swirl.slim import SlimStep, SlimTrajectory, answer_of
from swirl.types import Step, StopReason, ToolCall, Trajectory, Verdict

MOST_WORDS = 160
"""Characters of a judge's words that a reason quotes; all of them are with the verdicts."""


class Rule(StrEnum):
    """What a trajectory has to pass; the table above says when it does."""

    NONE = "none"
    PROCESS = "process"
    OUTCOME = "outcome"
    BOTH = "both"
    EITHER = "either"

    @property
    def needs_verdicts(self) -> bool:
        """Whether it looks at what judges said."""
        return self in (Rule.PROCESS, Rule.BOTH, Rule.EITHER)

    @property
    def needs_answers(self) -> bool:
        """Whether it compares with gold answers."""
        return self in (Rule.OUTCOME, Rule.BOTH, Rule.EITHER)


class Check(StrEnum):
    """What a trajectory can fall by, in the order in which it is asked; all but the rule's own bear the name of their setting."""

    STEPS = "steps"
    """`min_steps` and `max_steps`."""
    ANSWERED = "answered"
    TOOL_ERRORS = "tool_errors"
    PROCESS = "process"
    OUTCOME = "outcome"
    EITHER = "either"
    UNIQUE = "unique"
    PER_QUESTION = "per_question"
    SIZE = "size"


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """Which trajectories training sees."""

    rule: Rule = Rule.PROCESS
    """none, process (the paper's best), outcome, both, or either of the two."""
    threshold: float = 0.5
    """The score from which on a judge calls a step good."""
    judges: tuple[str, ...] = ()
    """Judges whose recorded verdicts count, by name; empty: the run's own."""
    agree: int = 0
    """How many of these judges have to call a step good; 0: all."""
    min_steps: int = 1
    """Fewest steps."""
    max_steps: int = 0
    """Most steps; 0: no limit."""
    tool_errors: Literal["any", "none"] = "any"
    """any, or none: drop trajectories in which a tool refused a call, or broke."""
    answered: bool = False
    """Drop trajectories that ended without an answer."""
    unique: bool = False
    """Of equal trajectories (same question, same actions to the letter) that pass, keep the first."""
    per_question: int = 0
    """Most trajectories of one question, drawn by seed; 0: no limit."""
    size: int = 0
    """Most trajectories to keep, drawn by seed; 0 keeps all. For comparing rules at an equal number of trajectories."""

    def __post_init__(self) -> None:
        for name, nothing in (("size", "keep all"), ("per_question", "no limit"), ("agree", "all of the judges")):
            if (found := getattr(self, name)) < 0:
                raise ConfigError(f"filter.{name} must be 0 ({nothing}) or above, found {found}")
        if not 0 < self.threshold <= 1:
            raise ConfigError(
                f"filter.threshold must be above 0 (else no step is bad) and at most 1, found {self.threshold}"
            )
        if self.min_steps < 1:
            raise ConfigError(f"filter.min_steps must be at least 1, found {self.min_steps}")
        if self.max_steps and self.max_steps < self.min_steps:
            raise ConfigError(
                f"filter.max_steps must be 0 (no limit) or at least filter.min_steps = {self.min_steps}, found {self.max_steps}"
            )
        if len(set(self.judges)) < len(self.judges):
            raise ConfigError(f"filter.judges names a judge twice, found {', '.join(self.judges)}; name each once")
        if self.agree > (count := len(self.judges) or 1):
            raise ConfigError(
                f"filter.agree must be at most the number of filter.judges, which is {count}, found {self.agree}"
            )

    def checks(self, rule: Rule | None = None) -> tuple[Check, ...]:
        """What it asks of a trajectory, in order; with another rule in place of its own where one is named.

        >>> [check.value for check in FilterConfig(answered=True, size=100).checks(Rule.BOTH)]
        ['steps', 'answered', 'process', 'outcome', 'size']
        """
        ruled = {
            Rule.NONE: (),
            Rule.PROCESS: (Check.PROCESS,),
            Rule.OUTCOME: (Check.OUTCOME,),
            Rule.BOTH: (Check.PROCESS, Check.OUTCOME),
            Rule.EITHER: (Check.EITHER,),
        }
        return (
            Check.STEPS,
            *((Check.ANSWERED,) if self.answered else ()),
            *((Check.TOOL_ERRORS,) if self.tool_errors == "none" else ()),
            *ruled[self.rule if rule is None else rule],
            *((Check.UNIQUE,) if self.unique else ()),
            *((Check.PER_QUESTION,) if self.per_question else ()),
            *((Check.SIZE,) if self.size else ()),
        )


class Fault(NamedTuple):
    """What is wrong with a trajectory."""

    kind: str
    """The same for all that fall for the same reason, so that they can be counted."""
    reason: str
    """With what is peculiar to this one, e.g. the judge's words."""

    @classmethod
    def of(cls, kind: str, detail: str = "") -> "Fault":
        """A fault in words; what is peculiar follows after a colon.

        >>> Fault.of("its answer is wrong", "7").reason
        'its answer is wrong: 7'
        """
        return cls(kind, f"{kind}: {detail}" if detail else kind)

    @property
    def detail(self) -> str:
        """What is peculiar to this one."""
        return self.reason.removeprefix(self.kind).removeprefix(": ")


class Decision(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one trajectory, and why."""

    trajectory: str
    kept: bool
    check: Check | None = None
    """What it fell by."""
    reason: str = "passed"


Verdicts = Mapping[str, Sequence[Verdict | None]]
"""Judge -> one entry a step of a trajectory, None where there is none yet."""


def decide(
    trajectory: Trajectory | SlimTrajectory, verdicts: Verdicts, correct: bool | None, config: FilterConfig
) -> Decision:
    """Whether a filter keeps a trajectory, as far as that depends on no other. `verdicts` are those of the judges that count; `correct` is
    None where it has no gold answer or was not graded.

    >>> from swirl.types import Answer, Question, Rules, Step, StopReason
    >>> steps = (Step(text="<answer>6</answer>", action=Answer("6")),)
    >>> whole = Trajectory(id="q/0", question=Question(id="q", task="t", text="?"), rules=Rules(), steps=steps, stop=StopReason.ANSWERED)
    >>> said = {"rule": [Verdict(0.0, "it guesses")]}
    >>> decide(whole, said, True, FilterConfig(rule=Rule.PROCESS)).reason
    'step 1 was judged bad: it guesses'
    >>> decide(whole, said, True, FilterConfig(rule=Rule.EITHER)).kept
    True
    """
    return decided(trajectory.id, faults(trajectory, verdicts, correct, config), config.checks())


def decided(name: str, found: Mapping[Check, Fault], checks: Sequence[Check]) -> Decision:
    """The decision on a trajectory with these faults: it falls by the first check that finds one."""
    for check in checks:
        if check in found:
            return Decision(trajectory=name, kept=False, check=check, reason=found[check].reason)
    return Decision(trajectory=name, kept=True)


def faults(
    trajectory: Trajectory | SlimTrajectory, verdicts: Verdicts, correct: bool | None, config: FilterConfig
) -> dict[Check, Fault]:
    """What each check that needs no other trajectory would find wrong, whether it is asked for or not."""
    found = {
        Check.STEPS: _fault_in_steps(trajectory, config),
        Check.ANSWERED: _fault_in_ending(trajectory),
        Check.TOOL_ERRORS: _fault_of_tools(trajectory),
        Check.PROCESS: _fault_in_process(verdicts, config),
        Check.OUTCOME: _fault_in_outcome(trajectory, correct),
    }
    process, outcome = found[Check.PROCESS], found[Check.OUTCOME]
    if process and outcome:
        details = "; ".join(filter(None, (process.detail, outcome.detail)))
        found[Check.EITHER] = Fault.of(f"{process.kind}, and {outcome.kind}", details)
    return {check: fault for check, fault in found.items() if fault is not None}


def _fault_in_steps(trajectory: Trajectory | SlimTrajectory, config: FilterConfig) -> Fault | None:
    count = len(trajectory.steps)
    if not count:
        return Fault.of(f"no step was taken ({_ending(trajectory)})")
    if count < config.min_steps:
        return Fault.of("too few steps", f"{count}, at least {config.min_steps} were asked for")
    if config.max_steps and count > config.max_steps:
        return Fault.of("too many steps", f"{count}, at most {config.max_steps} were asked for")
    return None


def _ending(trajectory: Trajectory | SlimTrajectory) -> str:
    return trajectory.stop.value if trajectory.stop else "unfinished"


def _fault_in_ending(trajectory: Trajectory | SlimTrajectory) -> Fault | None:
    if answer_of(trajectory) is None:
        return Fault.of(f"it ended without an answer ({_ending(trajectory)})")
    return None


def _fault_of_tools(trajectory: Trajectory | SlimTrajectory) -> Fault | None:
    steps: Sequence[Step | SlimStep] = trajectory.steps
    for number, step in enumerate(steps, start=1):
        if step.observation is not None and step.observation.refused and isinstance(step.action, ToolCall):
            return Fault.of("a tool refused a call", f"{step.action.tool[:MOST_WORDS]}, in step {number}")
    return Fault.of("a tool broke") if trajectory.stop is StopReason.TOOL_FAILED else None


def _fault_in_process(verdicts: Verdicts, config: FilterConfig) -> Fault | None:
    needed = config.agree or len(verdicts)
    for number, said in enumerate(zip(*verdicts.values(), strict=True), start=1):
        if sum(is_good(verdict, config.threshold) for verdict in said) < needed:
            return _fault_in_step(number, dict(zip(verdicts, said, strict=True)), config, needed)
    return None


def is_good(verdict: Verdict | None, threshold: float) -> bool:
    """Whether a judge calls a step good; a missing verdict does not."""
    return verdict is not None and verdict.score is not None and verdict.score >= threshold


def _fault_in_step(number: int, said: Mapping[str, Verdict | None], config: FilterConfig, needed: int) -> Fault:
    """Why too few judges call a step good: because they call it bad, or else because verdicts are missing."""
    bad: list[tuple[str, Verdict]] = []
    missing = []
    for name, verdict in said.items():
        if verdict is None or verdict.score is None:
            missing.append((name, "not judged" if verdict is None else verdict.status.value))
        elif not is_good(verdict, config.threshold):
            bad.append((name, verdict))
    alone = len(said) == 1
    if len(said) - len(bad) >= needed:
        whose = "" if alone else f" of {missing[0][0]}"
        return Fault.of(f"step {number} has no verdict{whose} ({missing[0][1]})")
    name, first = bad[0]
    how = "was judged bad" if not first.good else "was judged below the threshold"
    words = " ".join(first.reason.split())
    score = f"{first.score:g}; " if first.good else ""
    quoted = f"{score}{words[:MOST_WORDS]}{'...' if len(words) > MOST_WORDS else ''}"
    if alone:
        return Fault.of(f"step {number} {how}", quoted)
    return Fault.of(f"step {number} {how} by {len(bad)} of {len(said)} judges", f"{name}: {quoted}")


def _fault_in_outcome(trajectory: Trajectory | SlimTrajectory, correct: bool | None) -> Fault | None:
    answer = answer_of(trajectory)
    if answer is None:
        return _fault_in_ending(trajectory)
    if correct is None:
        return Fault.of("its answer was not graded")
    return None if correct else Fault.of("its answer is wrong", answer[:MOST_WORDS])
