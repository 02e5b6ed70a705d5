"""A view of a run: what the template shows, what `?format=json` serves, and how one loads the same in Python."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from swirl.viewer.shelf import Opened

Asked = Mapping[str, str]
"""What the address asks for: its query, and the places in its path."""


class NotThere(Exception):
    """What the address names is not in the run; the message says what is."""


class Page(NamedTuple):
    """One view."""

    title: str
    """What the browser calls it, before the run's name."""
    data: Mapping[str, Any]
    """All that it shows, of plain values, so that it can be served as JSON too; in the template it is `data`."""
    python: str
    """Lines of Python that load the same from the run folder."""
    plots: Mapping[str, str] = {}
    """Inline SVG by name, made by `swirl.plots` of numbers and our own words."""


View = Callable[["Opened", Asked], Page]
"""Makes a page of a run. Raises `NotThere`, or `ConfigError` where the address asks for nonsense."""
