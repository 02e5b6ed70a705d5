"""Which of the trajectories that pass are kept: of equal ones the first, of a question so many, in all so many; and what fell where.

Draws are by seed, and independent of the order of trajectories. Pure: trajectories come one by one, and a small record of each is kept.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from swirl.filters import Check, Decision, Fault, FilterConfig, Rule, Verdicts, decided, faults
from swirl.seeds import derive
from swirl.slim import SlimTrajectory, fingerprint
from swirl.types import Trajectory


class Selection(Struct, frozen=True, kw_only=True, tag="swirl.selection/2", tag_field="schema"):
    """`selection.json`: what the filter decided."""

    rule: Rule
    judges: tuple[str, ...]
    """Whose verdicts counted."""
    num_trajectories: int
    survival: dict[Rule, dict[Check, int]]
    """Rule -> check -> how many trajectories are left after it; for the run's rule, and for every other beside the same settings."""
    fallen: dict[Check, dict[str, int]]
    """Check of the run's rule -> reason, without what is peculiar to one trajectory -> how many fell for it, the commonest first."""
    decisions: tuple[Decision, ...]
    """One on each trajectory, in the order of the files."""

    @property
    def kept(self) -> frozenset[str]:
        """Ids of the trajectories it keeps."""
        return frozenset(decision.trajectory for decision in self.decisions if decision.kept)


def document(selection: Selection) -> bytes:
    """A selection as JSON for people and programs: a line a decision, so that 50,000 of them stay small, and `grep` finds one."""
    empty = json.dumps(msgspec.to_builtins(msgspec.structs.replace(selection, decisions=())), indent=2)
    encoder = msgspec.json.Encoder()
    lines = b",\n".join(b"    " + encoder.encode(decision) for decision in selection.decisions)
    decisions = b"[\n" + lines + b"\n  ]" if lines else b"[]"
    return empty.removesuffix("[]\n}").encode() + decisions + b"\n}\n"


AMONG_ALL = (Check.UNIQUE, Check.PER_QUESTION, Check.SIZE)
"""The checks that look at all trajectories that passed so far."""


class Candidate(NamedTuple):
    """What is remembered of a trajectory that passes some rule."""

    trajectory: str
    question: str
    fingerprint: bytes = b""
    """Empty where equal ones may stay."""


Fallen = Mapping[str, Fault]
"""Trajectory -> why it falls."""


def equal_ones(candidates: Iterable[Candidate]) -> Fallen:
    """All but the first of equal trajectories.

    >>> equal_ones([Candidate("q/0", "q", b"1"), Candidate("q/1", "q", b"2"), Candidate("q/2", "q", b"1")])["q/2"].reason
    'equal to q/0'
    """
    first: dict[bytes, str] = {}
    found: dict[str, Fault] = {}
    for one in candidates:
        like = first.setdefault(one.fingerprint, one.trajectory)
        if like != one.trajectory:
            found[one.trajectory] = Fault("equal to an earlier one", f"equal to {like}")
    return found


def surplus_of_questions(candidates: Iterable[Candidate], most: int, seed: int) -> Fallen:
    """All but `most` of each question's, drawn by seed.

    >>> three = [Candidate(f"q/{i}", "q") for i in range(3)]
    >>> len(surplus_of_questions(three, 2, seed=1))
    1
    """
    of: dict[str, list[str]] = {}
    for one in candidates:
        of.setdefault(one.question, []).append(one.trajectory)
    fault = Fault.of(f"more than the {most} of its question asked for")
    return {name: fault for own in of.values() for name in _drawn(own, seed, "per_question")[most:]}


def surplus(candidates: Iterable[Candidate], size: int, seed: int) -> Fallen:
    """All but `size`, drawn by seed.

    >>> len(surplus([Candidate(f"q/{i}", "q") for i in range(5)], 2, seed=1))
    3
    """
    fault = Fault.of(f"passed, but more than the {size} asked for")
    return dict.fromkeys(_drawn((one.trajectory for one in candidates), seed, "trim")[size:], fault)


def _drawn(names: Iterable[str], seed: int, draw: str) -> list[str]:
    return sorted(names, key=lambda name: derive(seed, draw, name))


class Selecting:
    """Decides on trajectories that come one by one, by the run's rule and by every other."""

    def __init__(self, config: FilterConfig, judges: Sequence[str], seed: int, *, graded: bool) -> None:
        self._config = config
        self._judges = tuple(judges)
        self._seed = seed
        rules = (rule for rule in Rule if graded or not rule.needs_answers or rule is config.rule)
        self._checks = {rule: config.checks(rule) for rule in rules}
        self._decisions: list[Decision] = []
        self._passed: dict[Rule, list[Candidate]] = {rule: [] for rule in self._checks}
        self._fell: dict[Rule, Counter[Check]] = {rule: Counter() for rule in self._checks}
        self._reasons: dict[Check, Counter[str]] = {check: Counter() for check in config.checks()}

    def add(self, trajectory: Trajectory | SlimTrajectory, verdicts: Verdicts, correct: bool | None) -> None:
        """Take the next trajectory, with what judges said of its steps and whether its answer is right, as for `swirl.filters.decide`."""
        found = faults(trajectory, verdicts, correct, self._config)
        like = fingerprint(trajectory) if self._config.unique else b""
        candidate = Candidate(trajectory.id, trajectory.question.id, like)
        for rule, checks in self._checks.items():
            fell = next((check for check in checks if check in found), None)
            if fell is None:
                self._passed[rule].append(candidate)
            else:
                self._fell[rule][fell] += 1
        decision = decided(trajectory.id, found, self._checks[self._config.rule])
        self._decisions.append(decision)
        if decision.check is not None:
            self._reasons[decision.check][found[decision.check].kind] += 1

    def selection(self) -> Selection:
        """What came of them all."""
        survival: dict[Rule, dict[Check, int]] = {}
        dropped: dict[str, tuple[Check, Fault]] = {}
        for rule in self._checks:
            survival[rule], falls = self._survival(rule)
            if rule is self._config.rule:
                dropped = {name: (check, fault) for check, own in falls.items() for name, fault in own.items()}
                for check, own in falls.items():
                    self._reasons[check].update(fault.kind for fault in own.values())
        return Selection(
            rule=self._config.rule,
            judges=self._judges,
            num_trajectories=len(self._decisions),
            survival=survival,
            fallen={check: dict(counts.most_common()) for check, counts in self._reasons.items()},
            decisions=tuple(_after(decision, dropped) for decision in self._decisions),
        )

    def _survival(self, rule: Rule) -> tuple[dict[Check, int], dict[Check, Fallen]]:
        """How many are left after each check of a rule, and what fell by those that look at all that passed."""
        left, candidates = len(self._decisions), self._passed[rule]
        counts: dict[Check, int] = {}
        falls: dict[Check, Fallen] = {}
        for check in self._checks[rule]:
            if check in AMONG_ALL:
                falls[check] = self._fall(check, candidates)
                candidates = [one for one in candidates if one.trajectory not in falls[check]]
                left = len(candidates)
            else:
                left -= self._fell[rule][check]
            counts[check] = left
        return counts, falls

    def _fall(self, check: Check, candidates: Sequence[Candidate]) -> Fallen:
        if check is Check.UNIQUE:
            return equal_ones(candidates)
        if check is Check.PER_QUESTION:
            return surplus_of_questions(candidates, self._config.per_question, self._seed)
        return surplus(candidates, self._config.size, self._seed)


def _after(decision: Decision, dropped: Mapping[str, tuple[Check, Fault]]) -> Decision:
    if not decision.kept or decision.trajectory not in dropped:
        return decision
    check, fault = dropped[decision.trajectory]
    return Decision(trajectory=decision.trajectory, kept=False, check=check, reason=fault.reason)
