"""`swirl view`: runs in a browser."""

import secrets
import socket
import tempfile
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from swirl.commands.words import Command, parse
from swirl.errors import ConfigError
from swirl.terminal import say

if TYPE_CHECKING:
    from swirl.viewer.shelf import Shelf

_PORT = 8377
_MOST_PORT = 65_535


@dataclass(frozen=True, kw_only=True)
class ViewCommand:
    """Look at every step of runs in a browser, also while they go on: trajectories, verdicts, training, evaluation, judges.

    RUN is a run folder, or a folder of several, as a study's; all are shown side by side. Nothing in them is changed. The address that is
    printed holds a random token, and only this machine can reach it.

    Example: swirl view runs/mine
    Example: swirl view runs/mine runs/other --port 9000 --no-browser
    """

    port: int = _PORT
    """Where it listens; 0: any free port. Without this flag another one is taken where that is in use."""
    host: str = "127.0.0.1"
    """The address it listens on. Any but this machine's own shows the runs to whoever can reach it and knows the token."""
    browser: bool = True
    """Open a browser."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= _MOST_PORT:
            raise ConfigError(f"--port must be between 0 (any free one) and {_MOST_PORT}, found {self.port}")


def _view(name: str, words: Sequence[str]) -> None:
    usage = f"{name} RUN ..."
    folders, flags = _folders(words, usage)
    command = parse(usage, flags, ViewCommand())
    chosen = any(word.partition("=")[0] == "--port" for word in flags)
    from swirl.viewer.shelf import Shelf

    with (
        tempfile.TemporaryDirectory(prefix="swirl-view-") as scratch,
        Shelf(folders, Path(scratch)) as shelf,
        _listening(command, chosen) as listening,
    ):
        try:
            _serve(shelf, command, listening)
        except KeyboardInterrupt:
            say("view: ended")


def _serve(shelf: "Shelf", command: ViewCommand, listening: socket.socket) -> None:
    """Say where, and answer until it is interrupted."""
    import uvicorn

    from swirl.viewer.access import TOKEN, is_loopback
    from swirl.viewer.app import create_app

    token = secrets.token_urlsafe(24)
    host, port = listening.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}/?{TOKEN}={token}"
    if not is_loopback(command.host):
        say(
            f"warning: --host {command.host}: whoever can reach this machine and learns the token sees these runs, and nothing is "
            "encrypted; safer is the default, with `ssh -L` from elsewhere"
        )
    print(address, flush=True)
    say("view: Ctrl-C ends it")
    if command.browser:
        webbrowser.open(address)
    app = create_app(shelf, token, command.host)
    config = uvicorn.Config(app, log_level="warning", access_log=False, ws="none", lifespan="off")
    uvicorn.Server(config).run(sockets=[listening])


def _folders(words: Sequence[str], usage: str) -> tuple[list[Path], Sequence[str]]:
    """The run folders, and the flags after them."""
    count = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    if not count and not {"-h", "--help"}.intersection(words):
        raise ConfigError(
            f"expected `swirl {usage} [OPTIONS]`, found {words[0]!r} in place of RUN"
            if words
            else f"expected `swirl {usage}`, found no RUN"
        )
    return [Path(word) for word in words[:count]], words[count:]


def _listening(command: ViewCommand, chosen: bool) -> socket.socket:
    """A socket that listens; the default port gives way to a free one where it is in use."""
    for port in (command.port, 0):
        try:
            return socket.create_server(
                (command.host, port), family=socket.AF_INET6 if ":" in command.host else socket.AF_INET
            )
        except OSError as error:
            if chosen or port == 0:
                raise ConfigError(
                    f"--host {command.host} --port {command.port}: expected an address that is free to listen on, found: {error.strerror}; "
                    "choose another, or --port 0 for any free port"
                ) from error
    raise AssertionError("one of the two was returned or raised")


COMMANDS = {"view": Command(ViewCommand, _view)}
