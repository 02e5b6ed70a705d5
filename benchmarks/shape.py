"""The work that the step benchmarks share: how large it is, and the model it is done with.

One recorded trajectory with K states (a prompt of P tokens; each step adds an action of A and an observation of O), and G fresh actions
of exactly A tokens at each. The model has the shape of SmolLM2-135M, or another that is named, and random weights; its tokenizer knows
words `t3`, `t4`, ... and no more: nothing is downloaded, and lengths are exact. Nothing of swirl is needed here, so that other trainers'
scripts can share it.
"""

import argparse
import platform
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerFast

VOCABULARY = 49152
SHAPE = {
    "states": (5, "K"),
    "samples": (8, "G"),
    "prompt": (150, "P, tokens"),
    "action": (40, "A, tokens"),
    "observation": (100, "O, tokens"),
    "layers": (30, "of the model, if it has so many"),
    "threads": (2, "processor threads"),
}
"""Name -> default, and what it is."""

NETWORKS: dict[str, dict[str, Any]] = {
    "smollm2-135m": {
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "rope_theta": 1e5,
    },
    "qwen2.5-0.5b": {
        "model_type": "qwen2",
        "vocab_size": 151936,
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "rope_theta": 1e6,
    },
    "qwen2.5-1.5b": {
        "model_type": "qwen2",
        "vocab_size": 151936,
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "rope_theta": 1e6,
    },
}
"""Whose shape a model has -> the shape."""

MODEL = {
    "shape": ("smollm2-135m", tuple(NETWORKS), "of the model"),
    "device": ("cpu", ("cpu", "cuda"), "to run on"),
    "dtype": ("float32", ("float32", "bfloat16"), "of the weights"),
}
"""Name -> default, what there is to choose from, and what it is."""


def add_shape(parser: argparse.ArgumentParser, names: Iterable[str] = SHAPE, **defaults: int) -> None:
    """The flags of the work, or some of them, with other defaults where the script has its own."""
    for name in names:
        default, help = SHAPE[name]
        value = defaults.get(name, default)
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{help} (default {value})")


def add_model(parser: argparse.ArgumentParser) -> None:
    """The flags of the model."""
    for name, (default, choices, help) in MODEL.items():
        parser.add_argument(f"--{name}", choices=choices, default=default, help=f"{help} (default {default})")


def model_of(args: argparse.Namespace) -> dict[str, Any]:
    """What the flags say of the model; with the layers that it has."""
    layers = min(args.layers, NETWORKS[args.shape]["num_hidden_layers"])
    return {**{name: getattr(args, name) for name in MODEL}, "layers": layers}


def shape_of(args: argparse.Namespace) -> dict[str, int]:
    """What the flags say of the work."""
    return {name: getattr(args, name) for name in SHAPE}


def versions() -> dict[str, str]:
    """What figures were made with."""
    import torch
    import transformers

    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_initialized() else {}
    machine = f"{platform.machine()}, {platform.system()}"
    return {"torch": torch.__version__, "transformers": transformers.__version__, "machine": machine, **gpu}


def context_lengths(states: int, prompt: int, action: int, observation: int) -> list[int]:
    """Tokens before each state's action.

    >>> context_lengths(3, prompt=150, action=40, observation=100)
    [150, 290, 430]
    """
    return [prompt + state * (action + observation) for state in range(states)]


def model_config(layers: int, end: int | None = None, shape: str = MODEL["shape"][0]) -> "PreTrainedConfig":
    """The shape of a model; `end` is the token that ends a turn, where there is to be one."""
    from transformers import AutoConfig

    network = NETWORKS[shape]
    return AutoConfig.for_model(
        **{**network, "num_hidden_layers": min(layers, network["num_hidden_layers"])},
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=end,
        eos_token_id=end,
    )


def word_tokenizer() -> "PreTrainedTokenizerFast":
    """Token `i` is the word `ti`."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", *(f"t{i}" for i in range(3, VOCABULARY))])}
    backend = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )
