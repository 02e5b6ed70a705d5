"""Run a function in two processes that know each other, on the processor, with a thread each."""

import os
import socket
from collections.abc import Callable
from typing import Any

import torch
from torch.multiprocessing.spawn import spawn

from swirl.train.ranks import joined

COUNT = 2


def run_together(function: Callable[..., None], *arguments: Any) -> None:
    """Call a function, which has to be found by its name, in every process; whatever is raised in one is raised here."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(_run, (port, function, arguments), nprocs=COUNT)


def _run(number: int, port: int, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    told = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": COUNT, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in told.items()})
    torch.set_num_threads(1)
    with joined():
        function(*arguments)
