"""What the page shows of an evaluation: the headline, every figure, plots of them, and the same round by round."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swirl import round_tables, spending, tables
from swirl.evaluation_plots import accuracy_plot, growth_plot
from swirl.samples import changed_questions


def shown_evaluation(path: Path, summary: Mapping[str, Any]) -> dict[str, Any]:
    """All of a summary, and the questions that were gained and lost."""
    return {
        "headings": tables.headings(summary),
        "headline": tables.headline(summary),
        "columns": tables.columns(summary),
        "questions": tables.questions(summary),
        "remarks": tables.remarks(summary),
        "accuracy_plot": accuracy_plot(summary),
        "sheets": _sheets(summary),
        "legend": tables.LEGEND,
        "tools": tables.tool_rows(summary),
        "gold_plot": growth_plot(summary, "gold_recall", "after step"),
        "pass_plot": growth_plot(summary, "pass", "k"),
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
