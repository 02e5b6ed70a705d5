"""What each round of a run came to: how accurate it made the policy, what share of its trajectories was kept, and what training earned.

Differences are in pairs: all rounds answer the same held-out questions with the same seeds.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct

from swirl.evaluate import EvaluatedTrajectory, Mode, When
from swirl.figures import Figure, figures, foremost, measure
from swirl.records import read, read_document
from swirl.selection import Selection
from swirl.statistics import resampled_ratios
from swirl.train import Metrics

OVERALL = "overall"
"""All tasks together."""


class Standing(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How accurate the policy was after a round, on a task and in a mode."""

    task: str
    mode: Mode
    accuracy: Figure
    gain: Figure | None = None
    """On the round before; None before the first."""
    gain_in_all: Figure | None = None
    """On the policy before the first round."""


class Round(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a round came to."""

    round: int
    """0: the policy before the first."""
    standings: tuple[Standing, ...]
    trajectories: int = 0
    kept: int = 0
    kept_share: Figure | None = None
    """Of the trajectories; the interval and `n` are over questions."""
    reward: Figure | None = None
    """Mean over the updates, which the interval and `n` are over; None where nothing is rewarded."""


def round_figures(folders: Sequence[Path]) -> list[Round]:
    """Those of the rounds in some folders, in order, and the policy before the first of them, as far as they were evaluated."""
    initial = _foremost(folders[0], "before")
    found = [Round(round=0, standings=tuple(_standings(initial, [], [])))]
    for number, folder in enumerate(folders, start=1):
        before, after = (_foremost(folder, when) for when in ("before", "after"))
        selection = read_document(folder / "selection.json", Selection, f"swirl filter {folder}")
        found.append(
            Round(
                round=number,
                standings=tuple(_standings(after, before, initial)),
                trajectories=selection.num_trajectories,
                kept=len(selection.kept),
                kept_share=kept_share(selection),
                reward=mean_reward(read(folder / "train" / Metrics.FILE, Metrics)),
            )
        )
    return found


def _foremost(folder: Path, when: When) -> list[EvaluatedTrajectory]:
    files = sorted((folder / "evaluation").glob(f"{when}-*.jsonl"))
    return foremost([record for file in files for record in read(file, EvaluatedTrajectory)])


def _standings(
    now: Sequence[EvaluatedTrajectory], before: Sequence[EvaluatedTrajectory], initial: Sequence[EvaluatedTrajectory]
) -> Iterator[Standing]:
    """Overall, where there are several tasks, and task by task; sampled and greedy."""
    tasks = list(dict.fromkeys(record.task for record in now))
    modes: list[Mode] = list(dict.fromkeys(record.mode for record in now))
    for task in [OVERALL, *tasks] if len(tasks) > 1 else tasks:
        for mode in modes:
            mine, its, first = (_of(records, task, mode) for records in (now, before, initial))
            measured = figures(measure(its), measure(mine))
            yield Standing(
                task=task,
                mode=mode,
                accuracy=measured.after["accuracy"],
                gain=measured.difference.get("accuracy"),
                gain_in_all=figures(measure(first), measure(mine)).difference.get("accuracy"),
            )


def _of(records: Iterable[EvaluatedTrajectory], task: str, mode: Mode) -> list[EvaluatedTrajectory]:
    return [record for record in records if record.mode == mode and task in (OVERALL, record.task)]


def kept_share(selection: Selection) -> Figure | None:
    """The share of trajectories that a filter kept; None where there were none."""
    made: dict[str, list[bool]] = {}
    for decision in selection.decisions:
        made.setdefault(decision.trajectory.rpartition("/")[0], []).append(decision.kept)
    return _ratio([float(sum(kept)) for kept in made.values()], [float(len(kept)) for kept in made.values()])


def mean_reward(updates: Iterable[Metrics]) -> Figure | None:
    """The mean reward of training's updates; None where nothing was rewarded.

    >>> update = Metrics(update=1, num_samples=4, loss=0.5, grad_norm=1.0, learning_rate=0.1, mean_tokens=6.0, reward=0.5)
    >>> mean_reward([update, update])
    Figure(mean=0.5, ci95=(0.5, 0.5), n=2)
    """
    rewards = [update.reward for update in updates if update.reward is not None]
    return _ratio(rewards, [1.0] * len(rewards))


def _ratio(tops: Sequence[float], bottoms: Sequence[float]) -> Figure | None:
    """The ratio of two sums, with the bootstrap's interval."""
    if not tops:
        return None
    ratios_D = resampled_ratios([[top] for top in tops], [[bottom] for bottom in bottoms], seed=0)[:, 0]
    low, high = (round(float(end), 4) for end in np.quantile(ratios_D, [0.025, 0.975]))
    return Figure(mean=round(sum(tops) / sum(bottoms), 4), ci95=(low, high), n=len(tops))
