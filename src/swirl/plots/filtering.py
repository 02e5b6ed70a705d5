"""What a filter left: check by check, as a stream that grows narrower, and how many each rule keeps."""

from collections.abc import Sequence

from swirl.plots.canvas import AFTER, INK, Axes, Figure, MaxNLocator
from swirl.plots.svg import Sketch, drawn, one_line, some_of

_HEIGHT = 0.3
"""Half the height of a bar; between two bars the stream flows."""


@drawn
def flow(left: Sequence[tuple[str, int]]) -> Sketch | None:
    """How trajectories fall, check by check: (label, how many are left), all of them first. A stream as wide as there are trajectories runs
    down; what falls at a check is hatched, beside what stays. Empty where there is nothing.

    >>> flow([("all", 40), ("every step judged good", 12)]).startswith("<svg")
    True
    """
    if not left:
        return None
    most = max(1, *(count for _, count in left))
    figure = Figure(figsize=(9, 0.55 + 0.48 * len(left)), layout="constrained")
    axes = figure.subplots()
    before = left[0][1]
    for place, (_, count) in enumerate(left):
        if place:
            _stream(axes, place, before, count)
        axes.barh(-place, count, height=2 * _HEIGHT, color=AFTER if place else INK, alpha=0.85 if place else 0.55)
        told = (
            f"{count:,}" if not place else f"{count:,} left" + (f", {before - count:,} fell" if before > count else "")
        )
        axes.annotate(told, (max(before, count), -place), xytext=(6, -3), textcoords="offset points", color=INK)
        before = count
    axes.set_yticks([-place for place in range(len(left))], [one_line(label) for label, _ in left])
    axes.set_xlim(0, 1.35 * most)
    _bare(axes, most)
    about = ", ".join(f"{label}: {count:,}" for label, count in left)
    share = f"{left[-1][1]:,} of {left[0][1]:,} trajectories are kept ({left[-1][1] / most:.1%})"
    return Sketch(figure, "What the filter left, check by check", f"{share}. Left after each check: {about}.")


def _stream(axes: Axes, place: int, before: int, count: int) -> None:
    """From the bar above to this one, and beside this one what fell."""
    axes.fill_betweenx(
        [-place + 1 - _HEIGHT, -place + _HEIGHT], 0, [before, before], color=AFTER, alpha=0.22, linewidth=0
    )
    if before > count:
        axes.barh(
            -place, before - count, left=count, height=2 * _HEIGHT, facecolor="none", edgecolor=INK, alpha=0.45,
            hatch="////", linewidth=0.6,
        )  # fmt: skip


@drawn
def kept(rules: Sequence[tuple[str, int]], total: int, own: str) -> Sketch | None:
    """How many of all trajectories each rule keeps: (rule, count); the run's own is strong. Empty where there is nothing.

    >>> kept([("none", 40), ("process", 12), ("outcome", 20)], 40, "process").startswith("<svg")
    True
    """
    if not rules:
        return None
    figure = Figure(figsize=(9, 0.55 + 0.34 * len(rules)), layout="constrained")
    axes = figure.subplots()
    for place, (rule, count) in enumerate(rules):
        share = f" ({count / total:.1%})" if total else ""
        mine = rule == own
        axes.barh(-place, count, height=0.6, color=AFTER, alpha=0.9 if mine else 0.25)
        axes.barh(-place, count, height=0.6, facecolor="none", edgecolor=AFTER, linewidth=1)
        told = f"{count:,}{share}{', the rule of this run' if mine else ''}"
        axes.annotate(told, (count, -place), xytext=(6, -3), textcoords="offset points", color=INK)
    axes.set_yticks([-place for place in range(len(rules))], [one_line(rule) for rule, _ in rules])
    axes.set_xlim(0, 1.35 * max(1, total))
    _bare(axes, total)
    each = [f"{rule}: {count:,}" for rule, count in rules]
    return Sketch(
        figure, f"How many of {total:,} trajectories each rule keeps", f"{some_of(each)} The run's own is {own}."
    )


def _bare(axes: Axes, most: int) -> None:
    places = [int(place) for place in MaxNLocator(nbins=5, integer=True).tick_values(0, most) if 0 <= place <= most]
    axes.set_xticks(places, [f"{place:,}" for place in places])
    axes.set_xlabel("trajectories")
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
