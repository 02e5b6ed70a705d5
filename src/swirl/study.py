"""A study: the same run with other settings (arms) and seeds, and the paired comparison of what came out.

Every arm of a seed sees the same questions, trajectories and evaluation draws as far as its settings allow, so that differences are paired
question by question. What two arms have in common (trajectories, verdicts, the evaluation of the untrained policy) is made once and copied.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from swirl import stages
from swirl.decisive import RULES
from swirl.errors import ConfigError
from swirl.evaluate import EvaluatedTrajectory
from swirl.recipe import Arm, Recipe
from swirl.records import read, read_document, write_json
from swirl.run import Run
from swirl.selection import Selection
from swirl.settings import RunConfig, configure, differences, flat, merge, to_table
from swirl.spending import line, spent
from swirl.stages.check import check
from swirl.stages.rounds import check_rounds
from swirl.stages.rounds import planned as planned_rounds
from swirl.statistics import Interval, crossed_bootstrap
from swirl.study_report import by_seed, write_study_report
from swirl.terminal import results, say

_START = ("seed", "policy.", "search.", "warm_start.")
SHARED = {
    "trajectories*.jsonl": (*_START, "generate."),
    "verdicts*.jsonl": (*_START, "generate.", "judge."),
    "evaluation/before-*.jsonl": (*_START, *RULES, "judge.", "evaluate."),
}
"""File -> the settings that decide its content, by how their names begin. Arms that agree on these share the file."""


@dataclass(frozen=True)
class Outcome:
    """What one arm of one seed came to."""

    arm: str
    seed: int
    correct: Mapping[tuple[str, str, str], Mapping[str, float]]
    """(before | after, task, mode) -> question id -> share of its answers that are right."""
    num_trained: int = 0
    """Trajectories it was trained on, in all rounds."""

    def gains(self, task: str, mode: str) -> dict[str, float]:
        """Question id -> after minus before; empty where it was not evaluated so."""
        before, after = (self.correct.get((when, task, mode), {}) for when in ("before", "after"))
        return {name: after[name] - before[name] for name in before if name in after}


class Planned(NamedTuple):
    """A run of a study."""

    arm: str
    seed: int
    path: Path
    config: RunConfig


def planned(recipe: Recipe, config: RunConfig, out: Path) -> list[Planned]:
    """The runs of a recipe's study, seed by seed; raises `ConfigError` where it has none, or sets what is the study's to set."""
    study = recipe.study
    if study is None:
        raise ConfigError(f"recipe {recipe.name!r} has no [study]")
    if config.seed != recipe.config.seed:
        raise ConfigError(
            f"a study has its seeds in the recipe's [study], found seed = {config.seed}; set study.seeds there"
        )
    arms = {arm.name: _configured(config, arm) for arm in study.arms}
    return [
        Planned(name, seed, out / f"{name}-seed{seed}", replace(own, seed=seed))
        for seed in study.seeds
        for name, own in arms.items()
    ]


def run_study(recipe: Recipe, config: RunConfig, out: Path) -> Path:
    """Run every arm with every seed, print the table, write `study.json`."""
    runs = planned(recipe, config, out)
    study = recipe.study
    assert study is not None
    for own in runs[: len(study.arms)]:
        check(own.config, stages.STAGES)
        check_rounds(own.config)
    outcomes = []
    donors: list[Run] = []
    for arm, seed, path, own_config in runs:
        say(f"study {recipe.name}: arm {arm}, seed {seed}")
        donors = [donor for donor in donors if donor.config.seed == seed]
        donors.append(_run_arm(own_config, path, donors))
        outcomes.append(read_outcome(donors[-1], arm, seed))
    control = study.control or study.arms[0].name
    rows = table_rows(outcomes, control=control)
    changes = {arm.name: flat(arm.changes) for arm in study.arms}
    found = {
        "schema": "swirl.study/2",
        "recipe": recipe.name,
        "seeds": study.seeds,
        "control": control,
        "arms": changes,
        "scale": scale(changes),
        "rows": rows,
    }
    write_json(out / "study.json", found)
    write_study_report(out, found)
    results().print(terminal_table(rows))
    asked = spent(request for own in runs for request in Run(own.path, own.config).requests_of_all_rounds())
    if said := line(asked):
        say(f"study {recipe.name}, all runs so far: {said}")
    say(f"report: {out / 'report.html'}")
    return out / "study.json"


def scale(arms: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """The one number that tells the arms apart: its setting, and its value in each; None where there is none.

    >>> scale({"few": {"filter.size": 100}, "many": {"filter.size": 1000}})
    {'setting': 'filter.size', 'values': {'few': 100, 'many': 1000}}
    >>> scale({"few": {"filter.size": 100}, "other": {"filter.rule": "none"}})
    """
    settings = {setting for changes in arms.values() for setting in changes}
    if len(arms) < 2 or len(settings) != 1:
        return None
    [setting] = settings
    values = {arm: changes.get(setting) for arm, changes in arms.items()}
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values.values())
    return {"setting": setting, "values": values} if numbers else None


def _configured(config: RunConfig, arm: Arm) -> RunConfig:
    """A run's configuration as an arm changes it; the seed is the study's to set."""
    own = configure(merge(to_table(config), arm.changes), f"arm {arm.name}")
    if own.seed != config.seed:
        raise ConfigError(
            f"arm {arm.name}: every arm runs with all seeds of the study, found seed = {own.seed}; set study.seeds"
        )
    return own


def _run_arm(config: RunConfig, path: Path, donors: Sequence[Run]) -> Run:
    if not (path / "run.toml").exists():
        run = Run.create(path, config)
        for donor in donors:
            _borrow(run, donor)
    return stages.run_all(path, config)


def _borrow(run: Run, donor: Run) -> None:
    changes = differences(run.config, donor.config)
    shown = ("generate.tasks",) if run.config.warm_start.questions else ()
    for pattern, settings in SHARED.items():
        if not any(change.startswith((*settings, *shown)) for change in changes):
            for source in donor.path.glob(pattern):
                target = run.path / source.relative_to(donor.path)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


def read_outcome(run: Run, arm: str, seed: int) -> Outcome:
    """How far a run answered each question right, before its first round and after its last, with the first of its prompt styles, and with
    tools where they were on offer: as in the headline of its summary."""
    evaluated = run.config.evaluate
    first, offered = (evaluated.prompts or (run.config.generate.prompt,))[0], "with" in evaluated.tools
    answers: dict[tuple[str, str, str], dict[str, list[bool]]] = {}
    rounds = [Run(*each) for each in planned_rounds(run.path, run.config)]
    files = [*run.evaluation.glob("before-*.jsonl"), *rounds[-1].evaluation.glob("after-*.jsonl")]
    for path in sorted(files):
        for record in read(path, EvaluatedTrajectory):
            for task in (record.task, "overall") if record.prompt is first and record.tools is offered else ():
                place = answers.setdefault((record.policy, task, record.mode), {})
                place.setdefault(f"{record.task}/{record.trajectory.question.id}", []).append(record.correct)
    correct = {place: {name: sum(each) / len(each) for name, each in own.items()} for place, own in answers.items()}
    return Outcome(arm, seed, correct, sum(map(_num_kept, rounds)))


def _num_kept(run: Run) -> int:
    there = run.selection.exists()
    return len(read_document(run.selection, Selection, f"swirl filter {run.path}").kept) if there else 0


def table_rows(outcomes: Sequence[Outcome], control: str) -> list[dict[str, Any]]:
    """One row an arm, task and mode: accuracy before and after, the gain, and its paired difference from the control's gain with the same
    seed. Intervals are over questions and seeds (`swirl.statistics.crossed_bootstrap`)."""
    arms = list(dict.fromkeys(outcome.arm for outcome in outcomes))
    controls = {outcome.seed: outcome for outcome in outcomes if outcome.arm == control}
    found = {(task, mode) for outcome in outcomes for _, task, mode in outcome.correct}
    places = sorted(found, key=lambda place: (place[0] == "overall", place))
    return [
        _row(arm, task, mode, mine, controls)
        for task, mode in places
        for arm in arms
        if (mine := [o for o in outcomes if o.arm == arm and o.gains(task, mode)])
    ]


def _row(
    arm: str, task: str, mode: str, outcomes: Sequence[Outcome], controls: Mapping[int, Outcome]
) -> dict[str, Any]:
    gains = [outcome.gains(task, mode) for outcome in outcomes]
    theirs = [controls[outcome.seed].gains(task, mode) if outcome.seed in controls else {} for outcome in outcomes]
    return {
        "arm": arm,
        "task": task,
        "mode": mode,
        "seeds": len(outcomes),
        "trajectories": [outcome.num_trained for outcome in outcomes],
        "before": _accuracy(outcomes, "before", task, mode),
        "after": _accuracy(outcomes, "after", task, mode),
        "gains_by_seed": [round(float(np.mean(list(gain.values()))), 4) for gain in gains],
        "gain": _interval(gains, [dict.fromkeys(gain, 0.0) for gain in gains]),
        "against_control": _interval(gains, theirs),
    }


def _interval(mine: Sequence[Mapping[str, float]], theirs: Sequence[Mapping[str, float]]) -> Interval | None:
    """Of the differences on the questions that all of them answered; None where there is none."""
    shared = [name for name in mine[0] if all(name in each for each in (*mine, *theirs))]
    if not shared:
        return None
    pairs = zip(mine, theirs, strict=True)
    return crossed_bootstrap([[own[name] - other[name] for name in shared] for own, other in pairs], seed=0)


def _accuracy(outcomes: Sequence[Outcome], when: str, task: str, mode: str) -> Interval | None:
    correct = [outcome.correct[when, task, mode] for outcome in outcomes]
    return _interval(correct, [dict.fromkeys(each, 0.0) for each in correct])


def terminal_table(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """The rows for a terminal of 80 columns: a table for each task and mode."""
    tables = {}
    for row in rows:
        place = f"{row['task']}, {row['mode']}"
        if place not in tables:
            tables[place] = Table(title=Text(place), title_justify="left", box=None, padding=(0, 2, 0, 0))
            for heading in ("arm", "before", "after", "gain [95 %]", "against control"):
                tables[place].add_column(heading, no_wrap=True)
        accuracies = (f"{row['before'].mean:.3f}", f"{row['after'].mean:.3f}")
        cells = (row["arm"], *accuracies, _shown(row["gain"]), _shown(row["against_control"]))
        tables[place].add_row(*map(Text, cells))  # a plain string would be read as markup
    spaced = [part for table in tables.values() for part in (table, Text())]
    return Group(*spaced, Text(f"trajectories trained on: {_sizes(rows)}; intervals over questions and seeds"))


def _sizes(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many trajectories the arms were trained on, by seed; one number where it was the same for all."""
    sizes = {row["arm"]: by_seed(row["trajectories"]) for row in rows}
    if len(set(sizes.values())) == 1 and " / " not in (size := next(iter(sizes.values()))):
        return size
    return ", ".join(f"{size} in {arm}" for arm, size in sizes.items())


def _shown(interval: Interval | None) -> str:
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]" if interval else ""
