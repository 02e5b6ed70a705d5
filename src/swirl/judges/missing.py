"""How many verdicts are missing, why, and on which kinds of action: verdicts that go missing more often for one kind bias what is built on
them. A malformed action needs no judge, so it does not count."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from swirl.judges import Judge, StepSample
from swirl.judges.agreement import kind_of
from swirl.types import Malformed, Step, Verdict, VerdictStatus

PASSING = (VerdictStatus.TIMED_OUT, VerdictStatus.OVER_BUDGET, VerdictStatus.JUDGE_DOWN)
"""Reasons that pass: who asks again may be answered."""
FEWEST = 20
"""Verdicts that were asked for before their missing share says anything."""


def hopeless(lacking: int, asked: int, most: int, total: int, share: float) -> bool:
    """Whether to ask for no more: a larger share than may be is missing of those asked for, and can be of all in the end; `most` is how
    many can be missing then.

    >>> hopeless(20, 20, most=100, total=100, share=0.5), hopeless(20, 20, most=40, total=100, share=0.5)
    (True, False)
    >>> hopeless(19, 19, most=100, total=100, share=0.5)
    False
    """
    return asked >= FEWEST and lacking > share * asked and most > share * total


@dataclass
class Missing:
    """Counts over verdicts, added one by one."""

    total: int = 0
    """Verdicts on actions that need a judge."""
    by_status: Counter[VerdictStatus] = field(default_factory=Counter)
    by_kind: Counter[str] = field(default_factory=Counter)

    @classmethod
    def among(cls, judged: Iterable[tuple[Step, VerdictStatus]]) -> "Missing":
        """The counts over steps and the statuses of their verdicts."""
        found = cls()
        for step, status in judged:
            found.add(step, status)
        return found

    def add(self, step: Step, status: VerdictStatus) -> None:
        """Count one more."""
        if isinstance(step.action, Malformed):
            return
        self.total += 1
        if status is not VerdictStatus.OK:
            self.by_status[status] += 1
            self.by_kind[kind_of(step)] += 1

    @property
    def count(self) -> int:
        """How many are missing."""
        return sum(self.by_status.values())

    @property
    def passing(self) -> int:
        """How many of them for a reason that passes."""
        return sum(self.by_status[status] for status in PASSING)

    def told(self) -> str:
        """In words, e.g. `3 of 500 verdicts are missing (2 judge_down, 1 unreadable; on 3 searches)`."""
        statuses = ", ".join(f"{count} {status.value}" for status, count in sorted(self.by_status.items()))
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.by_kind.items()))
        return f"{self.count} of {self.total} verdicts are missing" + (
            f" ({statuses}; on {kinds})" if self.count else ""
        )


def together(several: Iterable[Missing]) -> Missing:
    """Counts over several sets of verdicts, as one."""
    found = Missing()
    for each in several:
        found.total += each.total
        found.by_status += each.by_status
        found.by_kind += each.by_kind
    return found


class Counting:
    """A judge whose missing verdicts are counted, e.g. over a whole training."""

    def __init__(self, judging: Judge) -> None:
        self.name = judging.name
        self.found = Missing()
        self._judging = judging

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        verdicts = self._judging.judge(samples)
        for sample, verdict in zip(samples, verdicts, strict=True):
            self.found.add(sample.step, verdict.status)
        return verdicts
