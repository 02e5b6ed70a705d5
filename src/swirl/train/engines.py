"""How a model lies on the processes that train it: on one alone, whole on each of them (DDP), or in shares (FSDP).

Each engine is handed the loss of a micro-batch as a module, and gives back what has its gradient: DDP and FSDP work through hooks on it,
and torch has both. They average over processes by default. Here gradients are sums, because the weights of an update's rows hold its one
denominator already.

Between updates `lm.network` has the whole weights on every process, so that sampling, the initial policy and saving know nothing of this.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import Parameter
from torch.nn.parallel import DistributedDataParallel

from swirl.engine.model import LanguageModel
from swirl.engine.recompute import layers
from swirl.train import TrainConfig, ranks
from swirl.train.batch_loss import BatchLoss
from swirl.train.masters import Masters


class Alone:
    """One process."""

    def __init__(self, lm: LanguageModel, config: TrainConfig) -> None:
        self.batch_loss = self.module = BatchLoss(lm, config)
        self.masters = Masters(_trained(lm.network))

    def adding_up(self, last: bool) -> AbstractContextManager[Any]:
        """Around each micro-batch of an update, the last of which may be where gradients are summed over processes."""
        return nullcontext()

    def set_aside(self) -> None:
        """Forget what is not needed until the weights have changed."""

    def publish(self) -> None:
        """Give `lm.network` what was learnt."""
        self.masters.publish()


class Replicated:
    """DDP: every process has everything. Gradients meet once an update, at its last micro-batch."""

    def __init__(self, lm: LanguageModel, config: TrainConfig) -> None:
        self.batch_loss = BatchLoss(lm, config)
        self.masters = Masters(_trained(lm.network))
        self.module = DistributedDataParallel(self.batch_loss, find_unused_parameters=not self.batch_loss.reader.packed)
        self.module.register_comm_hook(self.masters, lambda masters, bucket: _summed(masters, bucket))

    def adding_up(self, last: bool) -> AbstractContextManager[Any]:
        """No talk between processes but in the last."""
        context: AbstractContextManager[Any] = nullcontext() if last else self.module.no_sync()
        return context

    def set_aside(self) -> None:
        """Nothing can be spared."""

    def publish(self) -> None:
        """Every process has taken the same step."""
        self.masters.publish()


def _summed(masters: Masters, bucket: Any) -> torch.futures.Future[Tensor]:
    """A bucket of gradients, summed over processes. Those of coarse weights have gone to their masters, so these are what is summed."""
    gradients = masters.collected(bucket.parameters()) or [bucket.buffer()]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
    found: torch.futures.Future[Tensor] = torch.futures.Future()
    found.set_result(bucket.buffer())
    return found


class Sharded:
    """FSDP: every process keeps a share of weights, gradients and moments, layer by layer, and fetches a layer's weights when it is its
    turn. Gradients go to their shares after each micro-batch, so that nobody ever has them all.

    The shares are in single precision and their own masters; where the network is in bfloat16, so is what is fetched.
    """

    def __init__(self, lm: LanguageModel, config: TrainConfig) -> None:
        self._whole = lm.network
        own, policy = deepcopy(lm.network), MixedPrecisionPolicy()
        if not lm.has_adapters and lm.network.dtype == torch.bfloat16:
            own, policy = own.float(), MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        self.batch_loss = self.module = BatchLoss(replace(lm, network=own), config)
        mesh = init_device_mesh(lm.device.type, (ranks.size(),))
        sharded: list[Any] = [*layers(own), self.batch_loss]
        for module in sharded:
            fully_shard(module, mesh=mesh, mp_policy=policy)
        for module in sharded:
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
            module.unshard()  # a weight's place is made as it is now, trained or not: turning adapters off would change that
            module.reshard()
        self.masters = Masters(_trained(own))

    def adding_up(self, last: bool) -> AbstractContextManager[Any]:
        """They are summed after each micro-batch."""
        return nullcontext()

    def set_aside(self) -> None:
        """Forget the whole weights: there are shares of them."""
        for weight in self._whole.parameters():
            weight.data = weight.data.new_empty(0)

    @torch.no_grad()
    def publish(self) -> None:
        """Put the shares together."""
        shares = dict(self.batch_loss.network.named_parameters())
        for name, weight in self._whole.named_parameters():
            weight.data = whole(shares[name]).to(weight.dtype)


Engine = Alone | Replicated | Sharded


def engine(lm: LanguageModel, config: TrainConfig) -> Engine:
    """The one for as many processes as there are."""
    if ranks.size() == 1:
        return Alone(lm, config)
    return Sharded(lm, config) if lm.config.parallel == "fsdp" else Replicated(lm, config)


def whole(tensor: Tensor) -> Tensor:
    """A tensor that may be spread over processes, all of it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def fill(tensor: Tensor, values: Tensor) -> None:
    """Put values, which every process has, into a tensor that may be spread over them."""
    if isinstance(tensor, DTensor):
        values = values.to(tensor.device)
        values = distribute_tensor(values, tensor.device_mesh, tensor.placements, src_data_rank=None)
    tensor.copy_(values)


def _trained(network: Any) -> Mapping[str, Parameter]:
    return {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
