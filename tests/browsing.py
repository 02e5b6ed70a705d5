"""A real browser (Debian's chromium, driven by Playwright) that looks at the viewer. Nothing is installed: without one, tests skip."""

import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from swirl.viewer.access import TOKEN
from swirl.viewer.app import create_app
from swirl.viewer.shelf import Shelf

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on the PATH; on Debian and Ubuntu: apt install chromium"
)
SECRET = "a-token-for-tests"


@contextmanager
def viewer(*folders: Path) -> Iterator[str]:
    """The address of a viewer that is at work, without the token and a stroke at its end."""
    with tempfile.TemporaryDirectory() as scratch, Shelf(folders, Path(scratch)) as shelf:
        listening = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            create_app(shelf, SECRET), log_level="warning", access_log=False, ws="none", lifespan="off"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            listening.close()


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Window:
    """A page of the browser, and whatever happened in it that should not."""

    def __init__(self, browser: Any, address: str = "", **how: Any) -> None:
        self.context = browser.new_context(**how)
        self.page = self.context.new_page()
        self.home = address
        self.wrong: list[str] = []
        self.page.set_default_timeout(15_000)
        self.page.on("dialog", self._dialog)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("console", self._console)
        self.page.on("request", self._request)

    def _dialog(self, dialog: Any) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console: {message.text}")

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.home or "file:", "blob:", "data:")):
            self.wrong.append(f"request: {request.url}")

    def open(self, path: str = "/") -> Any:
        """Go to an address of the viewer, with the token."""
        self.page.goto(f"{self.home}{path}{'&' if '?' in path else '?'}{TOKEN}={SECRET}")
        return self.page


@contextmanager
def window(browser: Any, address: str = "", **how: Any) -> Iterator[Window]:
    """A page of its own; in the end nothing may have happened in it that should not."""
    found = Window(browser, address, **how)
    try:
        yield found
    finally:
        found.context.close()
    assert found.wrong == []


def until(page: Any, expression: str, seconds: int = 30) -> None:
    """Wait until an expression of JavaScript holds; the browser's own way of waiting would need `eval`, which a page may not."""
    from playwright.sync_api import Error

    for _ in range(seconds * 10):
        try:
            if page.evaluate(expression):
                return
        except Error as error:
            if "context was destroyed" not in str(error):  # it goes to another page meanwhile
                raise
        page.wait_for_timeout(100)
    raise AssertionError(f"expected within {seconds} s: {expression}")


def violations(page: Any, impacts: Sequence[str] = ("serious", "critical")) -> list[str]:
    """What axe-core finds wrong with a page."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']} ({each['impact']}): {each['help']}: {node['html'][:200]}"
        for each in found
        for node in each["nodes"]
        if each["impact"] in impacts
    ]
