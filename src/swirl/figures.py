"""What evaluated answers come to: every figure with its interval, before and after, and the difference in pairs.

A figure is a ratio of two sums over questions: a mean, whose bottoms are all 1, or a share of steps or calls. A question with several
samples counts with their mean, so the unit that intervals are over is the question, never the sample. What a question cannot have (gold
passages, a readable judgement, tokens where a server tells none) has a bottom of 0 and leaves the figure alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from swirl.evaluate import EvaluatedTrajectory
from swirl.statistics import McNemar, mcnemar, pass_at_k, resampled_ratios, wilson
from swirl.types import Malformed, StopReason, Trajectory

SHARES_OF_QUESTIONS = ("accuracy", "exact_match", "judged", "answered")
"""Figures with Wilson's interval, which holds near 0 and 1 too; the others have the bootstrap's."""

Ratio = tuple[float, float]
"""Top and bottom."""
Measured = Mapping[str, Mapping[str, Ratio]]
"""Question -> figure -> what it adds to it."""


class Figure(Struct, frozen=True):
    """A figure with its 95 % interval, or a difference of two."""

    mean: float
    ci95: tuple[float, float]
    n: int
    """Questions it is of."""


def recall_by_step(trajectory: Trajectory) -> list[float]:
    """The share of the question's gold passages (`meta["gold"]`) that was found, after each step; empty where it has none.

    >>> from swirl.types import Observation, Question, Rules, Step, ToolCall
    >>> found = [Step(text="", action=ToolCall("search", "?"), observation=Observation("", passages=(p,))) for p in ("a", "x", "b")]
    >>> question = Question(id="q", task="t", text="?", meta={"gold": ["a", "b"]})
    >>> recall_by_step(Trajectory(id="q/0", question=question, rules=Rules(), steps=tuple(found)))
    [0.5, 0.5, 1.0]
    """
    gold = set(trajectory.question.meta.get("gold") or ())
    seen: set[str] = set()
    shares = []
    for step in trajectory.steps if gold else ():
        seen |= gold.intersection(step.observation.passages if step.observation else ())
        shares.append(len(seen) / len(gold))
    return shares


def measures(record: EvaluatedTrajectory, steps: int = 0) -> dict[str, Ratio]:
    """What one answer adds to each figure. Recall after each of so many steps is carried forward where it ended before."""
    trajectory, grade = record.trajectory, record.grade
    observed = [step.observation for step in trajectory.steps if step.observation is not None]
    scores = [verdict.score for verdict in record.verdicts if verdict.score is not None]
    malformed = sum(isinstance(step.action, Malformed) for step in trajectory.steps)
    has_gold = float(record.tools and bool(trajectory.question.meta.get("gold")))
    recall = recall_by_step(trajectory) or [0.0]
    counted = all(step.token_ids or not step.text for step in trajectory.steps)
    return {
        "accuracy": (float(grade.correct), 1.0),
        "exact_match": (float(grade.exact_match), 1.0),
        "f1": (grade.f1, 1.0),
        "precision": (grade.precision, 1.0),
        "recall": (grade.recall, 1.0),
        "judged": (float(bool(record.judged)), float(record.judged is not None)),
        "answered": (float(trajectory.stop is StopReason.ANSWERED), 1.0),
        "steps": (float(len(trajectory.steps)), 1.0),
        "calls": (float(len(observed)), 1.0),
        "tool_errors": (float(sum(observation.refused for observation in observed)), float(len(observed))),
        "malformed": (float(malformed), float(len(trajectory.steps))),
        "tokens": (float(trajectory.num_tokens), float(counted)),
        "process_label": (sum(scores), float(len(scores))),
        "gold_recall": (recall[-1], has_gold),
        **{f"gold_recall@{i + 1}": (recall[min(i, len(recall) - 1)], has_gold) for i in range(steps)},
    }


def powers_of_two(most: int) -> list[int]:
    """The k of pass@k: 1, 2, 4, ... and the number of samples itself; none where there is one sample.

    >>> powers_of_two(6), powers_of_two(1)
    ([1, 2, 4, 6], [])
    """
    powers = [2**i for i in range(most.bit_length()) if 2**i < most]
    return [*powers, most] if most > 1 else []


def by_question(records: Iterable[EvaluatedTrajectory]) -> dict[str, list[EvaluatedTrajectory]]:
    """The answers to each question, in the order of the samples."""
    found: dict[str, list[EvaluatedTrajectory]] = {}
    for record in records:
        found.setdefault(f"{record.task}/{record.trajectory.question.id}", []).append(record)
    return {name: sorted(answers, key=lambda one: one.trajectory.sample) for name, answers in found.items()}


def foremost(records: Sequence[EvaluatedTrajectory]) -> list[EvaluatedTrajectory]:
    """Those that the headline is about: with tools, where they were on offer, and in the first of several prompt styles."""
    offered = [record for record in records if record.tools] or list(records)
    return [record for record in offered if record.prompt is offered[0].prompt]


def measure(records: Iterable[EvaluatedTrajectory], steps: int = 0) -> Measured:
    """What each question adds to each figure: the mean of its samples, and pass@k."""
    return {name: _measure_question(answers, steps) for name, answers in by_question(records).items()}


def _measure_question(answers: Sequence[EvaluatedTrajectory], steps: int) -> dict[str, Ratio]:
    each = [measures(answer, steps) for answer in answers]
    n, right = len(answers), sum(answer.correct for answer in answers)
    means = {name: (sum(one[name][0] for one in each) / n, sum(one[name][1] for one in each) / n) for name in each[0]}
    return means | {f"pass@{k}": (pass_at_k(n, right, k), 1.0) for k in powers_of_two(n)}


class Figures(NamedTuple):
    """The figures of two policies, and their differences as far as both answered the same questions."""

    before: dict[str, Figure]
    after: dict[str, Figure]
    difference: dict[str, Figure]
    """After minus before, on the questions that both answered, resampled together."""


@dataclass(frozen=True)
class _Resampled:
    """What the questions add to the figures, and the figures over resampled questions."""

    names: Sequence[str]
    tops_QF: NDArray[np.float64]
    bottoms_QF: NDArray[np.float64]
    ratios_DF: NDArray[np.float64]


def figures(before: Measured, after: Measured) -> Figures:
    """Every figure that has something to be of."""
    shared = [name for name in before if name in after]
    both = [{name: own[name] for name in shared} for own in (before, after)]
    one, other = paired = _resample(*both) if shared else (None, None)
    if len(shared) < max(len(before), len(after)):
        one, other = (_resample(own)[0] if own else None for own in (before, after))
    return Figures(_each(one), _each(other), _differences(*paired))


def _resample(*policies: Measured) -> tuple[_Resampled, ...]:
    """On the same questions, so that they are drawn once for all. A figure that only some questions have is nothing to the others."""
    names = [list(dict.fromkeys(name for question in own.values() for name in question)) for own in policies]
    ratios_QF2 = [
        np.array([[question.get(name, (0.0, 0.0)) for name in mine] for question in own.values()])
        for mine, own in zip(names, policies, strict=True)
    ]
    tops_QF, bottoms_QF = (np.concatenate([own[..., side] for own in ratios_QF2], axis=1) for side in (0, 1))
    ratios_DF = resampled_ratios(tops_QF, bottoms_QF, seed=0)
    ends = np.cumsum([len(mine) for mine in names])
    places = [slice(end - len(mine), end) for mine, end in zip(names, ends, strict=True)]
    return tuple(
        _Resampled(mine, tops_QF[:, place], bottoms_QF[:, place], ratios_DF[:, place])
        for mine, place in zip(names, places, strict=True)
    )


def _each(own: _Resampled | None) -> dict[str, Figure]:
    found = {}
    for place, name in enumerate(own.names if own else ()):
        assert own is not None
        n, bottom = int(np.count_nonzero(own.bottoms_QF[:, place])), own.bottoms_QF[:, place].sum()
        if bottom:
            mean = float(own.tops_QF[:, place].sum() / bottom)
            interval = wilson(mean * n, n) if name in SHARES_OF_QUESTIONS else None
            low, high = (interval.low, interval.high) if interval else _quantiles(own.ratios_DF[:, place])
            found[name] = _figure(mean, low, high, n)
    return found


def _differences(before: _Resampled | None, after: _Resampled | None) -> dict[str, Figure]:
    if before is None or after is None:
        return {}
    found = {}
    for name in before.names:
        places = [(own, own.names.index(name)) for own in (before, after) if name in own.names]
        bottoms = [own.bottoms_QF[:, place] for own, place in places]
        if len(places) == 2 and all(bottom.any() for bottom in bottoms):
            old, new = (own.tops_QF[:, place].sum() / own.bottoms_QF[:, place].sum() for own, place in places)
            old_D, new_D = (own.ratios_DF[:, place] for own, place in places)
            n = int(np.count_nonzero(bottoms[0] * bottoms[1]))
            found[name] = _figure(float(new - old), *_quantiles(new_D - old_D), n)
    return found


def _quantiles(values_D: NDArray[np.float64]) -> tuple[float, float]:
    """Of the draws that met a question with something to count."""
    low, high = np.quantile(values_D[np.isfinite(values_D)], [0.025, 0.975])
    return float(low), float(high)


def _figure(mean: float, low: float, high: float, n: int) -> Figure:
    return Figure(round(mean, 6), (round(low, 6), round(high, 6)), n)


def compare(before: Iterable[EvaluatedTrajectory], after: Iterable[EvaluatedTrajectory]) -> McNemar:
    """McNemar's test on the first answer to each question that both answered."""
    one, other = by_question(before), by_question(after)
    shared = [name for name in one if name in other]
    return mcnemar([one[name][0].correct for name in shared], [other[name][0].correct for name in shared])
