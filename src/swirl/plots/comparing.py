"""Several trainings beside each other: lines over a number that tells them apart, and a matrix of what was trained on and evaluated on."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import NamedTuple

from swirl.plots.canvas import KINDS, SHADES, Figure, Rectangle
from swirl.plots.svg import Sketch, drawn, one_line, some_of


class Point(NamedTuple):
    """Where a line goes through."""

    x: float
    y: float
    interval: tuple[float, float] | None = None


@drawn
def lines(series: Mapping[str, Sequence[Point]], across: str, up: str, *, doubling: bool = False) -> Sketch:
    """One line a name through its points, with intervals where they are known; `doubling` spaces equal ratios equally.

    >>> lines({"world": [Point(100, 0.4, (0.3, 0.5)), Point(1000, 0.6, (0.5, 0.7))]}, "trajectories", "accuracy").startswith("<svg")
    True
    """
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, (colour, marker) in zip(series, cycle(KINDS), strict=False):
        points = series[name]
        across_N, up_N = [p.x for p in points], [p.y for p in points]
        axes.plot(across_N, up_N, marker, color=colour, label=one_line(name), linewidth=1.6, markersize=5)
        known = [(p.x, *p.interval) for p in points if p.interval]
        if known:
            axes.vlines(*zip(*known, strict=True), color=colour)
    places = sorted({p.x for points in series.values() for p in points})
    if doubling:
        axes.set_xscale("log", base=2)
        axes.minorticks_off()
    told = apart([math.log2(place) if doubling else float(place) for place in places])
    axes.set_xticks(places, [f"{place:,.0f}" if shown else "" for place, shown in zip(places, told, strict=True)])
    axes.set_xlabel(one_line(across))
    axes.set_ylabel(up)
    if len(series) > 1:
        axes.legend(loc="best")
    about = [f"{name}, {across} {point.x:,.0f}: {point.y:.3f}" for name, points in series.items() for point in points]
    return Sketch(figure, f"{up[:1].upper()}{up[1:]} over {across}", some_of(about))


def apart(places: Sequence[float], least: float = 0.07) -> list[bool]:
    """Which places along an axis, in order, have room for a number: those at least a share of its whole length after the last that has.

    >>> apart([0.0, 2.0, 50.0, 100.0])
    [True, False, True, True]
    """
    found: list[bool] = []
    last = -math.inf
    for place in places:
        found.append(place - last >= least * (places[-1] - places[0]))
        last = place if found[-1] else last
    return found


@drawn
def heat_map(rows: Sequence[str], columns: Sequence[str], cells: Mapping[tuple[str, str], tuple[float, str]]) -> Sketch:
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
        axes.add_patch(Rectangle((place[0] - 0.48, place[1] - 0.46), 0.96, 0.92, color=SHADES(share)))
        axes.text(*place, caption, ha="center", va="center", color=ink_on(SHADES(share)), fontsize=size)
    axes.set_xticks(range(len(columns)), [one_line(column, 24) for column in columns])
    axes.set_yticks(range(len(rows)), [one_line(row, 24) for row in rows])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    about = [f"{row} on {column}: {' '.join(caption.split())}" for (row, column), (_, caption) in cells.items()]
    return Sketch(figure, "Accuracy by what was trained on and what was evaluated", some_of(about))


def ink_on(shade: Sequence[float]) -> str:
    """Black or white, whichever can be read better on a colour (red, green, blue from 0 to 1).

    >>> ink_on((1.0, 1.0, 0.8)), ink_on((0.0, 0.1, 0.4))
    ('black', 'white')
    """
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shade[:3])
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "black" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "white"
