"""A run at a glance: how far each stage is, and the few figures that say what it came to.

Not here: what is remarkable (`swirl.alarms`), and every figure (`swirl.tables`).
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from swirl import spending
from swirl.errors import SwirlError
from swirl.manifest import FILE, Manifest, found, read_manifest, stage_of
from swirl.records import read, read_document
from swirl.selection import Selection
from swirl.step_scores import StepScores, step_scores
from swirl.summary import read_summary
from swirl.tables import decodings, headings, places, points
from swirl.train import Metrics

STAGE_NAMES = {
    "warm_start": "Warm start",
    "generate": "Generate",
    "judge": "Judge",
    "filter": "Filter",
    "train": "Train",
    "evaluate": "Evaluate",
}
State = Literal["done", "begun", "not begun"]
_TRAININGS = ("warm_start", "train")
"""Stages that make exactly as much as their settings ask for."""


class Stage(NamedTuple):
    """How far a stage is."""

    name: str
    state: State
    """begun: at work, or cut off."""
    told: str
    """What it has made so far."""
    seconds: float | None = None


class Tile(NamedTuple):
    """One figure, large, and what belongs to it, small."""

    name: str
    figure: str
    about: str = ""


class Glance(NamedTuple):
    """What is known of a run, as far as it has come."""

    config: Mapping[str, Any]
    """Its settings, stage by stage."""
    steps: StepScores
    selection: Selection | None = None
    updates: Sequence[Metrics] = ()
    summary: Mapping[str, Any] | None = None


def glance(path: Path) -> Glance:
    """What is known of a run folder, as far as it has come."""
    metrics, selection = path / "train" / Metrics.FILE, path / "selection.json"
    return Glance(
        config=tomllib.loads((path / "run.toml").read_text("utf-8"))["config"],
        steps=step_scores(path),
        selection=read_document(selection, Selection, f"swirl filter {path}") if selection.exists() else None,
        updates=list(read(metrics, Metrics)) if metrics.exists() else (),
        summary=read_summary(path) if (path / "summary.json").exists() else None,
    )


def stages(path: Path, known: Glance) -> list[Stage]:
    """How far each stage is; without the warm start where there is none."""
    told = manifest_of(path)
    seconds = known.summary["seconds"]["by_stage"] if known.summary else {}
    trained = len(known.updates) >= known.config["train"]["updates"]
    rows = []
    for name, made in _made(known).items():
        there = bool(found(path, name))
        state = state_of(name, told, begun=there, complete=name != "train" or trained)
        if name != "warm_start" or state != "not begun":
            rows.append(Stage(STAGE_NAMES[name], state, made if there else "", seconds.get(name)))
    return rows


def state_of(name: str, told: Manifest | None, *, begun: bool, complete: bool) -> State:
    """What a stage's state is, by the manifest, by whether it has made anything, and by whether that is all it was asked for."""
    if told is None:  # of an older version of swirl, or damaged: the files alone tell
        return "not begun" if not begun else "done" if complete else "begun"
    if name in told.unfinished or (begun and not complete and name in _TRAININGS):
        return "begun"
    if any(stage_of(file) == name for file in told.files):
        return "done"
    return "begun" if begun else "not begun"


def manifest_of(path: Path) -> Manifest | None:
    """A run folder's manifest, None where there is none, or none that can be read, which `swirl verify` tells of."""
    try:
        return read_manifest(path) if (path / FILE).exists() else None
    except SwirlError:
        return None


def _made(known: Glance) -> Mapping[str, str]:
    """Stage -> what it has made, in a few words."""
    steps, selection, summary, config = known.steps, known.selection, known.summary, known.config
    missing = f", {steps.missing:,} steps without one" if steps.missing else ""
    kept = f"{len(selection.kept):,} of {selection.num_trajectories:,} kept by {selection.rule}" if selection else ""
    return {
        "warm_start": "",
        "generate": f"{steps.trajectories:,} trajectories",
        "judge": f"{steps.judged:,} verdicts by {config['judge']['name']}{missing}",
        "filter": kept,
        "train": f"{len(known.updates):,} of {config['train']['updates']:,} updates",
        "evaluate": f"{summary['n']:,} questions" if summary else "",
    }


def tiles(known: Glance) -> list[Tile]:
    """The figures: accuracy with its gain, what was kept, the reward, time and memory, and what services cost."""
    return [*_accuracy(known.summary), *_kept(known.selection), *_reward(known.updates), *_cost(known.summary)]


def _accuracy(summary: Mapping[str, Any] | None) -> Iterator[Tile]:
    """Of the headline's first row, sampled and greedy."""
    if summary is None:
        return
    name, stand = next(iter(places(summary)))
    for decoding, part in decodings(stand):
        shown = [part[when] for when in ("before", "after")[: len(headings(summary))] if when in part]
        figures = " → ".join(f"{100 * one['accuracy']:.1f}" for one in shown)
        low, high = (f"{100 * end:.1f}" for end in shown[-1]["accuracy_ci95"])
        gain = f", gain in points {points(part['gain'])}" if "gain" in part else ""
        yield Tile(f"Accuracy, {name}, {decoding}", f"{figures} %", f"95 % interval [{low}, {high}]{gain}")


def _kept(selection: Selection | None) -> Iterator[Tile]:
    if selection is not None and selection.num_trajectories:
        kept, of = len(selection.kept), selection.num_trajectories
        yield Tile("Trajectories kept", f"{kept:,}", f"{kept / of:.1%} of {of:,}, by rule {selection.rule}")


def _reward(updates: Sequence[Metrics]) -> Iterator[Tile]:
    rewarded = [update for update in updates if update.reward is not None]
    if rewarded:
        part = max(1, len(rewarded) // 10)
        first, last = (
            sum(update.reward or 0.0 for update in some) / part for some in (rewarded[:part], rewarded[-part:])
        )
        yield Tile(
            "Reward", f"{first:.2f} → {last:.2f}", f"mean verdict, first and last {part} of {len(updates)} updates"
        )


def _cost(summary: Mapping[str, Any] | None) -> Iterator[Tile]:
    if summary is None:
        return
    memory = f"{summary['peak_memory_mb']:,.0f} MB at most"
    yield Tile("Time", f"{summary['seconds']['total']:,.0f} s", memory)
    if services := summary.get("services"):
        total = spending.total_row(services)
        yield Tile("Services", total[9], f"{total[3]} requests, {total[6]} tokens in, {total[8]} out")
