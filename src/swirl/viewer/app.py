"""The application: addresses -> pages. What a user's address gets wrong is one sentence; what goes wrong in us is said in the terminal."""

import hashlib
import json
import math
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from swirl.errors import SwirlError
from swirl.terminal import harmless, say
from swirl.viewer.access import Guard
from swirl.viewer.page import NotThere, Page, View
from swirl.viewer.pages import VIEWS
from swirl.viewer.pages.front import front
from swirl.viewer.shelf import Opened, Shelf

_HERE = Path(__file__).parent
STATIC = {
    "view.js": (_HERE / "static" / "view.js", "text/javascript"),
    "view.css": (_HERE / "static" / "view.css", "text/css"),
    "style.css": (_HERE.parent / "templates" / "style.css", "text/css"),
    "icon.svg": (_HERE / "static" / "icon.svg", "image/svg+xml"),
}
"""All files that are served, by name: nothing else can be asked for."""


def create_app(shelf: Shelf, token: str, host: str = "127.0.0.1") -> ASGIApp:
    """The application over some runs, for whoever has the token. Nothing is answered but through the guard, failures neither."""
    viewer = Viewer(shelf)
    routes = [
        Route("/", viewer.front),
        Route("/static/{name}", _static),
        *(Route(f"/runs/{{slug}}{view.path}", viewer.endpoint(name, view.make)) for name, view in VIEWS.items()),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={HTTPException: viewer.refused}), token, host)


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        raise HTTPException(404, f"no file {name!r} is served here")
    path, kind = STATIC[name]
    return Response(path.read_bytes(), media_type=kind, headers={"Cache-Control": "no-cache"})


class Viewer:
    """What all pages share: the runs and the templates."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("swirl", "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {"link": link, "views": VIEWS}
        self._templates.filters |= {"count": lambda number: f"{number:,}"}

    def front(self, request: Request) -> Response:
        """The runs; where there is only one, its overview."""
        runs = list(self.shelf.runs.values())
        if len(runs) == 1:
            return RedirectResponse(link(runs[0].slug, "overview"), 307)
        page = front(self.shelf)
        if request.query_params.get("format") == "json":
            return _as_json(page)
        answered = self._shown(request, "front", page, None)
        tag = f'"{hashlib.sha256(answered.body).hexdigest()[:24]}"'
        answered.headers["ETag"] = tag
        return (
            Response(status_code=304, headers={"ETag": tag})
            if request.headers.get("if-none-match") == tag
            else answered
        )

    def endpoint(self, name: str, make: View) -> Callable[[Request], Response]:
        """What answers the address of a view; it works in a thread of its own."""

        def answer(request: Request) -> Response:
            """The page, or that it has not changed."""
            run = self.shelf.runs.get(request.path_params["slug"])
            if run is None:
                raise HTTPException(404, f"no run is called {request.path_params['slug']!r} here")
            tag = _tag(run, request)
            if request.headers.get("if-none-match") == tag:
                return Response(status_code=304, headers={"ETag": tag})
            try:
                page = make(run, {**request.query_params, **request.path_params})
                as_json = request.query_params.get("format") == "json"
                answered = _as_json(page) if as_json else self._shown(request, name, page, run)
            except NotThere as error:
                raise HTTPException(404, str(error)) from error
            except SwirlError as error:
                raise HTTPException(400, str(error)) from error
            except OSError as error:
                raise HTTPException(404, _unreadable(error)) from error
            except Exception as error:
                return self._broken(request, error)
            answered.headers["ETag"] = tag
            return answered

        return answer

    def refused(self, request: Request, error: Exception) -> Response:
        """The page for an address that leads nowhere."""
        assert isinstance(error, HTTPException)
        page = Page("Not found" if error.status_code == 404 else "Not understood", {"sentence": error.detail}, "")
        return self._shown(request, "error", page, None, error.status_code)

    def _broken(self, request: Request, error: Exception) -> Response:
        """The page for what went wrong here; the browser is not told how."""
        say("view: " + harmless("".join(traceback.format_exception(error))))
        sentence = f"this page could not be made ({type(error).__name__}); the terminal says more"
        return self._shown(request, "error", Page("Failed", {"sentence": sentence}, ""), None, 500)

    def _shown(self, request: Request, name: str, page: Page, run: Opened | None, status: int = 200) -> Response:
        template = self._templates.get_template(f"view/{name}.html.jinja")
        query = {key: value for key, value in request.query_params.items() if key != "format"}
        as_json = request.url.path + "?" + urlencode({**query, "format": "json"})
        text = template.render(
            page=page,
            data=page.data,
            plots=page.plots,
            run=run,
            here=name,
            runs=self.shelf.runs,
            query=query,
            as_json=as_json,
        )
        data = text.encode("utf-8", "replace")  # the name of a file may hold bytes that are no text
        return HTMLResponse(data, status, {"Cache-Control": "no-cache"})


def link(slug: str, view: str, *, anchor: str = "", **query: object) -> str:
    """The address of a view; what stands in its path is taken from the query, and what is empty is left out.

    >>> link("demo", "trajectory", id="a b/0", of=""), link("demo", "update", update=3)
    ('/runs/demo/trajectory?id=a+b%2F0', '/runs/demo/training/3')
    """
    path = VIEWS[view].path
    for name in [name for name in query if f"{{{name}}}" in path]:
        path = path.replace(f"{{{name}}}", str(query.pop(name)))
    asked = urlencode({name: value for name, value in query.items() if value not in ("", None)}, errors="surrogatepass")
    return f"/runs/{slug}{path}" + (f"?{asked}" if asked else "") + (f"#{anchor}" if anchor else "")


def _tag(run: Opened, request: Request) -> str:
    """Tells a page from what it was earlier, without making it."""
    made_of = f"{run.version()} {request.url.path} {request.url.query}"
    return f'"{hashlib.sha256(made_of.encode("utf-8", "surrogatepass")).hexdigest()[:24]}"'


def _unreadable(error: OSError) -> str:
    """What is said of a file that is there and cannot be read, or went away meanwhile."""
    where = error.filename or "a file of the run"
    return f"{where}: expected a file that can be read, found: {error.strerror or error}; mend that, and reload"


def _as_json(page: Page) -> Response:
    body = json.dumps(
        _finite(msgspec.to_builtins(page.data)), indent=2, allow_nan=False
    )  # lone surrogates are written out
    return Response(body + "\n", media_type="application/json", headers={"Cache-Control": "no-cache"})


def _finite(data: Any) -> Any:
    """Plain values as JSON has them: it knows neither infinity nor what is no number, so there is nothing in their place.

    >>> _finite({"reward": [0.5, math.nan, math.inf]})
    {'reward': [0.5, None, None]}
    """
    match data:
        case dict():
            return {key: _finite(value) for key, value in data.items()}
        case list() | tuple():
            return [_finite(value) for value in data]
        case float() if not math.isfinite(data):
            return None
        case _:
            return data
