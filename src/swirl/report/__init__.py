"""The page people read: a run folder -> `report.html`, one self-contained file that needs no network and runs no script.

Whatever a model wrote is hostile input: the template escapes everything but the plots, which escape what is written in them. A part whose
files are not there yet says so; nothing is computed here that is not in the run folder. However large the run, the page stays small: what
it shows of trajectories is chosen by rule, and bounded.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swirl import rounds, tables
from swirl.alarms import alarms
from swirl.calibrated import read_calibration
from swirl.learning import learning_curves
from swirl.overview import glance, stages, tiles
from swirl.page import fitting, rendered
from swirl.records import write_atomically
from swirl.report.data import groups, shown_steps, shown_survival
from swirl.report.evaluation import shown_evaluation, shown_rounds
from swirl.report.judging import shown_calibration
from swirl.samples import evaluated_samples, samples_of_one, training_samples
from swirl.types import Trajectory

_MOST = 1_200_000
"""Bytes that the trajectories of the evaluation may take on the page; those of training are few."""
_SECTIONS = {
    "overview": "Overview",
    "rounds": "Round by round",
    "accuracy": "Accuracy",
    "figures": "Every figure",
    "tools": "Tools",
    "changed": "Gained and lost",
    "training": "Learning curves",
    "filter": "Filter",
    "steps": "Steps",
    "judge": "Judge",
    "held-out": "Held-out questions",
    "trained-on": "Training trajectories",
    "run": "What was run",
}
"""Parts of the page, in order, as the list of contents names them."""


def write_report(path: Path) -> None:
    """Write `report.html` into a run folder."""
    write_atomically(path / "report.html", rendered("report/page.html.jinja", **view(path)))


def view(path: Path) -> dict[str, Any]:
    """All that the page shows."""
    known = glance(path)
    summary, selection = known.summary, known.selection
    calibration = read_calibration(path)
    judge = shown_calibration(path, calibration) if calibration else None
    config = tomllib.loads((path / "run.toml").read_text("utf-8"))
    shown: dict[str, Any] = {
        "name": rounds.label(path, config["config"].get("round", 1)),
        "config": config,
        "summary": summary,
        "tiles": tiles(known),
        "stages": stages(path, known),
        "alarms": alarms(known.updates, known.steps, summary, calibration, judge["changed"] if judge else ()),
        **(shown_evaluation(path, summary) if summary else {}),
        "curves": learning_curves(known.updates),
        "groups": groups(path / "train", known.config["train"]["objective"]),
        "selection": selection,
        "survival": shown_survival(selection) if selection else None,
        **shown_steps(known.steps),
        "rounds": shown_rounds(summary["rounds"]) if summary and summary.get("rounds") else None,
        "calibration": judge,
        **_samples(path, summary),
        "trained": training_samples(path, selection),
    }
    return {**shown, "contents": _contents(shown)}


def _samples(path: Path, summary: Mapping[str, Any] | None) -> dict[str, Any]:
    """Trajectories of evaluated policies, as many as fit; `alone` is whether the page is of an evaluation, with no run around it."""
    alone = summary is not None and not summary["trained"] and not (path / Trajectory.FILE).exists()
    names = tables.headings(summary) if summary else ("before", "after")
    kind, found = _sampled(path / "evaluation", names)
    some = fitting(found, _MOST)
    return {"alone": alone, "evaluated": [], "answered": [], kind: some, "left_out": len(found) - len(some)}


def _sampled(folder: Path, names: Sequence[str]) -> tuple[str, Sequence[Any]]:
    if len(names) == 1:
        return "answered", samples_of_one(folder)
    return "evaluated", evaluated_samples(folder, names)


def _contents(shown: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The parts that the page has: where they are, and their names."""
    summary, alone = shown["summary"], shown["alone"]
    there = {
        "rounds": shown["rounds"],
        "figures": summary,
        "tools": summary and shown["tools"],
        "changed": summary and shown["changed"],
        "training": not alone,
        "filter": not alone,
        "steps": not alone and shown["lengths_plot"],
        "judge": shown["calibration"],
        "trained-on": not alone,
    }
    return [(id, name) for id, name in _SECTIONS.items() if there.get(id, True)]
