"""What a summary's figures look like: accuracies with their intervals, and figures that grow with a number.

Not here: how they are drawn (`swirl.plots`), the same as rows of text (`swirl.tables`).
"""

from collections.abc import Mapping
from typing import Any

from swirl import tables

Shares = list[tuple[str, str, float, tuple[float, float]]]
"""What `swirl.plots.bars` draws: where, before or after, the share and its interval."""


def headline_shares(summary: Mapping[str, Any]) -> Shares:
    """Accuracy at every place of the headline, sampled and greedy."""
    return [
        (f"{name}, {decoding}", when, part[when]["accuracy"], tuple(part[when]["accuracy_ci95"]))
        for name, stand in tables.places(summary)
        for decoding, part in tables.decodings(stand)
        for when in ("before", "after")
        if when in part
    ]


def accuracy_plot(summary: Mapping[str, Any]) -> str:
    """Accuracy of one or two policies at every place of the headline, and without tools where that was measured too; empty where there is
    none."""
    offered = headline_shares(summary)
    alone = [
        (tables.place(sheet, summary), when, sheet[when]["accuracy"]["mean"], tuple(sheet[when]["accuracy"]["ci95"]))
        for sheet in summary["table"]
        if not sheet["tools"] and summary.get("tools")
        for when in ("before", "after")
        if when in sheet
    ]
    from swirl.plots import bars

    return bars([*offered, *alone], tables.headings(summary)) if offered or alone else ""


def growth_plot(summary: Mapping[str, Any], family: str, axis: str) -> str:
    """The curve of a figure with a number, e.g. recall of gold passages after each step: a panel for each way to answer that has it; empty
    where none has.

    >>> growth_plot({"table": [{"tools": True, "before": {"accuracy": {"mean": 0.5}}}], "policies": {"against": ""}}, "pass", "k")
    ''
    """
    from swirl.plots import growth

    panels: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for sheet in summary["table"]:
        for when, policy in zip(("before", "after"), tables.headings(summary), strict=False):
            numbered = [name.partition("@") for name in sheet.get(when, {}) if name.startswith(f"{family}@")]
            drawn = sorted((int(number), sheet[when][f"{family}@{number}"]["mean"]) for _, _, number in numbered)
            if drawn:
                panels.setdefault(tables.place(sheet, summary), {})[policy] = drawn
    return growth(panels, axis)
