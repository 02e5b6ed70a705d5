"""Run a function in two processes that know each other, on the processor, with a thread each: started once for all tests, since starting
takes longer than what they are asked to do."""

import os
import socket
import traceback
from collections.abc import Callable
from functools import cache
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from swirl.train.ranks import joined

COUNT = 2


def run_together(function: Callable[..., None], *arguments: Any) -> None:
    """Call a function, which has to be found by its name, in every process; what is raised in one is an AssertionError here."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = _started()
    for connection in processes:
        connection.send((port, function, arguments))
    working = dict(processes)
    while working:
        for connection in wait(list(working)):
            process = working.pop(connection)  # type: ignore[arg-type]
            try:
                problem = connection.recv()  # type: ignore[union-attr]
            except EOFError:
                problem = "it is gone"
            if problem:
                _end()
                raise AssertionError(f"{process.name}: {problem}")


@cache
def _started() -> dict[Connection, Any]:
    """What each process is spoken to by."""
    context, processes = get_context("spawn"), {}
    for number in range(COUNT):
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(number, theirs), name=f"process {number}", daemon=True)
        process.start()
        theirs.close()
        processes[ours] = process
    return processes


def _end() -> None:
    """Of both: one alone would wait for the other, whatever it is asked next."""
    for connection, process in _started().items():
        process.kill()
        process.join()
        connection.close()
    _started.cache_clear()


def _serve(number: int, asked: Connection) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(number), LOCAL_RANK=str(number), WORLD_SIZE=str(COUNT), MASTER_ADDR="127.0.0.1")
    while True:
        try:
            port, function, arguments = asked.recv()
        except EOFError:
            return
        os.environ["MASTER_PORT"] = str(port)
        try:
            with joined():
                function(*arguments)
            asked.send("")
        except BaseException:
            asked.send(traceback.format_exc())
