"""What plots are drawn with: matplotlib, loaded without its remarks, and the colours that all plots share."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


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
    from matplotlib import colormaps, rc_context
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import MaxNLocator

INK = "#010203"
"""Stands for the colour of the text around a plot; no other colour is spelt so."""
ALONE = "#767676"
"""What ink is in a file of its own, where nothing is around it: legible on white and on black."""
BEFORE, AFTER = "#b07a2a", "#2a7ab0"
KINDS = (("#2a7ab0", "-o"), ("#b07a2a", "--D"), ("#7a5aa8", "-.s"), ("#3f8f6b", ":^"), ("#a8455f", "-v"))
"""Colours that differ for all eyes, on light and dark, and lines and marks that differ without colour."""
SHADES = colormaps["Blues"]

__all__ = [
    "AFTER", "ALONE", "BEFORE", "INK", "KINDS", "SHADES", "Axes", "Figure", "MaxNLocator", "Rectangle", "rc_context",
]  # fmt: skip
