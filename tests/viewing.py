"""The viewer without a browser: its application over some run folders, asked in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

from starlette.testclient import TestClient

from swirl.viewer.access import TOKEN
from swirl.viewer.app import create_app
from swirl.viewer.shelf import Opened, Shelf

_EMPTY = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Viewing:
    """The application, and the runs that it shows. Nothing follows them by itself: `follow` does."""

    def __init__(self, client: TestClient, shelf: Shelf) -> None:
        self.client = client
        self.runs = shelf.runs

    @property
    def run(self) -> Opened:
        """The first run."""
        return next(iter(self.runs.values()))

    def follow(self) -> None:
        """Read all that is new."""
        for run in self.runs.values():
            while run.index.refresh() or run.follow():
                pass

    def page(self, address: str, status: int = 200, **query: object) -> str:
        """The text of a page; `address` after the first run's own, or whole."""
        path = address if address.startswith("/runs/") or address == "/" else f"/runs/{self.run.slug}{address}"
        answer = self.client.get(path, params={name: str(value) for name, value in query.items()} or None)
        assert answer.status_code == status, answer.text
        return answer.text

    def data(self, address: str, **query: object) -> dict[str, object]:
        """The same view as JSON."""
        path = f"/runs/{self.run.slug}{address}"
        answer = self.client.get(path, params={"format": "json", **{name: str(value) for name, value in query.items()}})
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        return found


@contextmanager
def viewing(scratch: Path, *folders: Path) -> Iterator[Viewing]:
    """The viewer over run folders; what it keeps goes into `scratch`."""
    scratch.mkdir(exist_ok=True)
    shelf = Shelf(folders, scratch)
    try:
        with TestClient(create_app(shelf, "token"), base_url="http://127.0.0.1") as client:
            client.get("/", params={TOKEN: "token"}, follow_redirects=False)
            seen = Viewing(client, shelf)
            seen.follow()
            yield seen
    finally:
        for run in shelf.runs.values():
            run.close()


class Parsed(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.headings: list[int] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Every element with its attributes; a heading's level too."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag[0] == "h" and tag[1:].isdigit():
            self.headings.append(int(tag[1:]))
        if tag not in _EMPTY and not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One that ends where it begins, as a plot's paths do."""
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """Elements end in order."""
        if tag not in _EMPTY and self.open:
            assert self.open.pop() == tag, f"</{tag}> out of order"

    def handle_data(self, data: str) -> None:
        """The text, without its elements."""
        self.text += data

    def links(self) -> list[str]:
        """Where links lead."""
        return [attributes["href"] for tag, attributes in self.elements if tag == "a" and "href" in attributes]


def assert_sound(text: str) -> Parsed:
    """A page that runs nothing, is in order, and can be read without seeing it; parsed."""
    page = Parsed(text)
    for tag, attributes in page.elements:
        assert "style" not in attributes, f"<{tag}> has a style attribute"
        assert not [name for name in attributes if name.startswith("on")], f"<{tag}> runs a script"
        assert tag not in ("style", "iframe", "object", "embed", "img"), f"<{tag}> on a page"
        if tag == "script":
            assert attributes["src"].startswith("/static/")
        for name in ("href", "action", "src"):
            assert attributes.get(name, "/")[:1] in ("/", "#", "?", ""), f"<{tag}> leads to {attributes[name]}"
    assert page.headings.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in zip(page.headings, page.headings[1:], strict=False))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids)), "an id twice"
    tables = [tag for tag, _ in page.elements if tag == "table"]
    assert len([tag for tag, _ in page.elements if tag == "caption"]) == len(tables), "a table without a caption"
    return page
