"""How a plot becomes inline SVG that a page may hold whatever its policy: no style, no script, names of its own.

matplotlib writes styles, a style sheet, and ids that are the same in every plot. Here styles become attributes, ink becomes the colour of
the text around the plot (`currentColor`), what nothing refers to loses its id, and the rest gets one that no other plot on the page has. A
title and a sentence that says the essence stand in it for whoever cannot see it. Needs no display and no network.

Not here: what is drawn (its neighbours).
"""

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from hashlib import sha256
from typing import Any, NamedTuple, ParamSpec
from xml.etree import ElementTree as ET

from swirl.plots.canvas import ALONE, INK, Figure, rc_context

_LOOK = {
    "svg.hashsalt": "swirl",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.15,
    "legend.frameon": False,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), INK
    ),
}
_SVG = "http://www.w3.org/2000/svg"
_FONT = re.compile(r"(?:(?:italic|oblique) )?(?:(bold|\d{3}) )?([\d.]+)px .*")
_UNSPEAKABLE = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
P = ParamSpec("P")


class Sketch(NamedTuple):
    """A plot before it is written."""

    figure: Figure
    title: str
    about: str
    """What it shows, in a sentence with figures."""


def drawn(sketch: Callable[P, Sketch | None]) -> Callable[P, str]:
    """A function that sketches, as one that draws: it gives the SVG, empty where there is nothing to see."""

    @wraps(sketch)
    def draw(*args: P.args, **kwargs: P.kwargs) -> str:
        with rc_context(_LOOK), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the page has other fonts
            found = sketch(*map(_plain, args), **kwargs)
            return "" if found is None else written(found)

    return draw


def alone(svg: str) -> str:
    """The same as a file of its own, as in an `<img>`, which the colour of no text around it reaches."""
    return svg.replace("<svg ", f'<svg color="{ALONE}" font-family="sans-serif" ', 1)


def plain(text: str) -> str:
    """A label without what no XML can hold: control characters, halves of surrogate pairs.

    >>> plain("a task\\x00")
    'a task\ufffd'
    """
    return _UNSPEAKABLE.sub("\ufffd", text)


def some_of(told: Sequence[str], most: int = 16) -> str:
    """Facts as one sentence; of many, the first.

    >>> some_of(["a: 1", "b: 2", "c: 3"], most=2)
    'a: 1; b: 2; and 1 more.'
    """
    more = [f"and {len(told) - most} more"] if len(told) > most else []
    return "; ".join([*told[:most], *more]) + "."


def one_line(label: str, most: int = 48) -> str:
    """A label that stays within its place, whatever it holds.

    >>> one_line("a long\\nname of a task", most=12)
    'a long name…'
    """
    told = " ".join(label.split())
    return told if len(told) <= most else told[: most - 1].rstrip() + "…"


def _plain(value: Any) -> Any:
    """The same value with all texts in it plain."""
    match value:
        case str():
            return plain(value)
        case Mapping():
            return {_plain(key): _plain(each) for key, each in value.items()}
        case tuple() if hasattr(value, "_fields"):
            return type(value)(*map(_plain, value))
        case tuple() | list():
            return type(value)(map(_plain, value))
        case _:
            return value


def written(sketch: Sketch) -> str:
    """The SVG of a sketch."""
    out = io.StringIO()
    sketch.figure.savefig(out, format="svg", metadata={"Date": None})
    drawing = out.getvalue()
    root = ET.fromstring(drawing[drawing.index("<svg") :])
    name = "p" + sha256(f"{sketch.title}\n{sketch.about}\n{drawing}".encode()).hexdigest()[:10]
    _strip(root)
    _name_apart(root, name)
    root.attrib = {
        "xmlns": _SVG,
        "viewBox": root.attrib["viewBox"],
        "width": "100%",
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc",
        "stroke-linejoin": "round",
    }
    for place, (tag, told) in enumerate((("title", sketch.title), ("desc", sketch.about))):
        element = ET.Element(tag, {"id": f"{name}-{tag}"})
        element.text = plain(told)
        root.insert(place, element)
    return ET.tostring(root, "unicode")


def _strip(element: ET.Element) -> None:
    """Take away styles, metadata, namespaces, and space between elements."""
    element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
    element.attrib = dict(_attributes(element.attrib))
    element.tail = None
    if not (element.text or "").strip():
        element.text = None
    for child in list(element):
        _strip(child)
        if child.tag in ("style", "metadata") or (child.tag in ("defs", "g") and not len(child)):
            element.remove(child)


def _attributes(found: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The attributes of an element, with styles among them; ink is the text's colour, places are told to a hundredth."""
    for key, value in found.items():
        if key == "style":
            for declared in value.split(";"):
                name, _, told = (part.strip() for part in declared.partition(":"))
                yield from _declared(name, told)
        elif value.startswith("rotate(-0 "):
            continue
        elif key in ("d", "x", "y", "width", "height", "transform", "points"):
            yield key, re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", value).strip().replace("\n", "")
        else:
            yield key.rpartition("}")[2], value


def _declared(name: str, told: str) -> Iterator[tuple[str, str]]:
    if name == "font" and (found := _FONT.fullmatch(told)):
        yield "font-size", found[2]
        if found[1]:
            yield "font-weight", found[1]
    elif name and name != "font-family":  # that of the page
        yield name, "currentColor" if told == INK else told


def _name_apart(root: ET.Element, name: str) -> None:
    """Give ids that no other plot has to what is referred to, and none to all else."""
    attributes = [element.attrib for element in root.iter()]
    told = {
        mark for each in attributes for value in each.values() for mark in re.findall(r"(?:^|url\()#([\w.-]+)", value)
    }
    named = {each["id"] for each in attributes if "id" in each} & told
    new = {old: f"{name}-{place}" for place, old in enumerate(sorted(named))}
    for each in attributes:
        if each.get("id") in new:
            each["id"] = new[each["id"]]
        else:
            each.pop("id", None)
        for key, value in each.items():
            each[key] = re.sub(r"(^|url\()#([\w.-]+)", lambda mark: f"{mark[1]}#{new.get(mark[2], mark[2])}", value)
