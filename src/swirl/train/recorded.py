"""What training puts on record beside its metrics: the actions that it sampled, and what checkpoints say of the first of them.

Torch-free, so that whoever looks at a run can read them; `swirl.train.recording` writes them. Log-probabilities are natural ones, at the
temperature of training, to four decimals.
"""

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct

from swirl.types import Verdict, VerdictStatus


class SampledAction(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A fresh action, what the judge said of it, and what it counted. It was never executed."""

    text: str
    """In full, as in a step."""
    thinking: str = ""
    """Reasoning that a thinking model keeps apart."""
    token_ids: tuple[int, ...]
    """Exactly the ids that were sampled, thinking and overrun included."""
    tokens: tuple[str, ...]
    """What each id reads as after the one before it; one that is no whole character by itself reads as U+FFFD."""
    logprobs: tuple[float, ...]
    """Log-probability of each id as it was sampled."""
    initial_logprobs: tuple[float, ...] = ()
    """The same under the initial policy; empty where training does not ask it."""
    score: float | None
    """The judge's verdict; None where it is missing."""
    reason: str = ""
    """Why, in the judge's words."""
    status: VerdictStatus = VerdictStatus.OK
    """How the judgement came out."""
    weight: float
    """What its log-probability counts in the update: its advantage, as the objective has it, over the number of actions that count at its
    state and of states that have some. To six digits."""

    @property
    def verdict(self) -> Verdict | None:
        """What the judge said of it; None where score and status of an edited record do not agree."""
        agree = (self.score is not None) == (self.status is VerdictStatus.OK)
        return Verdict(self.score, self.reason, self.status) if agree else None


class SampledState(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
    tag="swirl.sampled/1",
    tag_field="schema",
):
    """A state of an update, and the actions sampled there."""

    update: int
    """From 1."""
    place: int
    """Which of the update's states it is, from 0; those that left no room for an action are not on record."""
    task: str
    trajectory: str
    """Id of the trajectory whose state it is."""
    step: int
    """How many steps the state has, which is the index of the step that is taken there."""
    actions: tuple[SampledAction, ...]

    FILE: ClassVar[str] = "samples.jsonl"


class Probe(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
    tag="swirl.probe/1",
    tag_field="schema",
):
    """What the policy of a checkpoint says of the actions that the first update sampled at one of its states."""

    checkpoint: int
    """Updates that it is the result of; 0 is the policy before the first."""
    place: int
    """As in the first update's `SampledState`, and so are the next three."""
    task: str
    trajectory: str
    step: int
    logprobs: tuple[tuple[float, ...], ...]
    """For each of that state's actions, in its order, the log-probability of each id."""

    FILE: ClassVar[str] = "probes.jsonl"


def fewest_verdicts(objective: str) -> int:
    """How many verdicts a state needs to count in an update: one where a reward counts by itself, two where actions are compared."""
    return 1 if objective == "reinforce" else 2


def advantages(actions: Sequence[SampledAction], objective: str, states: int) -> tuple[float | None, ...]:
    """The advantage of each action of a state, got back from its weight (`swirl.train.advantages.weigh`); None where its verdict is
    missing, and of all where the objective has no advantages. `states`: how many of the update's have `fewest_verdicts`.

    >>> good, bad = (
    ...     SampledAction(text="", token_ids=(), tokens=(), logprobs=(), score=score, weight=weight)
    ...     for score, weight in ((1.0, 0.125), (0.0, -0.125))
    ... )
    >>> advantages([good, bad], "rloo", states=4)
    (1.0, -1.0)
    """
    if objective in ("dpo", "sft"):
        return (None,) * len(actions)
    judged = sum(action.score is not None for action in actions)
    return tuple(
        None if action.score is None else round(action.weight * judged * states, 4) + 0.0 for action in actions
    )
