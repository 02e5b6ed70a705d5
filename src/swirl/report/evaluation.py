"""What the page shows of an evaluation: the headline, every figure, plots of them, and the same round by round."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swirl import round_tables, spending, tables
from swirl.samples import changed_questions


def shown_evaluation(path: Path, summary: Mapping[str, Any]) -> dict[str, Any]:
    """All of a summary, and the questions that were gained and lost."""
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


def shown_rounds(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the page shows of a run of several rounds."""
    from swirl import plots

    data = round_tables.data_curves(found)
    return {
        "accuracy_plot": plots.lines(round_tables.accuracy_curves(found), "round", "accuracy"),
        "data_plot": plots.lines(data, "round", "share") if data else "",
        "about_accuracy": round_tables.ABOUT_ACCURACY,
        "accuracy": round_tables.accuracy_rows(found),
        "about_data": round_tables.ABOUT_DATA,
        "data": round_tables.data_rows(found),
        "legend": round_tables.LEGEND,
    }


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
    from swirl import plots

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
    return plots.bars([*offered, *alone], tables.headings(summary)) if offered or alone else ""


def _growth(summary: Mapping[str, Any], family: str, axis: str) -> str:
    """The curve of a figure with a number, e.g. recall of gold passages after each step: a panel for each way to answer with tools."""
    from swirl import plots

    panels: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for sheet in (sheet for sheet in summary["table"] if sheet["tools"]):
        for when, policy in zip(("before", "after"), tables.headings(summary), strict=False):
            numbered = [name.partition("@") for name in sheet.get(when, {}) if name.startswith(f"{family}@")]
            drawn = sorted((int(number), sheet[when][f"{family}@{number}"]["mean"]) for _, _, number in numbered)
            if drawn:
                panels.setdefault(tables.place(sheet, summary), {})[policy] = drawn
    return plots.growth(panels, axis)
