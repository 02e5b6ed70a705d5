"""Several processes that train one model: how they share work, and what they tell each other.

All run the same program. With one process every function here is the identity, and torch.distributed is left alone.
"""

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from swirl import processes
from swirl.errors import SwirlError

T = TypeVar("T")

_PATIENCE = timedelta(days=1)
"""How long one waits for the others: sampling and judging take what they take, and torchrun notices processes that died."""


@contextmanager
def joined() -> Iterator[None]:
    """Within, the processes that were started together can talk to each other, each with a GPU of its own where there are some."""
    if processes.count() == 1 or dist.is_initialized():
        yield
        return
    on_gpus = torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo", timeout=_PATIENCE)
    try:
        yield
    finally:
        gc.collect()
        dist.destroy_process_group()


def size() -> int:
    """How many processes there are.

    >>> size(), rank()
    (1, 0)
    """
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this one, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def share(items: Sequence[T]) -> Sequence[T]:
    """This process's part of what all of them have: neighbours, and about as many as everyone gets.

    >>> share("abc")
    'abc'
    """
    start, stop = (len(items) * edge // size() for edge in (rank(), rank() + 1))
    return items[start:stop]


def together(work: Callable[[], Sequence[T]]) -> list[T]:
    """What every process's work gives, in the order of their numbers. Where one raises a `SwirlError`, all raise it.

    >>> together(lambda: share("abc"))
    ['a', 'b', 'c']
    """
    if size() == 1:
        return list(work())
    own: tuple[list[T], SwirlError | None]
    try:
        own = list(work()), None
    except SwirlError as error:
        own = [], error
    told = [own] * size()
    dist.all_gather_object(told, own)
    for _, problem in told:
        if problem is not None:
            raise problem
    return [item for items, _ in told for item in items]


def leading(work: Callable[[], T]) -> T:
    """What the first process's work gives, for all; the others do none, and wait.

    >>> leading(lambda: "done")
    'done'
    """
    return together(lambda: [work()] if rank() == 0 else [])[0]
