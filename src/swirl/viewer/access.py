"""Who may look, and what a browser may do with what it is shown.

The first address holds a random token; it becomes a cookie, so that all other addresses stay as they are. A page of another site that makes
its name point to this machine is told apart by the name it asks for. Nothing but GET is answered: there is nothing to write.
"""

import hashlib
import secrets
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""Go with every answer."""
TOKEN = "token"
"""What it is called in the first address."""


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine alone.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "10.0.0.2", "example.org")]
    [True, True, True, False, False, False]
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Stands before the application."""

    def __init__(self, app: ASGIApp, token: str, host: str = "127.0.0.1") -> None:
        self.app = app
        self.token = token
        self.only_here = is_loopback(host)
        self.cookie = f"swirl-{hashlib.sha256(token.encode()).hexdigest()[:12]}"
        """Cookies of one machine are shared by all its ports, so two viewers have two."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in whoever may look."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self.app)(scope, receive, sent)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("there is nothing to write here\n", 405, {"Allow": "GET, HEAD"})
        if self.only_here and not is_loopback(_name(headers.get("host", ""))):
            return PlainTextResponse("this viewer answers to localhost alone\n", 421)
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == TOKEN]
        if given and self._is_token(given[0]):
            return self._let_in(scope["path"], [pair for pair in query if pair[0] != TOKEN])
        if self._is_token(cookie_parser(headers.get("cookie", "")).get(self.cookie, "")):
            return None
        return PlainTextResponse(
            "expected the address that `swirl view` printed, token included, found another: copy it from the terminal\n",
            403,
        )

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode("utf-8", "surrogateescape"), self.token.encode())

    def _let_in(self, path: str, query: list[tuple[str, str]]) -> Response:
        # A path that began with two strokes would lead to another site.
        target = "/" + path.lstrip("/") + (f"?{urlencode(query)}" if query else "")
        answer = RedirectResponse(target, 303)
        answer.set_cookie(self.cookie, self.token, httponly=True, samesite="lax", path="/")
        return answer


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
