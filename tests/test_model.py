"""Loading, adapting, saving, and what is said when that fails."""

import json
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from safetensors import SafetensorError

from swirl.engine import PolicyConfig
from swirl.engine.model import load, reference, restore, save
from swirl.errors import ConfigError, ModelError, RunFolderError
from tiny_models import FAMILIES, tiny_model, write_model

IDS = torch.arange(12)[None]


def logits(network):
    with torch.no_grad():
        return network(IDS).logits


def train_a_little(lm):
    with torch.no_grad():
        for weight in lm.network.parameters():
            if weight.requires_grad:
                weight += 0.1


def config_of(folder, **changes):
    return PolicyConfig(model=str(folder), device="cpu", **changes)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_saved_loads_as_the_same_model(family, tmp_path):
    lm = tiny_model(tmp_path / "m", family)
    train_a_little(lm)
    save(lm, tmp_path / "saved")
    again = load(config_of(tmp_path / "saved"))
    assert torch.equal(logits(again.network), logits(lm.network))
    assert again.chat.open == lm.chat.open
    assert again.end_ids == lm.end_ids


def test_a_name_is_tied_to_the_weights_and_not_to_the_place(tmp_path):
    first = tiny_model(tmp_path / "a" / "m")
    assert tiny_model(tmp_path / "b" / "m").name == first.name
    assert tiny_model(tmp_path / "c" / "m", seed=1).name != first.name
    assert first.name.startswith("m@")
    assert len(first.name) == len("m@") + 12


@pytest.mark.parametrize("rank", [0, 4])
def test_the_reference_is_the_initial_policy_whatever_was_trained(rank, tmp_path):
    lm = load(config_of(write_model(tmp_path / "m"), lora_rank=rank))
    before = logits(lm.network)
    train_a_little(lm)
    assert not torch.allclose(logits(lm.network), before, atol=1e-2)
    with reference(lm) as initial:
        assert torch.equal(logits(initial), before)
    assert not torch.allclose(logits(lm.network), before, atol=1e-2)


def test_fresh_adapters_change_nothing_and_come_from_the_seed(tmp_path):
    plain = tiny_model(tmp_path / "m")
    config = replace(plain.config, lora_rank=4)
    torch.manual_seed(1)
    one = load(config, seed=5)
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    two = load(config, seed=5)
    assert torch.equal(torch.random.get_rng_state(), state)
    other = load(config, seed=6)
    assert torch.equal(logits(one.network), logits(plain.network))
    weights = [dict(lm.network.named_parameters()) for lm in (one, two, other)]
    adapters = [name for name in weights[0] if "lora_A" in name]
    assert len(adapters) == 14, "seven linear maps in each of two layers"
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in adapters)
    assert not any(torch.equal(weights[0][name], weights[2][name]) for name in adapters)
    assert all(("lora_" in name) == weight.requires_grad for name, weight in weights[0].items())


def test_saved_adapters_load_on_their_base(tmp_path):
    lm = load(config_of(write_model(tmp_path / "m"), lora_rank=4))
    train_a_little(lm)
    save(lm, tmp_path / "adapter")
    assert not (tmp_path / "adapter" / "model.safetensors").exists()
    again = load(config_of(tmp_path / "adapter"))
    assert torch.allclose(logits(again.network), logits(lm.network), atol=1e-3)
    assert again.name.startswith("adapter@")
    further = load(config_of(tmp_path / "adapter", lora_rank=2))
    assert torch.equal(logits(further.network), logits(again.network))


def test_small_changes_of_an_adapter_are_not_lost_in_coarse_weights(tmp_path):
    lm = load(config_of(write_model(tmp_path / "m"), lora_rank=4, dtype="bfloat16"))
    before = logits(lm.network)
    with torch.no_grad():
        for name, weight in lm.network.named_parameters():
            if "lora_B" in name:
                weight += 1e-3
    save(lm, tmp_path / "adapter")
    trained = logits(lm.network)
    assert not torch.equal(trained, before)
    assert torch.equal(logits(load(config_of(tmp_path / "adapter", dtype="bfloat16")).network), trained)
    further = load(config_of(tmp_path / "adapter", lora_rank=2, dtype="bfloat16"))
    precise = load(config_of(tmp_path / "adapter"))
    assert torch.equal(logits(further.network), logits(precise.network))


def save_adapter(base, folder):
    lm = load(config_of(base, lora_rank=4))
    train_a_little(lm)
    save(lm, folder)
    return json.loads((folder / "adapter_config.json").read_text())


def test_an_adapter_and_its_base_in_one_run_folder_can_be_moved(tmp_path):
    settings = save_adapter(write_model(tmp_path / "run/warm_start/model"), tmp_path / "run/train/model")
    assert settings["base_model_name_or_path"] == "../../warm_start/model"
    before = logits(load(config_of(tmp_path / "run/train/model")).network)
    (tmp_path / "run").rename(tmp_path / "moved")
    assert torch.equal(logits(load(config_of(tmp_path / "moved/train/model")).network), before)
    shutil.rmtree(tmp_path / "moved/warm_start")
    with pytest.raises(
        ModelError, match=r"belongs on the model in .*/moved/warm_start/model, and there is no such folder"
    ):
        load(config_of(tmp_path / "moved/train/model"))


def test_an_adapter_can_be_moved_away_from_a_base_that_lies_elsewhere(tmp_path):
    base = write_model(tmp_path / "models/m")
    settings = save_adapter(base, tmp_path / "runs/one/train/model")
    assert settings["base_model_name_or_path"] == str(base)
    (tmp_path / "runs/one/train").rename(tmp_path / "moved")
    assert load(config_of(tmp_path / "moved/model")).name.startswith("model@")


def test_what_peft_keeps_in_sets_is_written_in_order(tmp_path):
    names = save_adapter(write_model(tmp_path / "m"), tmp_path / "adapter")["target_modules"]
    assert len(names) == 14
    assert names == sorted(names)


@pytest.mark.parametrize("rank", [0, 4])
def test_restoring_puts_every_weight_back_bit_for_bit(rank, tmp_path):
    config = config_of(write_model(tmp_path / "m"), lora_rank=rank)
    lm = load(config)
    train_a_little(lm)
    save(lm, tmp_path / "saved")
    again = load(config)
    restore(again, tmp_path / "saved")
    assert torch.equal(logits(again.network), logits(lm.network))


def test_saving_over_a_folder_replaces_it_whole_and_leaves_nothing_behind(tmp_path):
    lm = tiny_model(tmp_path / "m")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "stale.safetensors").write_text("old")
    save(lm, tmp_path / "saved")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "saved"]
    assert not (tmp_path / "saved" / "stale.safetensors").exists()


@contextmanager
def files_up_to(size):
    """A limit on the size of files, which stands in for a full disk; it holds for the test's own output too, so only while it is needed."""
    kind, before = resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(kind, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


@pytest.mark.parametrize("size", [100, 40_000, 200_000], ids=["settings", "weights", "tokenizer"])
@pytest.mark.parametrize("left", ["saved", "saved.old"], ids=["", "after a kill between two renames"])
def test_a_full_disk_is_said_in_one_sentence_and_keeps_what_was_there(left, size, tmp_path):
    lm = tiny_model(tmp_path / "m")
    save(lm, tmp_path / "saved")
    os.replace(tmp_path / "saved", tmp_path / left)
    train_a_little(lm)
    lm.tokenizer.add_tokens([f"word{i}" for i in range(3000)])
    with files_up_to(size), pytest.raises(RunFolderError, match=r"^no space left to write .*saved; .*$"):
        save(lm, tmp_path / "saved")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "saved"]
    assert load(config_of(tmp_path / "saved")).name.split("@")[1] == lm.name.split("@")[1]


def test_a_failure_of_the_file_format_is_said_in_one_sentence(tmp_path, monkeypatch):
    lm = tiny_model(tmp_path / "m")

    def fail(*_, **__):
        raise SafetensorError("Error while serializing: no reason given")

    monkeypatch.setattr(lm.network, "save_pretrained", fail)
    with pytest.raises(RunFolderError, match=r"cannot write .*saved: Error while serializing: no reason given;"):
        save(lm, tmp_path / "saved")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("left", [["model", "model.part"], ["model.part", "model.old"], ["model", "model.old"]])
def test_what_a_killed_write_left_is_gone_after_the_next(left, tmp_path):
    lm = tiny_model(tmp_path / "m")
    for name in left:
        shutil.copytree(tmp_path / "m", tmp_path / name)
    save(lm, tmp_path / "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "model"]


def test_a_network_is_loaded_for_evaluation_and_without_dropout(tmp_path):
    folder = write_model(tmp_path / "m")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"attention_dropout": 0.5}))
    network = load(config_of(folder)).network
    assert not network.training
    assert torch.equal(logits(network.train()), logits(network.eval()))


def test_weights_come_in_the_format_asked_for(tmp_path):
    lm = load(config_of(write_model(tmp_path / "m"), dtype="bfloat16"))
    assert {weight.dtype for weight in lm.network.parameters()} == {torch.bfloat16}


def truncate(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def put_garbage(folder):
    (folder / "model.safetensors").write_bytes(b"not safetensors")


def put_other_weights(folder):
    shutil.copy(write_model(folder.parent / "other", "qwen2") / "model.safetensors", folder / "model.safetensors")


def remove_config(folder):
    (folder / "config.json").unlink()


def remove_everything(folder):
    for path in folder.iterdir():
        path.unlink()


def leave_only_a_pickle(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def name_an_unknown_architecture(folder):
    (folder / "config.json").write_text('{"model_type": "nothing_known"}')


def ask_for_its_own_code(folder):
    settings = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C", "AutoModelForCausalLM": "mine.M"}}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "mine.py").write_text("raise SystemExit('code from a model folder ran')")


def claim_another_width(folder):
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"intermediate_size": 64}))


def remove_tokenizer(folder):
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncate, "cannot be read"),
        (put_garbage, "cannot be read"),
        (put_other_weights, "they belong to another architecture"),
        (remove_config, "is not a model folder: it has no config.json"),
        (remove_everything, "is not a model folder: it has no config.json and *.safetensors"),
        (leave_only_a_pickle, "is not a model folder: it has no *.safetensors"),
        (name_an_unknown_architecture, "cannot be read"),
        (ask_for_its_own_code, "cannot be read"),
        (claim_another_width, "another architecture"),
        (remove_tokenizer, "the tokenizer in"),
    ],
)
def test_a_broken_folder_is_reported_in_one_sentence(damage, said, tmp_path):
    folder = write_model(tmp_path / "m")
    damage(folder)
    with pytest.raises(ModelError) as caught:
        load(config_of(folder))
    assert said in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_path_that_is_no_folder_is_reported(tmp_path):
    with pytest.raises(ModelError, match=r"there is no folder .*/missing"):
        load(config_of(tmp_path / "missing"))


def test_an_unreachable_hub_is_reported_in_one_sentence(tmp_path):
    code = (
        "from swirl.engine import PolicyConfig\nfrom swirl.engine.model import load\nfrom swirl.errors import ModelError\n"
        "try: load(PolicyConfig(model='no-such/model', device='cpu'))\nexcept ModelError as error: print(error)"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith(
        "there is no folder no-such/model, and the Hugging Face hub did not give a model of that name ("
    )
    assert said.count("\n") == 1


def test_a_checkpoint_of_another_architecture_is_not_restored(tmp_path):
    lm = tiny_model(tmp_path / "m")
    other = write_model(tmp_path / "other", "qwen2")
    with pytest.raises(ModelError, match="another architecture"):
        restore(lm, other)
    with pytest.raises(ModelError, match="is not a model folder"):
        restore(lm, tmp_path / "nowhere")


def test_a_device_that_is_not_there_is_reported(tmp_path):
    absent = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(ModelError, match=f"policy.device is {absent}"):
        load(PolicyConfig(model=str(write_model(tmp_path / "m")), device=absent))


@pytest.mark.parametrize("change", [{"model": ""}, {"lora_rank": -1}, {"threads": -1}, {"lora_alpha": 0.0}])
def test_a_wrong_setting_is_named(change):
    [name] = change
    with pytest.raises(ConfigError, match=f"policy.{name}"):
        PolicyConfig(**change)


def test_the_engines_front_loads_without_torch():
    code = "import sys, swirl.policies, swirl.engine, swirl.policies.scripted; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.skipif("SWIRL_TEST_MODEL" not in os.environ, reason="SWIRL_TEST_MODEL names no real model folder")
def test_a_real_model_loads():
    lm = load(PolicyConfig(model=os.environ["SWIRL_TEST_MODEL"], device="cpu"))
    assert lm.tokenizer.eos_token_id in lm.end_ids
    assert torch.isfinite(logits(lm.network)).all()
