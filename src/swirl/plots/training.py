"""Learning curves: what each update measured, faint, and its running mean, strong; with its interval where it is known of how many."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from swirl.plots.canvas import AFTER, INK, Axes, Figure, MaxNLocator
from swirl.plots.svg import Sketch, drawn, one_line, some_of
from swirl.statistics import wilson

_MOST = 160
"""Places of a curve; where there are more updates, each is the mean of several."""


class _Place(NamedTuple):
    update: float
    value: float
    weight: int


@drawn
def curves(
    series: Mapping[str, Sequence[float | None]],
    counts: Mapping[str, Sequence[int]] | None = None,
) -> Sketch | None:
    """Small multiples, one curve a panel over the updates: points faint, their running mean strong. `counts` says of how many 0s and 1s
    each value of a curve is the mean: around its running mean is then a band, Wilson's interval of 95 %, as if they were independent.
    Empty where there is nothing.

    >>> curves({"reward": [0.1, 0.4, 0.5]}, {"reward": [64, 64, 64]}).startswith("<svg")
    True
    """
    found = {name: _places(values, (counts or {}).get(name)) for name, values in series.items()}
    shown = {name: places for name, places in found.items() if places}
    if not shown:
        return None
    rows = (len(shown) + 2) // 3
    figure = Figure(figsize=(9, 2.1 * rows), layout="constrained")
    panels = figure.subplots(rows, 3, squeeze=False).flatten()
    about = []
    for panel, (name, places) in zip(panels, shown.items(), strict=False):
        first, last = _panel(panel, places, name in (counts or {}))
        panel.set_title(one_line(name, 44))
        about.append(f"{name}: {first:.3g} at first, {last:.3g} at last")
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    updates = max(len(series[name]) for name in shown)
    return Sketch(figure, f"Learning curves over {updates} updates", some_of(about))


def _panel(panel: Axes, places: Sequence[_Place], banded: bool) -> tuple[float, float]:
    """Draw one curve; the ends of its running mean."""
    across, smooth = [place.update for place in places], _smooth(places)
    if banded:
        intervals = [wilson(min(max(mean, 0.0), 1.0) * count, count) for mean, count in smooth]
        panel.fill_between(
            across, [i.low for i in intervals], [i.high for i in intervals], color=AFTER, alpha=0.2, linewidth=0
        )
    panel.plot(across, [place.value for place in places], ".", color=AFTER, alpha=0.5, markersize=4)
    panel.plot(across, [mean for mean, _ in smooth], color=AFTER, linewidth=1.6)
    last = smooth[-1][0]
    panel.annotate(f"{last:.3g}", (across[-1], last), xytext=(4, -3), textcoords="offset points", color=INK, fontsize=8)
    panel.set_xlabel("update")
    panel.margins(x=0.08)
    panel.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    panel.yaxis.set_major_locator(MaxNLocator(nbins=4))
    if not any(place.value for place in places):
        panel.set_ylim(-0.04, 1)
    return smooth[0][0], last


def _places(values: Sequence[float | None], counts: Sequence[int] | None) -> list[_Place]:
    """Where a curve goes through: each update, or the means of so many on end that few enough are left."""
    told = [
        _Place(update, value, count)
        for update, (value, count) in enumerate(zip(values, counts or [1] * len(values), strict=True), start=1)
        if value is not None and count > 0
    ]
    width = -(-len(told) // _MOST) or 1
    parts = [told[start : start + width] for start in range(0, len(told), width)]
    return [_Place(part[len(part) // 2].update, *_mean(part)) for part in parts]


def _smooth(places: Sequence[_Place], window: int = 9) -> list[tuple[float, int]]:
    """Mean of each place and those around it, and of how many."""
    half = window // 2
    return [_mean(places[max(0, i - half) : i + half + 1]) for i in range(len(places))]


def _mean(places: Sequence[_Place]) -> tuple[float, int]:
    count = sum(place.weight for place in places)
    return sum(place.value * place.weight for place in places) / count, count
