"""A study: the same run with other settings (arms) and seeds, and the paired comparison of what came out.

Every arm of a seed sees the same questions, trajectories and evaluation draws as far as its settings allow, so that differences are paired
question by question. What two arms have in common (trajectories, verdicts, the evaluation of the untrained policy) is made once and copied.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from swirl import stages
from swirl.errors import ConfigError
from swirl.evaluate import EvaluatedTrajectory
from swirl.recipe import Arm, Recipe, RunConfig, configure, merge, to_table
from swirl.records import read, write_json
from swirl.run import Run
from swirl.statistics import Interval, paired_bootstrap
from swirl.terminal import say

SHARED = {
    "trajectories.jsonl": ("seed", "policy", "warm_start", "generate"),
    "verdicts.jsonl": ("seed", "policy", "warm_start", "generate", "judge"),
    "evaluation/before-*.jsonl": ("seed", "policy", "warm_start", "generate", "judge", "evaluate"),
}
"""File -> the settings that decide its content. Arms that agree on these share the file."""


@dataclass(frozen=True)
class Outcome:
    """What one arm of one seed came to: per task and mode, question id -> right or wrong."""

    arm: str
    seed: int
    correct: Mapping[tuple[str, str, str], Mapping[str, float]]
    """(before | after, task, mode) -> question id -> 1.0 or 0.0."""


def run_study(recipe: Recipe, config: RunConfig, out: Path) -> Path:
    """Run every arm with every seed, print the table, write `study.json`."""
    study = recipe.study
    if study is None:
        raise ConfigError(f"recipe {recipe.name!r} has no [study]")
    outcomes = []
    for seed in study.seeds:
        donors: list[Run] = []
        for arm in study.arms:
            say(f"study {recipe.name}: arm {arm.name}, seed {seed}")
            donors.append(_run_arm(config, arm, seed, out, donors))
            outcomes.append(read_outcome(donors[-1], arm.name, seed))
    rows = table_rows(outcomes, control=study.control or study.arms[0].name)
    write_json(
        out / "study.json", {"schema": "swirl.study/1", "recipe": recipe.name, "seeds": study.seeds, "rows": rows}
    )
    Console(highlight=False).print(_terminal(rows))
    return out / "study.json"


def _run_arm(config: RunConfig, arm: Arm, seed: int, out: Path, donors: Sequence[Run]) -> Run:
    own = replace(configure(merge(to_table(config), arm.changes), f"arm {arm.name}"), seed=seed)
    path = out / f"{arm.name}-seed{seed}"
    if not (path / "run.toml").exists():
        run = Run.create(path, own)
        for donor in donors:
            _borrow(run, donor)
    return stages.run_all(path, own)


def _borrow(run: Run, donor: Run) -> None:
    for pattern, settings in SHARED.items():
        if all(getattr(run.config, name) == getattr(donor.config, name) for name in settings):
            for source in donor.path.glob(pattern):
                target = run.path / source.relative_to(donor.path)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


def read_outcome(run: Run, arm: str, seed: int) -> Outcome:
    """Which questions a run answered right, before and after."""
    correct: dict[tuple[str, str, str], dict[str, float]] = {}
    for path in sorted(run.evaluation.glob("*.jsonl")):
        when = path.name.partition("-")[0]
        for record in read(path, EvaluatedTrajectory):
            for task in (record.task, "overall"):
                answers = correct.setdefault((when, task, record.mode), {})
                answers[f"{record.task}/{record.trajectory.question.id}"] = float(record.correct)
    return Outcome(arm, seed, correct)


def table_rows(outcomes: Sequence[Outcome], control: str) -> list[dict[str, Any]]:
    """One row an arm, task and mode: accuracy before and after, the gain, and the gain's paired difference from the control's. Seeds are
    averaged and questions resampled, so the intervals speak of other questions, not of other seeds; `gains_by_seed` shows those."""
    arms = list(dict.fromkeys(outcome.arm for outcome in outcomes))
    places = sorted({(task, mode) for outcome in outcomes for _, task, mode in outcome.correct})
    rows = []
    for task, mode in places:
        gains = {arm: _gains([o for o in outcomes if o.arm == arm], task, mode) for arm in arms}
        for arm in arms:
            rows.append(_row(arm, task, mode, outcomes, gains[arm], gains[control]))
    return rows


def _row(
    arm: str,
    task: str,
    mode: str,
    outcomes: Sequence[Outcome],
    gain: Mapping[str, Sequence[float]],
    control: Mapping[str, Sequence[float]],
) -> dict[str, Any]:
    mine = [o for o in outcomes if o.arm == arm]
    return {
        "arm": arm,
        "task": task,
        "mode": mode,
        "seeds": len(mine),
        "before": _accuracy(mine, "before", task, mode),
        "after": _accuracy(mine, "after", task, mode),
        "gains_by_seed": [
            round(_accuracy([o], "after", task, mode) - _accuracy([o], "before", task, mode), 4) for o in mine
        ],
        "gain": _interval(_means(gain), {name: 0.0 for name in gain}),
        "against_control": _interval(_means(gain), _means(control)),
    }


def _gains(outcomes: Sequence[Outcome], task: str, mode: str) -> dict[str, list[float]]:
    """Question id -> after minus before, one entry a seed."""
    gains: dict[str, list[float]] = {}
    for outcome in outcomes:
        before, after = outcome.correct["before", task, mode], outcome.correct["after", task, mode]
        for name in before:
            gains.setdefault(name, []).append(after[name] - before[name])
    return gains


def _means(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: float(np.mean(each)) for name, each in values.items()}


def _interval(values: Mapping[str, float], baseline: Mapping[str, float]) -> Interval:
    names = [name for name in values if name in baseline]
    return paired_bootstrap([baseline[name] for name in names], [values[name] for name in names], seed=0)


def _accuracy(outcomes: Sequence[Outcome], when: str, task: str, mode: str) -> float:
    return float(np.mean([value for outcome in outcomes for value in outcome.correct[when, task, mode].values()]))


def _terminal(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("task", "mode", "arm", "before", "after", "gain [95 %]", "against control [95 %]")
    for row in rows:
        gain, against = row["gain"], row["against_control"]
        table.add_row(
            row["task"],
            row["mode"],
            row["arm"],
            f"{row['before']:.3f}",
            f"{row['after']:.3f}",
            f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]",
            f"{against.mean:+.3f} [{against.low:+.3f}, {against.high:+.3f}]",
        )
    return table
