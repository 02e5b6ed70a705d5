"""Plots as inline SVG, legible on light and dark pages, in print, and without telling colours apart: the one plotting choice of reports,
viewer and README. Each function takes numbers and labels and gives a text that begins with `<svg`, or none where there is nothing to see.

Labels may be anything: they are escaped, and cut to their place.
"""

from swirl.plots.accuracy import bars, growth
from swirl.plots.comparing import Point, heat_map, lines
from swirl.plots.filtering import flow, kept
from swirl.plots.judging import reliability
from swirl.plots.steps import by_step, distribution
from swirl.plots.svg import alone
from swirl.plots.training import curves

__all__ = [
    "Point",
    "alone",
    "bars",
    "by_step",
    "curves",
    "distribution",
    "flow",
    "growth",
    "heat_map",
    "kept",
    "lines",
    "reliability",
]
