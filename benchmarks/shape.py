"""The work that the step benchmarks share: how large it is, and the model it is done with.

One recorded trajectory with K states (a prompt of P tokens; each step adds an action of A and an observation of O), and G fresh actions of
exactly A tokens at each. The model has the shape of SmolLM2-135M and random weights, its tokenizer knows words `t3`, `t4`, ... and no more:
nothing is downloaded, and lengths are exact. Nothing of swirl is needed here, so that other trainers' scripts can share it.
"""

import argparse
import platform
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import LlamaConfig, PreTrainedTokenizerFast

VOCABULARY = 49152
SHAPE = {
    "states": (5, "K"),
    "samples": (8, "G"),
    "prompt": (150, "P, tokens"),
    "action": (40, "A, tokens"),
    "observation": (100, "O, tokens"),
    "layers": (30, "of the model"),
    "threads": (2, "processor threads"),
}
"""Name -> default, and what it is."""


def add_shape(parser: argparse.ArgumentParser, names: Iterable[str] = SHAPE, **defaults: int) -> None:
    """The flags of the work, or some of them, with other defaults where the script has its own."""
    for name in names:
        default, help = SHAPE[name]
        value = defaults.get(name, default)
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{help} (default {value})")


def shape_of(args: argparse.Namespace) -> dict[str, int]:
    """What the flags say of the work."""
    return {name: getattr(args, name) for name in SHAPE}


def versions() -> dict[str, str]:
    """What figures were made with."""
    import torch
    import transformers

    machine = f"{platform.machine()}, {platform.system()}"
    return {"torch": torch.__version__, "transformers": transformers.__version__, "machine": machine}


def context_lengths(states: int, prompt: int, action: int, observation: int) -> list[int]:
    """Tokens before each state's action.

    >>> context_lengths(3, prompt=150, action=40, observation=100)
    [150, 290, 430]
    """
    return [prompt + state * (action + observation) for state in range(states)]


def model_config(layers: int, end: int | None = None) -> "LlamaConfig":
    """SmolLM2-135M's shape; `end` is the token that ends a turn, where there is to be one."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        rope_theta=100000.0,
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
