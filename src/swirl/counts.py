"""What a run's trajectories come to, counted in one pass: tasks, endings, steps, actions, tools, verdicts, answers, tokens, duplicates.

Counts are exact. Memory grows with the longest trajectory and with the samples of one question, not with the number of trajectories; names
that models made up are counted apart up to a number. What is told of questions holds where the samples of a question stand together, as in
whatever swirl writes.

Not here: how they are shown (`swirl.count_tables`).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import TypeVar

from msgspec import Struct, field, structs

from swirl.judges.agreement import Agreement, agreement_of, kind_of
from swirl.known import LABELS, Known, standing
from swirl.statistics import Distribution, distribution
from swirl.types import ToolCall, Trajectory, Verdict

T = TypeVar("T")
MOST_NAMES = 100
"""Names that are counted apart."""
OTHERS = "(others)"
"""What the names after these are counted as."""


class Tally(Struct):
    """Verdicts by what they come to."""

    good: int = 0
    bad: int = 0
    missing: int = 0

    def add(self, verdict: Verdict | None) -> None:
        """Count one more."""
        found = standing(verdict)
        setattr(self, found, getattr(self, found) + 1)


class TaskCounts(Struct):
    """The trajectories of a task."""

    trajectories: int = 0
    endings: dict[str, int] = field(default_factory=dict)
    graded: int = 0
    """Those of which it is known whether the answer is right; one that ended without an answer is not."""
    correct: int = 0
    decided: int = 0
    """Those on which the filter has decided."""
    kept: int = 0
    kept_graded: int = 0
    kept_correct: int = 0


class ActionCounts(Struct):
    """Steps that took one kind of action."""

    steps: int = 0
    refused: int = 0
    """Calls that the tool could not use."""
    no_result: int = 0
    """Calls that were not made: one more than the cap allows, or of a tool that broke."""


class JudgeCounts(Struct):
    """What one judge said."""

    by_step: list[Tally] = field(default_factory=list)
    """By index of the step, from 0."""
    by_kind: dict[str, Tally] = field(default_factory=dict)
    """By kind of action."""
    missing: dict[str, int] = field(default_factory=dict)
    """Why verdicts are missing; `not_judged` where there is none."""


class Duplicates(Struct):
    """Samples of a question that are equal: the same steps, results and ending."""

    trajectories: int = 0
    """Those that equal an earlier sample of their question."""
    questions: int = 0
    """Questions with several samples."""
    all_equal: int = 0
    """Those of them whose samples are all equal."""


class Agreed(Struct, frozen=True):
    """How far a judge agrees with another, on the steps that both judged."""

    judge: str
    against: str
    agreement: Agreement


class Counts(Struct, frozen=True, kw_only=True, tag="swirl.stats/1", tag_field="schema"):
    """All of it."""

    trajectories: int
    questions: int
    steps: Distribution
    """Of a trajectory."""
    calls: Distribution
    """Tool calls and malformed actions of a trajectory."""
    tasks: dict[str, TaskCounts]
    actions: dict[str, ActionCounts]
    """By kind of action; calls of a tool without a kind of its own go by its name."""
    answer_words: Distribution
    """Words of a final answer."""
    answer_characters: Distribution
    action_tokens: Distribution
    """Tokens of a step whose ids are known."""
    trajectory_tokens: Distribution
    """Tokens of a trajectory, as far as they are known."""
    steps_without_tokens: int
    """Steps whose ids are not known."""
    verdicts: dict[str, JudgeCounts]
    """By judge; the run's own comes first."""
    agreement: tuple[Agreed, ...]
    duplicates: Duplicates


def count(stream: Iterable[Known]) -> Counts:
    """Count whatever comes, in one pass.

    >>> count([]).trajectories
    0
    """
    counting = _Counting()
    for known in stream:
        counting.add(known)
    return counting.counts()


class _Counting:
    """Counts under way."""

    def __init__(self) -> None:
        self.steps, self.calls, self.words, self.characters, self.tokens, self.all_tokens = (
            Counter[int]() for _ in range(6)
        )
        self.tasks: dict[str, TaskCounts] = {}
        self.actions: dict[str, ActionCounts] = {}
        self.judges: dict[str, JudgeCounts] = {}
        self.pairs: dict[tuple[str, str], Counter[tuple[bool, bool]]] = {}
        self.unpaired: Counter[tuple[str, str]] = Counter()
        self.samples = _Samples()
        self.trajectories = self.without_tokens = 0

    def add(self, known: Known) -> None:
        trajectory = known.trajectory
        self.trajectories += 1
        self.steps[len(trajectory.steps)] += 1
        self.calls[trajectory.num_calls] += 1
        self.samples.add(known)
        _add_to_task(_entry(self.tasks, trajectory.question.task, TaskCounts), known)
        if trajectory.answer is not None:
            self.words[len(trajectory.answer.split())] += 1
            self.characters[len(trajectory.answer)] += 1
        self._add_steps(trajectory)
        for judge, verdicts in known.verdicts.items():
            _add_verdicts(_entry(self.judges, judge, JudgeCounts), trajectory, verdicts)
        for pair in combinations(known.verdicts, 2):
            self._compare(pair, known)

    def _add_steps(self, trajectory: Trajectory) -> None:
        for step in trajectory.steps:
            counts = _entry(self.actions, kind_of(step), ActionCounts)
            counts.steps += 1
            counts.refused += step.observation is not None and step.observation.refused
            counts.no_result += step.observation is None and isinstance(step.action, ToolCall)
            if step.token_ids:
                self.tokens[len(step.token_ids)] += 1
            else:
                self.without_tokens += 1
        if trajectory.num_tokens:
            self.all_tokens[trajectory.num_tokens] += 1

    def _compare(self, pair: tuple[str, str], known: Known) -> None:
        counts = self.pairs.setdefault(pair, Counter())
        for one, other in zip(*(known.verdicts[judge] for judge in pair), strict=False):
            if one is None or other is None or one.score is None or other.score is None:
                self.unpaired[pair] += 1
            else:
                counts[one.good, other.good] += 1

    def counts(self) -> Counts:
        return Counts(
            trajectories=self.trajectories,
            questions=self.samples.questions,
            steps=distribution(self.steps),
            calls=distribution(self.calls),
            tasks=self.tasks,
            actions=self.actions,
            answer_words=distribution(self.words),
            answer_characters=distribution(self.characters),
            action_tokens=distribution(self.tokens),
            trajectory_tokens=distribution(self.all_tokens),
            steps_without_tokens=self.without_tokens,
            verdicts=self.judges,
            agreement=tuple(
                Agreed(*pair, agreement_of(found, self.unpaired[pair])) for pair, found in self.pairs.items() if found
            ),
            duplicates=self.samples.duplicates(),
        )


class _Samples:
    """The samples of questions, of which those of one stand together."""

    def __init__(self) -> None:
        self.questions = 0
        self._found = Duplicates()
        self._question: tuple[str, str, str] | None = None
        self._seen: set[tuple[object, ...]] = set()
        self._count = 0

    def add(self, known: Known) -> None:
        asked = known.trajectory.question
        question = (known.file if known.judge == LABELS else "", asked.task, asked.id)
        if question != self._question:
            self._found, self._question, self._seen, self._count = self.duplicates(), question, set(), 0
            self.questions += 1
        said = _likeness(known.trajectory)
        self._found.trajectories += said in self._seen
        self._seen.add(said)
        self._count += 1

    def duplicates(self) -> Duplicates:
        """What was found, the question under way included."""
        several = self._count > 1
        return structs.replace(
            self._found,
            questions=self._found.questions + several,
            all_equal=self._found.all_equal + (several and len(self._seen) == 1),
        )


def _likeness(trajectory: Trajectory) -> tuple[object, ...]:
    """What two equal samples of a question share."""
    steps = ((step.thinking, step.text, step.observation and step.observation.text) for step in trajectory.steps)
    return (*steps, trajectory.stop)


def _add_to_task(counts: TaskCounts, known: Known) -> None:
    counts.trajectories += 1
    ending = known.trajectory.stop.value if known.trajectory.stop else "unfinished"
    counts.endings[ending] = counts.endings.get(ending, 0) + 1
    counts.graded += known.correct is not None
    counts.correct += known.correct is True
    counts.decided += known.kept is not None
    if known.kept:
        counts.kept += 1
        counts.kept_graded += known.correct is not None
        counts.kept_correct += known.correct is True


def _add_verdicts(counts: JudgeCounts, trajectory: Trajectory, verdicts: Sequence[Verdict | None]) -> None:
    for place, (step, verdict) in enumerate(zip(trajectory.steps, verdicts, strict=False)):
        if place == len(counts.by_step):
            counts.by_step.append(Tally())
        counts.by_step[place].add(verdict)
        _entry(counts.by_kind, kind_of(step), Tally).add(verdict)
        if verdict is None or verdict.score is None:
            why = verdict.status.value if verdict else "not_judged"
            counts.missing[why] = counts.missing.get(why, 0) + 1


def _entry(found: dict[str, T], name: str, kind: type[T]) -> T:
    """The counts under a name; where there are too many names, those of the others."""
    return found.setdefault(name if name in found or len(found) < MOST_NAMES else OTHERS, kind())
