"""Model folders: reading and writing weights, tokenizers and adapters in the Hugging Face layout, safetensors only.

A folder is written whole or not at all: as `NAME.part` beside it, which then takes its name. What a killed write left is deleted by the
next one.
"""

import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from swirl.engine import ADAPTER
from swirl.errors import ModelError
from swirl.records import disk_error, flush


def load_network(folder: Path, dtype: torch.dtype) -> Any:
    """The causal language model of a folder, on the processor, in evaluation mode and without dropout."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    _require_model_folder(folder, "config.json")
    try:
        network, report = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ModelError(f"the model in {folder} cannot be read: {_reason(error)}; fetch or save it again") from error
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[what]:
            some = ", ".join(sorted(key if isinstance(key, str) else key[0] for key in report[what])[:3])
            raise ModelError(
                f"the weights in {folder} do not fit its config.json: {len(report[what])} {what.replace('_', ' ')}"
                f" ({some}); they belong to another architecture"
            )
    return _without_dropout(network.eval())


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ModelError(f"the tokenizer in {folder} cannot be read: {_reason(error)}") from error


def adapter_base(folder: Path) -> str:
    """The model an adapter folder is to be put on: a hub id, a folder, or `bundled`. A relative path starts at the adapter's folder, as
    `write_folder` writes it, or else at the current one."""
    try:
        base = str(json.loads((folder / ADAPTER).read_text())["base_model_name_or_path"])
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder / ADAPTER} does not name its base model: {_reason(error)}") from error
    beside = folder.resolve() / base
    if beside.is_dir():
        return str(beside.resolve())
    if base.startswith(("/", ".")) and not Path(base).is_dir():
        raise ModelError(
            f"the adapter in {folder} belongs on the model in {os.path.normpath(beside)}, and there is no such folder; put that model"
            f" back, or name its place in {ADAPTER}"
        )
    return base


def put_adapter(base: Any, folder: Path, *, merge: bool) -> Any:
    """The base model with the adapter of a folder on it, or added to its weights."""
    from peft import PeftModel

    try:
        with peft_quiet():
            network = PeftModel.from_pretrained(base, folder, local_files_only=True)
            return (network.merge_and_unload() if merge else network).eval()
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ModelError(f"the adapter in {folder} cannot be put on its base model: {_reason(error)}") from error


@contextmanager
def peft_quiet() -> Iterator[None]:
    """Without peft's remark, meant for its own authors, on a name that transformers is about to drop."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        yield


def weights_digest(folder: Path) -> str:
    """SHA-256 over the weights files, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def read_weights(network: Any, folder: Path, *, adapters: bool) -> None:
    """Put the weights of a folder into a network of the same shape; with `adapters`, into its adapters only."""
    from peft import set_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    _require_model_folder(folder, ADAPTER if adapters else "config.json")
    try:
        weights = {
            name: part for path in sorted(folder.glob("*.safetensors")) for name, part in load_file(path).items()
        }
        if adapters:
            found = set_peft_model_state_dict(network, weights)
            lacking = [name for name in found.missing_keys if "lora_" in name]
        else:
            found = network.load_state_dict(weights, strict=False)
            tied = set(network.all_tied_weights_keys)
            lacking = [name for name in found.missing_keys if name not in tied]
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(f"the weights in {folder} cannot be put into this model: {_reason(error)}") from error
    wrong = [*lacking, *found.unexpected_keys]
    if wrong:
        raise ModelError(
            f"the weights in {folder} are those of another architecture: {len(wrong)} do not fit ({wrong[0]})"
        )


def write_folder(network: Any, tokenizer: Any, folder: Path, base: str | Path) -> None:
    """Write a network with its tokenizer; of a network with adapters only these, and their base: its name, or the way to its folder.

    Raises `RunFolderError` where the disk is full; a folder that was there before stays.
    """
    part, old = _beside(folder, ".part"), _beside(folder, ".old")
    try:
        _clear(folder, part, old)
        part.mkdir(parents=True)
        _fill(part, network, tokenizer, _way(folder, base) if isinstance(base, Path) else base)
        if folder.exists():
            os.replace(folder, old)
        os.replace(part, folder)
        flush(folder.parent)
    except Exception as error:
        problem = _disk_problem(error)
        if problem is None:
            raise
        raise disk_error(folder, problem) from error
    finally:
        _clear(folder, part, old)


def _clear(folder: Path, part: Path, old: Path) -> None:
    """Delete what a write left behind. Where it was cut off between its two renames, the folder that was there before goes back."""
    if old.exists() and not folder.exists():
        os.replace(old, folder)
    for left in (part, old):
        shutil.rmtree(left, ignore_errors=True)


def _beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(folder.name + suffix)


def _way(folder: Path, base: Path) -> str:
    """How an adapter names the folder of its base: relative to itself where both lie in one run folder, so that they can be moved together
    and equal runs have equal files; in full where the base lies elsewhere, so that the adapter can be moved without it."""
    here, there = folder.resolve(), base.resolve()
    run = here.parent.parent
    run = run.parent.parent if run.parent.name == "rounds" else run
    return os.path.relpath(there, here) if there.is_relative_to(run) else str(there)


def _fill(part: Path, network: Any, tokenizer: Any, base: str) -> None:
    """Write the files, and flush them to disk."""
    network.save_pretrained(part, safe_serialization=True)
    tokenizer.save_pretrained(part)
    (part / "README.md").unlink(missing_ok=True)
    if (part / ADAPTER).is_file():
        written = json.loads((part / ADAPTER).read_text()) | {"base_model_name_or_path": base}
        # peft writes sets, in an order that differs between processes
        settings = {name: sorted(value) if _is_texts(value) else value for name, value in written.items()}
        (part / ADAPTER).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    for path in (*part.iterdir(), part):
        flush(path)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _disk_problem(error: Exception) -> OSError | None:
    """The operating system's error, which safetensors wraps in a class of its own and tokenizers in a bare `Exception`."""
    from safetensors import SafetensorError

    if isinstance(error, OSError):
        return error
    if not isinstance(error, SafetensorError) and type(error) is not Exception:
        return None
    number = re.search(r"os error (\d+)", str(error))
    return OSError(int(number[1]) if number else None, _reason(error))


def _require_model_folder(folder: Path, config: str) -> None:
    wanted = {config: (folder / config).is_file(), "*.safetensors": any(folder.glob("*.safetensors"))}
    lacking = " and ".join(name for name, found in wanted.items() if not found)
    if lacking:
        raise ModelError(
            f"{folder} is not a model folder: it has no {lacking}; expected the Hugging Face layout with safetensors weights"
        )


def _without_dropout(network: Any) -> Any:
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0
    return network


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
