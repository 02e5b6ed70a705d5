"""What a judge's scores are worth, where the truth is known."""

from collections.abc import Sequence

from swirl.plots.canvas import AFTER, INK, Figure
from swirl.plots.svg import Sketch, drawn, some_of


@drawn
def reliability(bins: Sequence[tuple[float, float, tuple[float, float], int]]) -> Sketch | None:
    """What a judge's scores are worth: (mean score, share that is good, interval, n) of each bin, beside the line on which the two are
    equal. Empty where there is nothing.

    >>> reliability([(0.1, 0.2, (0.1, 0.4), 30), (0.9, 0.7, (0.5, 0.8), 40)]).startswith("<svg")
    True
    """
    if not bins:
        return None
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], ":", color=INK, linewidth=1.2)
    axes.annotate("score = share that is good", (0.5, 0.5), xytext=(6, -12), textcoords="offset points", fontsize=8)
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
    about = [
        f"of {n} steps scored {score:.2f}, {share:.0%} are good [{low:.0%}, {high:.0%}]"
        for score, share, (low, high), n in bins
    ]
    return Sketch(figure, "Reliability of the judge's scores", some_of(about))
