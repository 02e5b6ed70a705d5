"""What was made of a file is made again only when the file has changed; of a plot, only when what it shows has."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar, cast

T = TypeVar("T")
_MOST = 256


class Kept:
    """The newest of what was made, by what it was made of; several threads may ask at once.

    >>> kept = Kept(most=1)
    >>> kept.get("a", 1, lambda: "made"), kept.get("a", 1, lambda: "made again"), kept.get("a", 2, lambda: "made of another")
    ('made', 'made', 'made of another')
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._made: OrderedDict[Hashable, tuple[Hashable, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: Hashable, stamp: Hashable, make: Callable[[], T]) -> T:
        """What goes by a name, made anew where its stamp is another. What `make` raises is kept by nobody."""
        with self._lock:
            known = self._made.get(name)
            if known is not None and known[0] == stamp:
                self._made.move_to_end(name)
                return cast("T", known[1])
        made = make()
        with self._lock:
            self._made[name] = (stamp, made)
            self._made.move_to_end(name)
            while len(self._made) > self._most:
                self._made.popitem(last=False)
        return made


_FILES, _PLOTS, _DRAWN = Kept(), Kept(most=64), Kept(most=1)
_DRAWING = threading.Lock()
"""One plot is drawn at a time: matplotlib is not made for several threads."""


def of_file(path: Path, make: Callable[[Path], T], what: str = "") -> T:
    """What `make` makes of a file, once for each state of the file. Where one function makes different things, `what` tells them apart.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "a.txt")
    >>> _ = path.write_text("one")
    >>> of_file(path, Path.read_text)
    'one'
    """
    return _FILES.get((make.__module__, make.__qualname__, what, path), stamp(path), lambda: make(path))


def drawn(plot: Callable[..., str], *shown: Any, **more: Any) -> str:
    """A plot of `swirl.plots`, drawn once for what it shows.

    >>> drawn(lambda numbers: f"<svg>{numbers}</svg>", [1, 2])
    '<svg>[1, 2]</svg>'
    """
    name = (plot.__module__, plot.__qualname__, repr((shown, more)))

    def draw() -> str:
        with _DRAWING:
            return _DRAWN.get(name, None, lambda: plot(*shown, **more))  # another thread may have drawn it meanwhile

    return _PLOTS.get(name, None, draw)


def drawn_of(path: Path, draw: Callable[[Path], T]) -> T:
    """The plots of what a file holds, drawn once for each state of it.

    >>> drawn_of(Path("no/such/file"), lambda path: f"<svg>{path}</svg>")
    '<svg>no/such/file</svg>'
    """

    def alone(path: Path) -> T:
        with _DRAWING:
            return draw(path)

    return of_file(path, alone, f"{draw.__module__}.{draw.__qualname__}")


def stamp(path: Path) -> tuple[int, int, int]:
    """Tells a file from what it was earlier; zeros where there is none.

    >>> stamp(Path("no/such/file"))
    (0, 0, 0)
    """
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)
