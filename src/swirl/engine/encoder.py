"""A sentence-embedding model as an encoder: a transformer, one of the usual poolings, vectors of length 1.

Read as sentence-transformers writes it: `modules.json` says what follows the transformer, `1_Pooling/config.json` how tokens become one
vector, `sentence_bert_config.json` how many tokens are read, `config_sentence_transformers.json` what stands before queries and passages. A
model without these is pooled by the mean. Layers of other kinds are refused; code from a model folder is never run.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch

from swirl.engine.checkpoint import load_tokenizer, weights_digest
from swirl.engine.model import label, locate, on_device, set_up
from swirl.errors import ModelError

_BATCH = 32
_LONGEST = 512
"""Tokens that are read where a model does not say how many."""
_KINDS = ("Transformer", "Pooling", "Normalize")


class SentenceEncoder:
    """The encoder; `swirl.retrieval.Encoder` says what it promises."""

    def __init__(
        self, name: str, network: Any, tokenizer: Any, pool: "Pool", longest: int, before: Mapping[str, str]
    ) -> None:
        self.name = name
        self._network = network
        self._tokenizer = tokenizer
        self._pool = pool
        self._longest = longest
        self._before = before
        self._alone = Lock()
        """Held around the model: a fast tokenizer may not be used by two threads at once, and the network takes all cores as it is."""

    def encode(self, texts: Sequence[str], *, queries: bool) -> np.ndarray:
        """Texts of like length are read together, so a text's vector depends on its neighbours by rounding alone. Several threads may ask
        at once."""
        before = self._before.get("query" if queries else "passage", "")
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        found: list[np.ndarray] = [np.empty(0, np.float32)] * len(texts)
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            with self._alone:
                vectors_BD = self._vectors([before + texts[i] for i in batch])
            for place, vector_D in zip(batch, vectors_BD, strict=True):
                found[place] = vector_D
        return np.stack(found)

    def _vectors(self, texts: Sequence[str]) -> np.ndarray:
        device = next(self._network.parameters()).device
        read = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=self._longest, return_tensors="pt"
        )
        with torch.inference_mode():
            states_BTD = self._network(**read.to(device)).last_hidden_state
            vectors_BD = self._pool(states_BTD, read["attention_mask"].to(states_BTD))
            vectors_BD = torch.nn.functional.normalize(vectors_BD, dim=-1)
        made: np.ndarray = vectors_BD.float().cpu().numpy()
        return made


Pool = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""States of tokens, and 1.0 where there is one -> one vector a text."""


def mean(states_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
    """The mean over tokens."""
    return (states_BTD * mask_BT[..., None]).sum(1) / mask_BT.sum(1, keepdim=True).clamp(min=1e-9)


def first(states_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
    """The first token, `[CLS]`."""
    return states_BTD[torch.arange(len(mask_BT)), mask_BT.argmax(1)]


def last(states_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
    """The last token."""
    places_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
    return states_BTD[torch.arange(len(mask_BT)), (mask_BT * places_T).argmax(1)]


def highest(states_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
    """Of each coordinate the highest over tokens."""
    return states_BTD.masked_fill(mask_BT[..., None] == 0, -torch.inf).amax(1)


_POOLS: Mapping[str, Pool] = {
    "pooling_mode_mean_tokens": mean,
    "pooling_mode_cls_token": first,
    "pooling_mode_lasttoken": last,
    "pooling_mode_max_tokens": highest,
}


def load_encoder(model: str, device: str = "auto") -> SentenceEncoder:
    """The encoder in a folder or of a hub id; raises `ModelError` where there is none, or one of another kind."""
    set_up(0)
    folder = locate(model, "search.encoder")
    pool = _pool(folder)
    network, tokenizer = _load_network(folder).to(on_device(device)), load_tokenizer(folder)
    return SentenceEncoder(
        name=f"{label(model)}@{weights_digest(folder)[:12]}",
        network=network,
        tokenizer=tokenizer,
        pool=pool,
        longest=_longest(folder, tokenizer, network),
        before=_before(folder),
    )


def _before(folder: Path) -> Mapping[str, str]:
    """What stands before queries, and before passages."""
    prompts = _table(folder / "config_sentence_transformers.json").get("prompts") or {}
    return {"query": prompts.get("query", ""), "passage": prompts.get("document", prompts.get("passage", ""))}


def _load_network(folder: Path) -> Any:
    from safetensors import SafetensorError
    from transformers import AutoModel

    try:
        network, report = AutoModel.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"the encoder in {folder} cannot be read: {reason}; fetch it again") from error
    missing = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if missing:
        raise ModelError(
            f"the weights in {folder} do not fit its config.json: {len(missing)} are missing ({missing[0]})"
        )
    return network.eval()


def _longest(folder: Path, tokenizer: Any, network: Any) -> int:
    """Tokens of a text that are read: as the model says, at most as many as its network has positions for."""
    said = _table(folder / "sentence_bert_config.json").get("max_seq_length")
    positions = getattr(network.config, "max_position_embeddings", None)
    limits = [int(limit) for limit in (said, positions, tokenizer.model_max_length) if limit]
    return min(limits) if said else min([_LONGEST, *limits])


def _pool(folder: Path) -> Pool:
    """The pooling that `modules.json` names, where it names nothing else that we do not have."""
    layers = _layers(folder)
    unknown = [kind for kind in layers if kind not in _KINDS]
    if unknown:
        raise ModelError(
            f"the encoder in {folder} has a layer of kind {unknown[0]}; expected {', '.join(_KINDS)}: name another"
        )
    if "Pooling" not in layers:
        return mean
    config = _table(folder / layers["Pooling"] / "config.json")
    if config.get("include_prompt") is False and any(_before(folder).values()):
        raise ModelError(f"the encoder in {folder} leaves what stands before a text out of the pooling; name another")
    chosen = [name for name, value in config.items() if name.startswith("pooling_mode") and value is True]
    named = f"pooling_mode_{config.get('pooling_mode')}"
    ways = chosen or [name for name in _POOLS if name in (named, f"{named}_tokens", f"{named}_token")]
    known = ", ".join(_POOLS)
    if len(ways) != 1 or ways[0] not in _POOLS:
        raise ModelError(
            f"the encoder in {folder} is pooled by {' and '.join(ways) or 'nothing known'}; expected one of {known}"
        )
    return _POOLS[ways[0]]


def _layers(folder: Path) -> Mapping[str, str]:
    """Kind of each layer that `modules.json` names -> its folder; empty where there is no such file."""
    try:
        return {str(each["type"]).rpartition(".")[2]: str(each["path"]) for each in _json(folder / "modules.json")}
    except (TypeError, KeyError) as error:
        raise ModelError(f"{folder / 'modules.json'}: expected a list of layers with type and path") from error


def _table(path: Path) -> Mapping[str, Any]:
    found = _json(path)
    if not isinstance(found, dict):
        raise ModelError(f"{path}: expected a JSON object, found {found!r:.40}")
    return found


def _json(path: Path) -> Any:
    """A file of the model; empty where there is none."""
    try:
        return json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise ModelError(f"{path}: not valid JSON: {error}") from error
