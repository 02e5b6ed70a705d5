"""Load, adapt, save: a causal language model with its tokenizer, on one device.

Weights come from safetensors only and no code from a model folder is ever run. `load` always gives the initial policy of a run, the one
that `reference` gives back during training, with the adapter that `save` wrote on its base model where the folder is one.

Loading turns torch's deterministic algorithms on, and the remarks and progress bars of transformers off, for the whole process.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import transformers

from swirl.engine import ADAPTER, BUNDLED, PolicyConfig
from swirl.engine.chat import ChatFormat, chat_format
from swirl.engine.checkpoint import (
    adapter_base,
    load_network,
    load_tokenizer,
    peft_quiet,
    put_adapter,
    read_weights,
    weights_digest,
    write_folder,
)
from swirl.errors import ModelError
from swirl.seeds import derive

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(kw_only=True)
class LanguageModel:
    """A network and what it takes to talk to it. Training changes the network in place; everything else stays."""

    name: str
    """`<model>@<first 12 hex of a SHA-256 over its weights files>`: tied to the content, not to a place."""
    network: Any
    tokenizer: Any
    chat: ChatFormat
    device: torch.device
    config: PolicyConfig
    folder: Path
    """Where its files lie."""
    end_ids: frozenset[int]
    """Ids that end a turn."""
    max_positions: int
    """Longest input the network was built for."""
    initial: PolicyConfig | None = None
    """The initial policy, where it is not this model as it was loaded."""
    frozen: Any = field(default=None, repr=False)
    """A second, untouched network, once `reference` needed one."""

    @property
    def has_adapters(self) -> bool:
        """Whether LoRA adapters are trained, and the weights themselves stay as they were loaded."""
        return self.config.lora_rank > 0

    def decode(self, ids: Sequence[int]) -> str:
        """The text of sampled ids, without the end-of-turn token that closed them. Any other special token shows, or a forged turn would
        hide from `parse` and the judges and still stand in later contexts."""
        visible = ids[:-1] if ids and ids[-1] in self.end_ids else ids
        text: str = self.tokenizer.decode(list(visible), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text


def policy_tokenizer(config: PolicyConfig) -> Any:
    """The tokenizer of a policy, without its network."""
    return load_tokenizer(locate(config.model))


def load(config: PolicyConfig, seed: int = 0, initial: PolicyConfig | None = None) -> LanguageModel:
    """The policy that training starts from, which is the initial one where no other is named. `seed` is the run's; fresh LoRA adapters are
    drawn from it, and change nothing until they are trained.

    Raises `ModelError` where there is no such model, or it cannot be read.
    """
    set_up(config.threads)
    folder = locate(config.model)
    device = on_device(config.device)
    network = _initial_network(folder, config, device)
    tokenizer = load_tokenizer(folder)
    if config.lora_rank:
        network = _with_adapters(network, config, derive(seed, "lora"))
    chat = chat_format(tokenizer)
    return LanguageModel(
        name=full_name(config.model, folder),
        network=network,
        tokenizer=tokenizer,
        chat=chat,
        device=device,
        config=config,
        folder=folder,
        end_ids=_end_ids(network, tokenizer, chat),
        max_positions=int(getattr(network.config, "max_position_embeddings", None) or 2**31),
        initial=initial,
    )


def save(lm: LanguageModel, folder: Path) -> None:
    """Write the model to a folder that `load` reads, whole or not at all. With adapters only these are written, and the model they belong
    on: by its name, or by where it lies, seen from the folder if both are in one run folder."""
    is_folder = lm.config.model != BUNDLED and Path(lm.config.model).expanduser().is_dir()
    write_folder(lm.network, lm.tokenizer, folder, lm.folder if is_folder else lm.config.model)


def restore(lm: LanguageModel, folder: Path) -> None:
    """Put the weights that `save` wrote back into a model loaded with the same configuration, bit for bit."""
    read_weights(lm.network, folder, adapters=lm.has_adapters)


@contextmanager
def reference(lm: LanguageModel) -> Iterator[Any]:
    """The network of the initial policy, frozen: the same network with its adapters off, or a second one, read from its files when first
    asked for. Whatever was trained in the meantime, it is the policy that `load` gave, or was told of."""
    if lm.has_adapters and lm.initial is None:
        with lm.network.disable_adapter():
            yield lm.network
        return
    if lm.frozen is None:
        folder, config = (lm.folder, lm.config) if lm.initial is None else (locate(lm.initial.model), lm.initial)
        lm.frozen = _initial_network(folder, config, lm.device).requires_grad_(False)
    yield lm.frozen


def locate(model: str, setting: str = "the model") -> Path:
    """The folder of a model: the bundled one, a local folder, or a snapshot of a hub repository, downloaded where needed."""
    if model == BUNDLED:
        return Path(__file__).parent.parent / "bundled"
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if not _HUB_ID.fullmatch(model):
        raise ModelError(f"{setting} must be a model folder or a hub id, but there is no folder {model}")
    return _snapshot(model)


def _snapshot(model: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    wanted = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]
    try:
        return Path(snapshot_download(model, allow_patterns=wanted))
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"there is no folder {model}, and the Hugging Face hub did not give a model of that name ({reason});"
            " give the path of a model folder, or check the name and the network"
        ) from error


def _initial_network(folder: Path, config: PolicyConfig, device: torch.device) -> Any:
    """Coarse weights would round an adapter's small changes away, so it is not added to them: it stays beside them, or, where other
    adapters are to come on top, all weights are taken in single precision."""
    if not (folder / ADAPTER).is_file():
        return load_network(folder, getattr(torch, config.dtype)).to(device)
    beside = config.dtype == "bfloat16" and not config.lora_rank
    own = replace(config, lora_rank=0, dtype="bfloat16" if beside else "float32")
    base = _initial_network(locate(adapter_base(folder)), own, torch.device("cpu"))
    return put_adapter(base, folder, merge=not beside).to(device)


def _with_adapters(network: Any, config: PolicyConfig, seed: int) -> Any:
    from peft import LoraConfig, get_peft_model

    adapters = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(), peft_quiet():
        torch.manual_seed(seed)
        return get_peft_model(network, adapters).eval()


def set_up(threads: int) -> None:
    """Make torch and transformers quiet and repeatable, for the whole process; `threads` of the processor, 0: as torch decides."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if threads:
        torch.set_num_threads(threads)


def on_device(wanted: str) -> torch.device:
    """The device of that name, or the best one for `auto`; raises `ModelError` where torch finds no such device."""
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if present[name]))
    if not present[wanted]:
        raise ModelError(f"policy.device is {wanted}, but torch finds no such device here; use cpu or auto")
    return torch.device(wanted)


def _end_ids(network: Any, tokenizer: Any, chat: ChatFormat) -> frozenset[int]:
    configured = getattr(network.generation_config, "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    closing = [next((i for i in chat.close if i in special), None)]
    return frozenset(int(i) for i in [*listed, tokenizer.eos_token_id, *closing] if i is not None)


def full_name(model: str, folder: Path) -> str:
    """A model's name, tied to the weights in its folder."""
    return f"{label(model)}@{weights_digest(folder)[:12]}"


def label(model: str) -> str:
    """A folder's own name, or the hub id; never a path, which would differ between machines."""
    folder = Path(model).expanduser()
    return folder.resolve().name if folder.is_dir() else model
