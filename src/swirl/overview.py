"""A run at a glance: how far each stage is, and the few figures that say what it came to.

Not here: what is remarkable (`swirl.alarms`), and every figure (`swirl.tables`).
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from swirl import spending
from swirl.errors import RecordError
from swirl.manifest import found, read_manifest
from swirl.records import read, read_document
from swirl.selection import Selection
from swirl.step_scores import StepScores, step_scores
from swirl.summary import read_summary
from swirl.tables import decodings, headings, places, points
from swirl.train import Metrics

_NAMES = {
    "warm_start": "warm start",
    "generate": "generate",
    "judge": "judge",
    "filter": "filter",
    "train": "train",
    "evaluate": "evaluate",
}


class Stage(NamedTuple):
    """How far a stage is."""

    name: str
    state: str
    """done, begun, or not yet."""
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
    unfinished = _unfinished(path)
    seconds = known.summary["seconds"]["by_stage"] if known.summary else {}
    rows = []
    for name, told in _made(known).items():
        there = bool(found(path, name))
        state = "begun" if name in unfinished else "done" if there else "not yet"
        if name == "warm_start" and not there and state == "not yet":
            continue
        if name == "train" and state == "done" and len(known.updates) < known.config["train"]["updates"]:
            state = "begun"
        rows.append(Stage(_NAMES[name], state, told if there else "", seconds.get(name)))
    return rows


def _unfinished(path: Path) -> frozenset[str]:
    """The stages that are under way; a manifest that was edited is for `swirl verify` to tell of."""
    try:
        return read_manifest(path).unfinished
    except RecordError:
        return frozenset()


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
