"""A view of a run: what the template shows, what `?format=json` serves, and how one loads the same in Python."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from swirl.errors import ConfigError

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


def page_of(asked: Asked) -> int:
    """Which page of a list an address asks for, from 1; raises `ConfigError` where it is none.

    >>> page_of({}), page_of({"page": "3"})
    (1, 3)
    """
    given = asked.get("page", "") or "1"
    if not (given.isascii() and given.isdecimal() and len(given) < 10 and int(given)):
        raise ConfigError(f"page: expected a number from 1 on, found {given!r:.40}; follow a link, or leave it out")
    return int(given)


def paged(asked: Asked, total: int, size: int) -> tuple[int, int]:
    """The same, at most the last page, and how many pages there are.

    >>> paged({"page": "3"}, 120, 50), paged({}, 0, 50), paged({"page": "9"}, 120, 50)
    ((3, 3), (1, 1), (3, 3))
    """
    pages = max(1, -(-total // size))
    return min(page_of(asked), pages), pages
