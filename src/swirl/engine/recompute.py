"""Activation checkpointing: of each layer only its input is kept for the gradient, and what happened within is computed again.

transformers' own layers know how, but they do it in training mode alone, and again under whatever attention is set by then. Here it is
switched on around one forward pass; networks stay in evaluation mode, and a layer is computed again as it was the first time.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from swirl.engine.attention import attending, causal
from swirl.errors import ConfigError


def require_layers(network: Any) -> None:
    """Raise `ConfigError` where nothing of a network can be computed again."""
    if not layers(network):
        raise ConfigError(
            f"policy.recompute: {type(causal(network)).__name__} has no layers that can be computed again; leave it out, and lower "
            "train.tokens_per_batch to save memory"
        )


@contextmanager
def recomputing(network: Any) -> Iterator[None]:
    """Forward passes within keep the inputs of layers only. Their gradients may be asked for later."""
    config = causal(network).config

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), attending(config, config._attn_implementation)

    again = partial(checkpoint, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
    for layer in layers(network):
        layer.training, layer.gradient_checkpointing, layer._gradient_checkpointing_func = True, True, again
    try:
        yield
    finally:
        for layer in layers(network):
            layer.training, layer.gradient_checkpointing = False, False


def layers(network: Any) -> list[Any]:
    """The layers of a network that can be computed again, as transformers marks them."""
    return [module for module in network.modules() if isinstance(module, GradientCheckpointingLayer)]
