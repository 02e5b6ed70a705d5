"""What only a GPU can show: there everything is what it is on the processor, in kernels of its own.

Skipped where there is no CUDA GPU. Where there is one: `python -m pytest -m gpu`.
"""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from transformers import Qwen2Config, Qwen2ForCausalLM

from killing import content, run_swirl
from swirl.engine import PolicyConfig, Sampling
from swirl.engine.cache import Memory
from swirl.engine.encoder import load_encoder
from swirl.engine.forward import predict_packed, predict_rows
from swirl.engine.model import LanguageModel, load
from swirl.engine.sampler import sample
from swirl.train import TrainConfig, learner
from swirl.train.engines import Engine, Replicated, Sharded, whole
from swirl.train.learner import Learner
from swirl.train.loop import train
from test_attention import logprobs, some_rows
from test_checkpoint import CONFIG, Cut, CutJudge, contents
from test_decoder import CONTEXTS, SAMPLING, SEEDS, later, same
from test_encoder import POOLS, TEXTS, write_encoder
from test_engines import CASES, MODELS
from tiny_models import FAMILIES, write_model
from word_model import STATES, EchoJudge, word_model

DEVICE = "cuda"
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")]


def model(folder: Path, family: str = "llama", device: str = DEVICE, **settings: Any) -> LanguageModel:
    """The same weights on any device."""
    if not folder.exists():
        write_model(folder, family)
    return load(PolicyConfig(model=str(folder), device=device, **settings))


def slopes(network: Any, said: torch.Tensor) -> torch.Tensor:
    """The gradients of some log-probabilities, in one."""
    weights = torch.linspace(-1, 1, len(said), device=said.device)
    found = torch.autograd.grad((said.float() * weights).sum(), list(network.parameters()))
    return torch.cat([slope.flatten().float() for slope in found])


@pytest.mark.parametrize("family", FAMILIES)
def test_coarse_weights_read_packed_are_as_near_the_truth_as_row_by_row(family: str, tmp_path: Path) -> None:
    """Of log-probabilities and gradients alike."""
    precise, coarse = (model(tmp_path / "m", family, dtype=dtype) for dtype in ("float32", "bfloat16"))
    truth = logprobs(predict_rows(precise.network, some_rows(), precise.device))
    true_slopes = slopes(precise.network, truth)
    apart = {}
    for predict in (predict_rows, predict_packed):
        said = logprobs(predict(coarse.network, some_rows(), coarse.device))
        apart[predict] = (
            (said - truth).norm() / truth.norm(),
            (slopes(coarse.network, said) - true_slopes).norm() / true_slopes.norm(),
        )
    for packed, plain in zip(apart[predict_packed], apart[predict_rows], strict=True):
        assert packed < 1.5 * plain + 1e-3


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("bfloat16", 0.05)])
def test_heads_of_a_real_shape_are_read_packed_as_row_by_row(dtype: str, tolerance: float) -> None:
    """Seven query heads a key head, 64 wide, as Qwen2.5-0.5B has them; a trunk of several of the kernel's blocks."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=300,
        hidden_size=896,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=14,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    network = Qwen2ForCausalLM(config).to(DEVICE, getattr(torch, dtype)).eval()
    rows = some_rows(300)
    plain, packed = (
        logprobs(predict(network, rows, torch.device(DEVICE))) for predict in (predict_rows, predict_packed)
    )
    assert (plain - packed).abs().max() < tolerance
    expected = slopes(network, plain)
    assert (slopes(network, packed) - expected).norm() < tolerance * expected.norm()


def gradients(folder: Path, case: str, device: str, packed: bool = True) -> dict[str, torch.Tensor]:
    """The loss of a case and the gradients of its weights."""
    name, settings, rows, config = CASES[case]
    lm = model(folder / name, MODELS[name], device, **settings)
    with torch.no_grad():
        for weight_name, weight in lm.network.named_parameters():
            if "lora_B" in weight_name:
                weight += 0.05
    own = Learner(lm, config)
    own.reader.packed = packed and case != "row by row"
    total, *_ = own.accumulate(rows)
    found = {weight_name: whole(weight.grad).cpu() for weight_name, weight in own.weights.items()}
    return {**found, "loss": torch.tensor([total])}


def assert_near(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float) -> None:
    """Each to a share of its size."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert (found[name] - value).norm() <= tolerance * value.norm(), name


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("more on the second", "none on the first")])
def test_losses_and_gradients_are_those_of_the_processor(case: str, tmp_path: Path) -> None:
    """The KL term, adapters, layers that are computed again: read packed, and row by row."""
    tolerance = 0.1 if "dtype" in CASES[case][1] else 1e-4
    expected = gradients(tmp_path, case, "cpu")
    assert_near(gradients(tmp_path, case, DEVICE), expected, tolerance)
    assert_near(gradients(tmp_path, case, DEVICE, packed=False), expected, tolerance)


@pytest.fixture
def one_of_one() -> Iterator[None]:
    """A process that has joined a group of which it is all."""
    backend = "cpu:gloo,cuda:nccl" if DEVICE == "cuda" else "gloo"
    dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("case", ["tied weights", "layers computed again", "adapters", "coarse weights"])
@pytest.mark.parametrize("kind", [Replicated, Sharded])
@pytest.mark.usefixtures("one_of_one")
def test_the_engines_of_several_processes_give_the_same_gradients_on_one_gpu(
    kind: Callable[..., Engine], case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = gradients(tmp_path, case, DEVICE)
    monkeypatch.setattr(learner, "engine", kind)
    assert_near(gradients(tmp_path, case, DEVICE), expected, 0.02 if case == "coarse weights" else 1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_what_is_sampled_is_sampled_again(family: str, dtype: str, tmp_path: Path) -> None:
    """Bit for bit, log-probabilities included, from step to step with what is remembered."""
    lm = model(tmp_path / "m", family, dtype=dtype)

    def steps() -> list[Any]:
        memory, contexts, seeds, found = Memory(), CONTEXTS, SEEDS, []
        for step in range(3):
            found.append(sample(lm, contexts, SAMPLING, seeds, memory))
            contexts = later(contexts, found[-1])
            seeds = [[100 * step + i] for i in range(len(contexts))]
        return found

    assert steps() == steps()


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_sampled_together_is_what_is_sampled_one_by_one_and_on_the_processor(
    family: str, tmp_path: Path
) -> None:
    lm = model(tmp_path / "m", family)
    together = sample(lm, CONTEXTS, SAMPLING, SEEDS)
    alone = [
        [sample(lm, [context], SAMPLING, [[seed]])[0][0] for seed in own]
        for context, own in zip(CONTEXTS, SEEDS, strict=True)
    ]
    same(together, alone)
    same(together, sample(model(tmp_path / "m", family, "cpu"), CONTEXTS, SAMPLING, SEEDS))


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_actions_are_those_of_generate(family: str, tmp_path: Path) -> None:
    lm = model(tmp_path / "m", family)
    greedy = Sampling(temperature=0.0, max_tokens=24, stop=())
    for context, [one] in zip(CONTEXTS, sample(lm, CONTEXTS, greedy, [[0]] * len(CONTEXTS)), strict=True):
        ids = torch.tensor([context], device=lm.device)
        said = lm.network.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=24, pad_token_id=0
        )
        assert one.ids == tuple(said[0, len(context) :][: len(one.ids)].tolist())
        assert len(one.ids) == 24 or one.ids[-1] in lm.tokenizer.all_special_ids, "at which actions alone end"


@pytest.mark.parametrize("settings", [{}, {"dtype": "bfloat16"}, {"lora_rank": 2}], ids=str)
def test_training_that_was_cut_off_ends_with_the_same_bytes(settings: dict[str, Any], tmp_path: Path) -> None:
    def start(folder: str, judge: EchoJudge | None = None) -> dict[str, bytes]:
        lm = word_model(tmp_path / "model", device=DEVICE, **settings)
        train(lm, STATES, judge or EchoJudge(), CONFIG, seed=1, folder=tmp_path / folder)
        return contents(tmp_path / folder)

    undisturbed = start("undisturbed")
    for _ in range(2):
        with pytest.raises(Cut):
            start("cut", CutJudge(3))
    assert start("cut") == undisturbed


def test_an_update_is_the_same_update_again(tmp_path: Path) -> None:
    """With micro-batches enough for every kind of kernel, and an untouched copy of the initial policy beside."""
    _, _, rows, _ = CASES["tied weights"]
    ends = []
    for _ in range(2):
        lm = model(tmp_path / "m", "gemma2")
        own = Learner(lm, TrainConfig(tokens_per_batch=30, warmup_updates=0))
        told = [own.learn(rows, update) for update in range(3)]
        ends.append((told, copy.deepcopy(lm.network.state_dict())))
    (told, weights), (again, others) = ends
    assert told == again
    assert all(torch.equal(weight, others[name]) for name, weight in weights.items())


def test_texts_are_encoded_as_on_the_processor(tmp_path: Path) -> None:
    for way, (_, config) in POOLS.items():
        folder = str(write_encoder(tmp_path / way, config))
        here, there = (load_encoder(folder, device).encode(TEXTS, queries=False) for device in (DEVICE, "cpu"))
        np.testing.assert_allclose(here, there, atol=1e-5)


def test_a_whole_run_gives_the_same_bytes_again(tmp_path: Path) -> None:
    """Every stage, from the command line."""
    runs = [tmp_path / name for name in ("one", "other")]
    for run in runs:
        run_swirl(["run", "smoke", "--out", str(run), "--policy.device", DEVICE])
    first, second = map(content, runs)
    assert first == second
    assert {"trajectories.jsonl", "train/model/model.safetensors"} <= first.keys()
