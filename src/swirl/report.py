"""The page people read: a run folder -> `report.html`, one self-contained file that needs no network and runs no script.

Whatever a model wrote is hostile input: the template escapes everything but the plots, which hold numbers and our own words.
A part whose files are not there yet says so; nothing is computed here that is not in the run folder.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swirl import round_tables, rounds, spending, tables
from swirl.calibrated import (
    ACCEPTED,
    LEGEND,
    acceptance_rows,
    bias_rows,
    bin_rows,
    changed,
    figure_rows,
    missing_rows,
    notes,
    read_calibration,
    title,
)
from swirl.records import read, read_document, write_atomically
from swirl.samples import changed_questions, evaluated_samples, samples_of_one, training_samples
from swirl.selection import Selection
from swirl.summary import read_summary
from swirl.survival import fell_rows, survival_rows, survivors
from swirl.types import Trajectory


def write_report(path: Path) -> None:
    """Write `report.html` into a run folder."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("swirl"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("report.html.jinja").render(**view(path))
    write_atomically(path / "report.html", page.encode())


def view(path: Path) -> dict[str, Any]:
    """All that the page shows."""
    config = tomllib.loads((path / "run.toml").read_text("utf-8"))
    summary = read_summary(path) if (path / "summary.json").exists() else None
    selection = _read_selection(path) if (path / "selection.json").exists() else None
    return {
        "name": rounds.label(path, config["config"].get("round", 1)),
        "config": config,
        "summary": summary,
        **(_evaluation(path, summary) if summary else {}),
        "curves": _curves(path / "train" / "metrics.jsonl"),
        "selection": selection,
        "survival": _survival(selection) if selection else None,
        "rounds": _rounds(summary["rounds"]) if summary and summary.get("rounds") else None,
        "calibration": _calibration(path),
        **_samples(path, summary),
        "trained": training_samples(path, selection),
    }


def _samples(path: Path, summary: Mapping[str, Any] | None) -> dict[str, Any]:
    """Trajectories of evaluated policies; `alone` is whether the page is of an evaluation, with no run around it."""
    alone = summary is not None and not summary["trained"] and not (path / Trajectory.FILE).exists()
    names = tables.headings(summary) if summary else ("before", "after")
    if len(names) == 1:
        return {"alone": alone, "evaluated": [], "answered": samples_of_one(path / "evaluation")}
    return {"alone": alone, "evaluated": evaluated_samples(path / "evaluation", names), "answered": []}


def _evaluation(path: Path, summary: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "headings": tables.headings(summary),
        "headline": tables.headline(summary),
        "columns": tables.columns(summary),
        "questions": tables.questions(summary),
        "remarks": tables.remarks(summary),
        "accuracy_plot": _accuracy_plot(summary),
        "sheets": _sheets(summary),
        "legend": tables.LEGEND,
        "tools": tables.tool_rows(summary),
        "gold_plot": _growth(summary, "gold_recall", "after step"),
        "pass_plot": _growth(summary, "pass", "k"),
        "services": spending.rows(summary.get("services", ())),
        "services_total": spending.total_row(summary.get("services", ())),
        "changed": changed_questions(path / "evaluation"),
    }


def _rounds(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the page shows of a run of several rounds."""
    from swirl.plots import lines

    data = round_tables.data_curves(found)
    return {
        "accuracy_plot": lines(round_tables.accuracy_curves(found), "round", "accuracy"),
        "data_plot": lines(data, "round", "share") if data else "",
        "about_accuracy": round_tables.ABOUT_ACCURACY,
        "accuracy": round_tables.accuracy_rows(found),
        "about_data": round_tables.ABOUT_DATA,
        "data": round_tables.data_rows(found),
        "legend": round_tables.LEGEND,
    }


def _calibration(path: Path) -> dict[str, Any] | None:
    """What the page shows of `calibration.json`; of one that is out of date, only that."""
    found = read_calibration(path)
    if found is None:
        return None
    if files := changed(path, found):
        return {"title": title(found), "truth": found.truth, "changed": files}
    from swirl.plots import reliability

    measures = found.measures
    return {
        "title": title(found),
        "changed": [],
        "plot": reliability([(b.score, b.good.count / b.good.n, b.good.ci95, b.good.n) for b in measures.bins]),
        "tables": [figure_rows(measures), missing_rows(measures), bin_rows(measures), bias_rows(measures)],
        "notes": [*notes(found), LEGEND],
        "judge": found.judge,
        "states": found.states,
        "accepted": acceptance_rows(found.families),
        "actions": acceptance_rows(found.actions),
        "about": ACCEPTED,
    }


def _survival(selection: Selection) -> dict[str, Any]:
    """What the page shows of a filter's checks."""
    from swirl.plots import funnel

    return {
        "rows": survival_rows(selection),
        "fell": fell_rows(selection),
        "plot": funnel(survivors(selection)),
    }


def _read_selection(path: Path) -> Selection:
    return read_document(path / "selection.json", Selection, f"swirl filter {path}")


def _sheets(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "title": tables.title(sheet),
            "about": tables.about(sheet),
            "rows": tables.rows(sheet),
            "changes": tables.changes(sheet),
        }
        for sheet in summary["table"]
    ]


def _accuracy_plot(summary: Mapping[str, Any]) -> str:
    offered = [
        (f"{name}, {decoding}", when, part[when]["accuracy"], tuple(part[when]["accuracy_ci95"]))
        for name, stand in tables.places(summary)
        for decoding, part in tables.decodings(stand)
        for when in ("before", "after")
        if when in part
    ]
    alone = [
        (tables.place(sheet, summary), when, sheet[when]["accuracy"]["mean"], tuple(sheet[when]["accuracy"]["ci95"]))
        for sheet in summary["table"]
        if not sheet["tools"] and summary.get("tools")
        for when in ("before", "after")
        if when in sheet
    ]
    from swirl.plots import bars

    return bars([*offered, *alone], tables.headings(summary)) if offered or alone else ""


def _growth(summary: Mapping[str, Any], family: str, axis: str) -> str:
    """The curve of a figure with a number, e.g. recall of gold passages after each step: a panel for each way to answer with tools."""
    from swirl.plots import growth

    panels: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for sheet in (sheet for sheet in summary["table"] if sheet["tools"]):
        for when, policy in zip(("before", "after"), tables.headings(summary), strict=False):
            numbered = [name.partition("@") for name in sheet.get(when, {}) if name.startswith(f"{family}@")]
            drawn = sorted((int(number), sheet[when][f"{family}@{number}"]["mean"]) for _, _, number in numbered)
            if drawn:
                panels.setdefault(tables.place(sheet, summary), {})[policy] = drawn
    return growth(panels, axis)


def _curves(metrics: Path) -> str:
    if not metrics.exists():
        return ""
    from swirl.plots import curves
    from swirl.train import Metrics

    updates = list(read(metrics, Metrics))
    return curves(
        {
            "reward (mean verdict)": [update.reward for update in updates],
            "KL to the initial policy (nats an action)": [update.kl for update in updates],
            "loss": [update.loss for update in updates],
            "malformed (share)": [update.malformed for update in updates],
            "missing verdicts (count)": [float(update.missing.total) for update in updates],
            "states with a signal (share)": [update.signal for update in updates],
            "tokens read, of all rows (share)": [
                update.tokens_read / update.naive_tokens if update.naive_tokens else None for update in updates
            ],
            "states that share nothing (share)": [update.unshared for update in updates],
            "drift in training (nats a token)": [update.drift for update in updates],
        }
    )
