"""A sentence-embedding folder is read as its own files say, and what we cannot do is refused by name."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from swirl.engine.encoder import load_encoder
from swirl.errors import ModelError
from tiny_models import byte_tokenizer

TEXTS = ["a harbour town", "x", "the light of the silver harbour, far away"]


def write_encoder(
    folder: Path, pooling: dict[str, object] | None, *, longest: int = 0, kinds: tuple[str, ...] = ()
) -> Path:
    """A random model of a few thousand weights, in sentence-transformers' layout where it has a pooling."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=300,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=64,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer = byte_tokenizer()
    tokenizer.pad_token = "<|end|>"
    tokenizer.save_pretrained(folder)
    if pooling is not None:
        types = [f"sentence_transformers.models.{kind}" for kind in ("Transformer", "Pooling", *kinds)]
        modules = [{"type": kind, "path": "1_Pooling" if "Pooling" in kind else ""} for kind in types]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    if longest:
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": longest}))
    return folder


def alone(folder: Path, text: str) -> torch.Tensor:
    """The last hidden states of a text's tokens, read by itself."""
    network = BertModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        states: torch.Tensor = network(**byte_tokenizer()(text, return_tensors="pt")).last_hidden_state[0]
    return states


POOLS = {
    "mean": (lambda states: states.mean(0), {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}),
    "first": (lambda states: states[0], {"pooling_mode_cls_token": True}),
    "last": (lambda states: states[-1], {"pooling_mode_lasttoken": True}),
    "highest": (lambda states: states.amax(0), {"pooling_mode": "max"}),
    "unsaid": (lambda states: states.mean(0), None),
}


@pytest.mark.parametrize("way", list(POOLS))
def test_texts_in_a_batch_are_pooled_as_each_alone(way: str, tmp_path: Path) -> None:
    pool, config = POOLS[way]
    folder = write_encoder(tmp_path / "encoder", config)
    made = load_encoder(str(folder), "cpu").encode(TEXTS, queries=False)
    wanted = [torch.nn.functional.normalize(pool(alone(folder, text)), dim=0).numpy() for text in TEXTS]
    np.testing.assert_allclose(made, wanted, atol=1e-5)
    assert made.dtype == np.float32


def test_what_stands_before_queries_and_passages_is_put_there(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder", None)
    plain = load_encoder(str(folder), "cpu").encode(["query: x", "passage: x"], queries=True)
    (folder / "config_sentence_transformers.json").write_text(
        json.dumps({"prompts": {"query": "query: ", "passage": "passage: "}})
    )
    encoder = load_encoder(str(folder), "cpu")
    np.testing.assert_allclose(encoder.encode(["x"], queries=True)[0], plain[0], atol=1e-6)
    np.testing.assert_allclose(encoder.encode(["x"], queries=False)[0], plain[1], atol=1e-6)


def test_no_more_is_read_than_the_model_says(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder", None, longest=5)
    same = load_encoder(str(folder), "cpu").encode(["abcde", "abcdefghij"], queries=False)
    np.testing.assert_allclose(same[0], same[1], atol=1e-6)


def test_a_text_longer_than_the_network_s_positions_is_cut(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder", None)
    assert np.isfinite(load_encoder(str(folder), "cpu").encode(["ab" * 100], queries=False)).all()


def test_its_name_tells_its_weights_and_not_its_place(tmp_path: Path) -> None:
    first, second = (load_encoder(str(write_encoder(tmp_path / place / "mine", None)), "cpu") for place in ("a", "b"))
    assert first.name == second.name
    assert first.name.startswith("mine@")


@pytest.mark.parametrize(
    ("pooling", "kinds", "sentence"),
    [
        (
            {"pooling_mode_mean_tokens": True},
            ("Dense",),
            "has a layer of kind Dense; expected Transformer, Pooling, Normalize",
        ),
        (
            {"pooling_mode_weightedmean_tokens": True},
            (),
            "is pooled by pooling_mode_weightedmean_tokens; expected one of",
        ),
        (
            {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
            (),
            "pooling_mode_mean_tokens and pooling_mode_cls",
        ),
    ],
)
def test_what_we_cannot_do_is_refused(
    pooling: dict[str, object], kinds: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    folder = write_encoder(tmp_path / "encoder", pooling, kinds=kinds)
    with pytest.raises(ModelError, match=sentence):
        load_encoder(str(folder), "cpu")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("modules.json", [{"kind": "x"}], "expected a list of layers with type and path"),
        ("modules.json", 3, "expected a list of layers with type and path"),
        ("1_Pooling/config.json", [], r"expected a JSON object, found \[\]"),
        ("sentence_bert_config.json", "x", "expected a JSON object, found 'x'"),
        ("config_sentence_transformers.json", [1], r"expected a JSON object, found \[1\]"),
    ],
)
def test_a_file_of_another_form_is_named(name: str, content: object, sentence: str, tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder", {"pooling_mode_mean_tokens": True})
    (folder / name).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=f"{name}: {sentence}"):
        load_encoder(str(folder), "cpu")


def test_prompts_that_are_not_to_be_pooled_are_refused_where_there_are_some(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder", {"pooling_mode_mean_tokens": True, "include_prompt": False})
    assert load_encoder(str(folder), "cpu").encode(["x"], queries=True).shape == (1, 16)
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "query: "}}))
    with pytest.raises(ModelError, match="leaves what stands before a text out of the pooling"):
        load_encoder(str(folder), "cpu")


def test_what_is_no_encoder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"search\.encoder must be a model folder or a hub id"):
        load_encoder(str(tmp_path / "nowhere"), "cpu")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"the encoder in .*empty cannot be read"):
        load_encoder(str(tmp_path / "empty"), "cpu")
