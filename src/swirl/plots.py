"""Plots as inline SVG: legible on light and dark pages and in print, without a display and without a network."""

import io
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import NamedTuple


@contextmanager
def _without_remarks() -> Iterator[None]:
    """A home that cannot be written to is nothing to a plot: matplotlib then works in a temporary folder, and says so in three lines."""
    logger = logging.getLogger("matplotlib")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


with _without_remarks():
    import matplotlib
    from matplotlib import colormaps
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import MaxNLocator

INK, BEFORE, AFTER = "#7a7a7a", "#b07a2a", "#2a7ab0"
_KINDS = (("#2a7ab0", "-o"), ("#b07a2a", "--D"), ("#7a5aa8", "-.s"), ("#3f8f6b", ":^"), ("#a8455f", "-v"))
"""Colours that differ for all eyes, and lines and marks that differ without colour."""
_SHADES = colormaps["Blues"]
_STYLE = {"svg.hashsalt": "swirl", "svg.fonttype": "path", "font.size": 9}


class Point(NamedTuple):
    """Where a line goes through."""

    x: float
    y: float
    interval: tuple[float, float] | None = None


def curves(series: Mapping[str, Sequence[float | None]]) -> str:
    """Small multiples, one curve a panel over the updates: points faint, their running mean strong. Empty where there is nothing.

    >>> curves({"reward": [0.1, 0.4, 0.5]}).startswith("<svg")
    True
    """
    shown = {name: values for name, values in series.items() if any(value is not None for value in values)}
    if not shown:
        return ""
    rows = (len(shown) + 2) // 3
    figure = Figure(figsize=(9, 2.1 * rows), layout="constrained")
    panels = figure.subplots(rows, 3, squeeze=False).flatten()
    for panel, (name, values) in zip(panels, shown.items(), strict=False):
        places = [i + 1 for i, value in enumerate(values) if value is not None]
        present = [value for value in values if value is not None]
        panel.plot(places, present, ".", color=AFTER, alpha=0.5, markersize=4)
        panel.plot(places, _smooth(present), color=AFTER, linewidth=1.6)
        panel.set_title(name)
        panel.set_xlabel("update")
        panel.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        _quiet(panel)
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    return _svg(figure)


def growth(panels: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]], axis: str) -> str:
    """Shares that grow with a count, a panel each: name of a policy -> (count, share). The first is drawn round and broken, the second with
    diamonds and whole, so that they can be told apart in print. Empty where there is nothing.

    >>> growth({"world": {"before": [(1, 0.2), (2, 0.4)], "after": [(1, 0.3), (2, 0.6)]}}, "after step").startswith("<svg")
    True
    """
    if not panels:
        return ""
    rows = (len(panels) + 2) // 3
    figure = Figure(figsize=(9, 2.4 * rows), layout="constrained")
    places = figure.subplots(rows, 3, squeeze=False, sharey=True).flatten()
    for panel, (name, lines) in zip(places, panels.items(), strict=False):
        for line, colour, style in zip(lines, (BEFORE, AFTER), ("o--", "D-"), strict=False):
            panel.plot(*zip(*lines[line], strict=True), style, color=colour, linewidth=1.6, markersize=4, label=line)
        panel.set_title(name)
        panel.set_xlabel(axis)
        panel.set_ylim(0, 1.02)
        panel.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        _quiet(panel)
    places[0].legend(loc="best", frameon=False, labelcolor=INK)
    for panel in places[len(panels) :]:
        panel.set_visible(False)
    return _svg(figure)


def bars(
    rows: Sequence[tuple[str, str, float, tuple[float, float]]], names: Sequence[str] = ("before", "after")
) -> str:
    """Accuracies with intervals: (label, before | after, share, interval); one line a row. `names` is what the two are called.

    >>> bars([("world, greedy", "before", 0.4, (0.3, 0.5))]).startswith("<svg")
    True
    """
    labels = list(dict.fromkeys(label for label, *_ in rows))
    figure = Figure(figsize=(9, 0.6 + 0.42 * len(labels)), layout="constrained")
    axes = figure.subplots()
    told = dict(zip(("before", "after"), names, strict=False))
    for label, when, share, (low, high) in rows:
        place = -labels.index(label) + (0.13 if when == "before" else -0.13)
        colour, marker = (BEFORE, "o") if when == "before" else (AFTER, "D")
        axes.plot([low, high], [place, place], color=colour, linewidth=2)
        axes.plot([share], [place], marker, color=colour, label=told[when] if label == labels[0] else None)
    axes.set_yticks([-i for i in range(len(labels))], labels)
    axes.set_xlim(0, 1)
    axes.set_xlabel("accuracy, 95 % interval (Wilson)")
    axes.legend(loc="best", frameon=False, labelcolor=INK)
    _quiet(axes)
    return _svg(figure)


def funnel(left: Sequence[tuple[str, int]]) -> str:
    """How many are left after each check: (label, count), one bar a row, all of them first. Empty where there is nothing.

    >>> funnel([("all", 40), ("every step judged good", 12)]).startswith("<svg")
    True
    """
    if not left:
        return ""
    figure = Figure(figsize=(9, 0.5 + 0.3 * len(left)), layout="constrained")
    axes = figure.subplots()
    most = max(1, *(count for _, count in left))
    for place, (_, count) in enumerate(left):
        axes.barh(-place, count, height=0.6, color=AFTER if place else INK, alpha=0.8)
        axes.annotate(f"{count:,}", (count, -place), xytext=(5, -3), textcoords="offset points", color=INK)
    axes.set_yticks([-place for place in range(len(left))], [label for label, _ in left])
    axes.set_xlim(0, 1.12 * most)
    axes.set_xlabel("trajectories left")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    _quiet(axes)
    return _svg(figure)


def lines(series: Mapping[str, Sequence[Point]], across: str, up: str, *, doubling: bool = False) -> str:
    """One line a name through its points, with intervals where they are known; `doubling` spaces equal ratios equally.

    >>> lines({"world": [Point(100, 0.4, (0.3, 0.5)), Point(1000, 0.6, (0.5, 0.7))]}, "trajectories", "accuracy").startswith("<svg")
    True
    """
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, (colour, marker) in zip(series, cycle(_KINDS), strict=False):
        points = series[name]
        axes.plot(
            [p.x for p in points], [p.y for p in points], marker, color=colour, label=name, linewidth=1.6, markersize=5
        )
        known = [p for p in points if p.interval]
        axes.vlines(
            [p.x for p in known],
            [p.interval[0] for p in known if p.interval],
            [p.interval[1] for p in known if p.interval],
            color=colour,
        )
    places = sorted({p.x for points in series.values() for p in points})
    if doubling:
        axes.set_xscale("log", base=2)
        axes.minorticks_off()
    axes.set_xticks(places, [f"{place:,.0f}" for place in places])
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.yaxis.label.set_color(INK)
    axes.legend(loc="best", frameon=False, labelcolor=INK)
    _quiet(axes)
    return _svg(figure)


def reliability(bins: Sequence[tuple[float, float, tuple[float, float], int]]) -> str:
    """What a judge's scores are worth: (mean score, share that is good, interval, n) of each bin, beside the line on which the two are
    equal. Empty where there is nothing.

    >>> reliability([(0.1, 0.2, (0.1, 0.4), 30), (0.9, 0.7, (0.5, 0.8), 40)]).startswith("<svg")
    True
    """
    if not bins:
        return ""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], ":", color=INK, linewidth=1.2)
    axes.vlines(
        [score for score, *_ in bins], *zip(*[ci for _, _, ci, _ in bins], strict=True), color=AFTER, linewidth=2
    )
    axes.plot([score for score, *_ in bins], [share for _, share, _, _ in bins], "D", color=AFTER)
    for score, share, _, n in bins:
        side, align = (9, "left") if score < 0.5 else (-9, "right")
        axes.annotate(f"n = {n}", (score, share), xytext=(side, -3), textcoords="offset points", ha=align, color=INK)
    axes.set_xlim(-0.04, 1.04)
    axes.set_ylim(-0.04, 1.04)
    axes.set_xlabel("mean score of the judge")
    axes.set_ylabel("share that is good [95 %]")
    axes.yaxis.label.set_color(INK)
    _quiet(axes)
    return _svg(figure)


def heat_map(rows: Sequence[str], columns: Sequence[str], cells: Mapping[tuple[str, str], tuple[float, str]]) -> str:
    """A share and a caption for each (row, column) that is there: the darker, the higher. Captions are as small as their cells need.

    >>> heat_map(["base"], ["world"], {("base", "world"): (0.4, "0.40")}).startswith("<svg")
    True
    """
    figure = Figure(figsize=(9, 0.7 + 0.65 * len(rows)), layout="constrained")
    axes = figure.subplots()
    longest = max(len(line) for _, caption in cells.values() for line in caption.splitlines())
    size = min(9.0, 800 / (len(columns) * longest))
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    for (row, column), (share, caption) in cells.items():
        place = (columns.index(column), rows.index(row))
        axes.add_patch(Rectangle((place[0] - 0.48, place[1] - 0.46), 0.96, 0.92, color=_SHADES(share)))
        ink = "white" if share > 0.6 else "black"
        axes.text(*place, caption, ha="center", va="center", color=ink, fontsize=size)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    _quiet(axes)
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    return _svg(figure)


def _smooth(values: Sequence[float], window: int = 9) -> list[float]:
    """Mean of each value and those around it."""
    half = window // 2
    parts = [values[max(0, i - half) : i + half + 1] for i in range(len(values))]
    return [sum(part) / len(part) for part in parts]


def _quiet(axes: Axes) -> None:
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK)
    axes.title.set_color(INK)
    axes.xaxis.label.set_color(INK)
    axes.grid(alpha=0.15, color=INK)


def _svg(figure: Figure) -> str:
    figure.patch.set_alpha(0)
    out = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(out, format="svg", metadata={"Date": None})
    svg = out.getvalue()
    return re.sub(r'width="[^"]+" height="[^"]+"', 'width="100%"', svg[svg.index("<svg") :], count=1)
