"""Step by step: how many steps trajectories have, and what each step earned."""

from collections.abc import Mapping, Sequence

from swirl.plots.canvas import AFTER, INK, Figure, MaxNLocator
from swirl.plots.svg import Sketch, drawn, one_line, some_of

_MOST = 20
"""Bars, or points; what is beyond is one more bar."""


@drawn
def distribution(counts: Mapping[int, int], of: str = "steps", what: str = "trajectories") -> Sketch | None:
    """How often each whole number came: a bar each, those beyond the twentieth as one. Empty where there is nothing.

    >>> distribution({1: 4, 2: 9, 5: 1}).startswith("<svg")
    True
    """
    total = sum(counts.values())
    if not total:
        return None
    first, last = min(counts), max(counts)
    numbers = list(range(first, min(last, first + _MOST) + 1))
    heights = [counts.get(number, 0) for number in numbers]
    names = [str(number) for number in numbers]
    if last > numbers[-1]:
        heights[-1] += sum(count for number, count in counts.items() if number > numbers[-1])
        names[-1] += "+"
    figure = Figure(figsize=(9, 2.5), layout="constrained")
    axes = figure.subplots()
    axes.bar(names, heights, width=0.7, color=AFTER, alpha=0.85)
    for place, height in enumerate(heights):
        axes.annotate(
            f"{height:,}", (place, height), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=8
        )
    axes.set_xlim(-0.6, max(len(names), 8) - 0.4)
    axes.set_ylim(0, 1.15 * max(heights))
    axes.set_xlabel(one_line(of))
    axes.set_ylabel(one_line(what, 20))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(visible=False, axis="x")
    mean = sum(number * count for number, count in counts.items()) / total
    each = [f"{name}: {height:,}" for name, height in zip(names, heights, strict=True)]
    return Sketch(figure, f"How many {of} {total:,} {what} have", f"{mean:.2f} on average. {some_of(each)}")


@drawn
def by_step(points: Sequence[tuple[int, float, tuple[float, float], int]], up: str = "mean score") -> Sketch | None:
    """What each step earned: (step, from 1; mean; interval; n). Empty where there is nothing.

    >>> by_step([(1, 0.8, (0.7, 0.9), 40), (2, 0.6, (0.4, 0.7), 31)]).startswith("<svg")
    True
    """
    if not points:
        return None
    shown = points[:_MOST]
    steps = [step for step, *_ in shown]
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, [mean for _, mean, _, _ in shown], "-D", color=AFTER, linewidth=1.2, markersize=5)
    axes.vlines(steps, *zip(*[interval for _, _, interval, _ in shown], strict=True), color=AFTER, linewidth=2)
    for step, mean, _, _ in shown:
        axes.annotate(f"{mean:.2f}", (step, mean), xytext=(6, 5), textcoords="offset points", color=INK, fontsize=8)
    axes.set_xticks(steps, [f"{step}\nn = {n:,}" if len(shown) <= 12 else f"{step}" for step, _, _, n in shown])
    axes.set_xlim(0.5, max(*steps, 8) + 0.5)
    axes.set_ylim(-0.03, 1.05)
    axes.set_xlabel("step")
    axes.set_ylabel(f"{one_line(up, 20)} [95 %]")
    axes.grid(visible=False, axis="x")
    each = [f"step {step}: {mean:.3f} [{low:.3f}, {high:.3f}], n = {n:,}" for step, mean, (low, high), n in points]
    return Sketch(figure, f"{up[:1].upper()}{up[1:]} by step", some_of(each))
