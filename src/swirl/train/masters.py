"""Master weights: single precision behind weights in bfloat16, which keeps 8 bits of a number and would round a small update away.

Gradients are added up in the masters, micro-batch by micro-batch, AdamW steps on them, and the network's weights are the masters rounded.
A weight that is precise enough is its own master.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter


class Masters:
    """The masters of some weights.

    >>> weight = Parameter(torch.ones(1, dtype=torch.bfloat16))
    >>> masters = Masters({"weight": weight})
    >>> for _ in range(3):
    ...     _ = masters.weights["weight"].data.add_(0.002)
    ...     masters.publish()
    >>> weight.item(), round(masters.weights["weight"].item(), 3)
    (1.0078125, 1.006)
    """

    def __init__(self, weights: Mapping[str, Parameter]) -> None:
        self.weights = {name: weight if _precise(weight) else _master(weight) for name, weight in weights.items()}
        self._coarse = [(weight, self.weights[name]) for name, weight in weights.items() if not _precise(weight)]

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Gradients are those of what is differentiated within, zero where nothing reaches a weight. One that reaches a coarse weight is
        added to its master's at once, and not kept."""
        for master in self.weights.values():
            master.grad = None
        with ExitStack() as hooks:
            for weight, master in self._coarse:
                on_gradient: Any = weight.register_post_accumulate_grad_hook
                hooks.callback(on_gradient(lambda weight, master=master: _hand_on(weight, master)).remove)
            yield
        for weight, _ in self._coarse:
            weight.grad = None
        for master in self.weights.values():
            _gradient(master)

    def collected(self, weights: Sequence[Tensor]) -> list[Tensor]:
        """The gradients that coarse ones among these weights have handed on."""
        masters = {id(weight): master for weight, master in self._coarse}
        return [_gradient(masters[id(weight)]) for weight in weights if id(weight) in masters]

    @torch.no_grad()
    def publish(self) -> None:
        """Give the network the masters, rounded."""
        for weight, master in self._coarse:
            weight.copy_(master)


def _precise(weight: Tensor) -> bool:
    return weight.dtype in (torch.float32, torch.float64)


def _master(weight: Tensor) -> Parameter:
    return Parameter(weight.detach().float())


def _gradient(master: Tensor) -> Tensor:
    """Its gradient, zero if there was none."""
    if master.grad is None:
        master.grad = torch.zeros_like(master)
    return master.grad


def _hand_on(weight: Tensor, master: Tensor) -> None:
    assert weight.grad is not None
    master.grad = weight.grad.float() if master.grad is None else master.grad.add_(weight.grad)
    weight.grad = None
