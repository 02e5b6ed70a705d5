"""How often policies were right: shares with their intervals side by side, and shares that grow with a count."""

from collections.abc import Mapping, Sequence

from swirl.plots.canvas import AFTER, BEFORE, INK, Figure, MaxNLocator
from swirl.plots.svg import Sketch, drawn, one_line, some_of

Row = tuple[str, str, float, tuple[float, float]]


@drawn
def bars(rows: Sequence[Row], names: Sequence[str] = ("before", "after")) -> Sketch:
    """Accuracies with intervals: (label, before | after, share, interval); one line a row. `names` is what the two are called.

    >>> bars([("world, greedy", "before", 0.4, (0.3, 0.5))]).startswith("<svg")
    True
    """
    labels = list(dict.fromkeys(label for label, *_ in rows))
    figure = Figure(figsize=(9, 0.75 + 0.42 * len(labels)), layout="constrained")
    axes = figure.subplots()
    told = dict(zip(("before", "after"), map(one_line, names), strict=False))
    for label, when, share, (low, high) in rows:
        place = -labels.index(label) + (0.13 if when == "before" else -0.13)
        colour, marker = (BEFORE, "o") if when == "before" else (AFTER, "D")
        axes.plot([low, high], [place, place], color=colour, linewidth=2)
        axes.plot([share], [place], marker, color=colour, label=told[when] if label == labels[0] else None)
    for label in labels:
        shares = (f"{100 * share:.1f}" for own, _, share, _ in rows if own == label)
        axes.annotate(
            f"{' → '.join(shares)} %", (1, -labels.index(label)), xytext=(6, -3), textcoords="offset points", color=INK
        )
    axes.set_yticks([-i for i in range(len(labels))], [one_line(label) for label in labels])
    axes.set_ylim(-len(labels) + 0.5, 0.5)
    axes.set_xlim(0, 1)
    axes.set_xlabel("accuracy, 95 % interval (Wilson)")
    axes.grid(visible=False, axis="y")
    figure.legend(loc="outside upper right", ncols=2)
    about = [f"{label}, {told[when]}: {share:.3f} [{low:.3f}, {high:.3f}]" for label, when, share, (low, high) in rows]
    return Sketch(figure, "Accuracy with 95 % intervals", some_of(about))


@drawn
def growth(panels: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]], axis: str) -> Sketch | None:
    """Shares that grow with a count, a panel each: name of a policy -> (count, share). The first is drawn round and broken, the second with
    diamonds and whole, so that they can be told apart in print. Empty where there is nothing.

    >>> growth({"world": {"before": [(1, 0.2), (2, 0.4)], "after": [(1, 0.3), (2, 0.6)]}}, "after step").startswith("<svg")
    True
    """
    if not panels:
        return None
    rows = (len(panels) + 2) // 3
    figure = Figure(figsize=(9, 2.4 * rows), layout="constrained")
    places = figure.subplots(rows, 3, squeeze=False, sharey=True).flatten()
    about = []
    for panel, (name, lines) in zip(places, panels.items(), strict=False):
        for line, colour, style in zip(lines, (BEFORE, AFTER), ("o--", "D-"), strict=False):
            panel.plot(
                *zip(*lines[line], strict=True), style, color=colour, linewidth=1.6, markersize=4, label=one_line(line)
            )
            (first, low), (last, high) = lines[line][0], lines[line][-1]
            about.append(f"{name}, {line}: {low:.2f} {axis} {first}, {high:.2f} {axis} {last}")
        panel.set_title(one_line(name, 36))
        panel.set_xlabel(one_line(axis))
        panel.set_ylim(0, 1.02)
        panel.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    places[0].legend(loc="best")
    for panel in places[len(panels) :]:
        panel.set_visible(False)
    return Sketch(figure, f"Shares by count: {axis}", some_of(about))
