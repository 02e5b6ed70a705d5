"""What a page or a plot holds, read as a browser reads it: for tests that look at its elements, not at its text."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import NamedTuple


class Element(NamedTuple):
    """An element as it begins."""

    tag: str
    attributes: dict[str, str]
    inside: tuple[str, ...]
    """The elements around it, the outermost first."""


class _Reader(HTMLParser):
    VOID = ("meta", "link", "img", "br", "hr", "input")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Element] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(Element(tag, {name: value or "" for name, value in attrs}, tuple(self.open)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1:] == [tag], f"</{tag}> ends {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.append((self.open[-1], data))


def _read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open, "all that begins ends"
    return reader


def elements(page: str) -> list[Element]:
    """Every element, in order; fails where one is not ended, or ends another."""
    return _read(page).found


def texts(page: str, tag: str) -> list[str]:
    """The texts that stand directly in elements of a kind."""
    return [text for name, text in _read(page).texts if name == tag]


def broken_promises(page: str) -> Iterator[str]:
    """What a page may not have if its policy is to hold and its parts are to be told apart."""
    found = elements(page)
    ids = [each.attributes["id"] for each in found if "id" in each.attributes]
    yield from (f"{name} is an id twice" for name in sorted({name for name in ids if ids.count(name) > 1}))
    for each in found:
        if each.tag in ("script", "iframe", "object", "embed", "link", "base", "form", "img"):
            yield f"<{each.tag}>"
        if each.tag == "style" and each.inside != ("html", "head"):
            yield "a style element beside the page's own"
        yield from (f"{name} of <{each.tag}>" for name in each.attributes if name == "style" or name.startswith("on"))
        for name in ("aria-labelledby", "aria-describedby"):
            yield from (f"{name} without {id}" for id in each.attributes.get(name, "").split() if id not in ids)
        if each.attributes.get("href", "#").removeprefix("#") not in ["", *ids]:
            yield f"href {each.attributes['href']}"
