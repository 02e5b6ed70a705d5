"""Random models of a few thousand weights, one for each family, with a byte-level tokenizer: nothing is downloaded."""

from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from swirl.engine import PolicyConfig
from swirl.engine.model import LanguageModel, load

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|turn|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)
_SHAPE = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8, intermediate_size=48
)
FAMILIES = {
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {}),
    "gemma2": (Gemma2Config, Gemma2ForCausalLM, dict(sliding_window=8, query_pre_attn_scalar=8)),
    "gemma3": (
        Gemma3TextConfig,
        Gemma3ForCausalLM,
        dict(sliding_window=8, query_pre_attn_scalar=8, sliding_window_pattern=2),
    ),
}


def byte_tokenizer(template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    """One token a byte, and the special tokens of `TEMPLATE`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<|begin|>", eos_token="<|end|>", additional_special_tokens=["<|turn|>"]
    )
    tokenizer.chat_template = template
    return tokenizer


def write_model(
    folder: Path, family: str = "llama", seed: int = 0, template: str | None = TEMPLATE, thinking: bool = False
) -> Path:
    """A model folder in the Hugging Face layout."""
    tokenizer = byte_tokenizer(template)
    if thinking:
        tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in ("<think>", "</think>")])
    config_class, model_class, extra = FAMILIES[family]
    config = config_class(
        vocab_size=len(tokenizer),
        max_position_embeddings=512,
        initializer_range=0.2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,
        **_SHAPE,
        **extra,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model_class(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_model(folder: Path, family: str = "llama", seed: int = 0, thinking: bool = False) -> LanguageModel:
    """The same, loaded on the processor."""
    return load(PolicyConfig(model=str(write_model(folder, family, seed, thinking=thinking)), device="cpu"))
