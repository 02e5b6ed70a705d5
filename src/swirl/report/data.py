"""What the page shows of trajectories: what the filter left of them, how many steps they have, what each step earned, and what training
sampled at some of their states."""

from pathlib import Path
from typing import Any

from swirl.known import badge
from swirl.sampled import shown_groups
from swirl.samples import cut
from swirl.selection import Selection
from swirl.step_scores import StepScores
from swirl.survival import fell_rows, rules_kept, survival_rows, survivors
from swirl.train.recorded import SampledAction


def shown_survival(selection: Selection) -> dict[str, Any]:
    """A filter's checks."""
    from swirl import plots

    return {
        "rows": survival_rows(selection),
        "fell": fell_rows(selection),
        "plot": plots.flow(survivors(selection)),
        "kept": plots.kept(rules_kept(selection), selection.num_trajectories, selection.rule.value),
    }


def shown_steps(steps: StepScores) -> dict[str, Any]:
    """Steps by number, and by score."""
    from swirl import plots

    points = list(steps.points())
    rows = [
        (f"{number}", f"{mean:.3f} [{low:.3f}, {high:.3f}]", f"{n:,}", f"{steps.by_step[number - 1].missing:,}")
        for number, mean, (low, high), n in points
    ]
    return {
        "lengths_plot": plots.distribution(steps.lengths),
        "scores_plot": plots.by_step(points),
        "score_rows": [("step", "mean score [95 %]", "n", "missing"), *rows],
    }


_MOST = 16
"""Actions of a group."""


def groups(train: Path, objective: str) -> list[dict[str, Any]]:
    """Some states of training, with what was sampled there."""
    return [
        {
            "number": state.update,
            "place": f"{cut(state.task, 100)}, trajectory {cut(state.trajectory, 200)}, step {state.step + 1}",
            "actions": [_shown(*each) for each in zip(state.actions[:_MOST], advantages[:_MOST], strict=True)],
            "more": max(0, len(state.actions) - _MOST),
        }
        for state, advantages in shown_groups(train, objective)
    ]


def _shown(action: SampledAction, advantage: float | None) -> dict[str, str]:
    return {
        "text": cut(action.text),
        "badge": badge(action.verdict),
        "reward": "none" if action.score is None else f"{action.score:.2f}",
        "advantage": "none" if advantage is None else f"{advantage:+.3f}",
        "reason": cut(action.reason, 500),
    }
