"""Two processes against one: the same gradients for the same rows, however these fall to the processes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from swirl.engine import PolicyConfig
from swirl.engine.model import load
from swirl.engine.tree import packs
from swirl.train import TrainConfig
from swirl.train.engines import whole
from swirl.train.learner import Learner
from swirl.train.ranks import rank
from swirl.train.rows import Row
from test_attention import some_rows
from tiny_models import write_model
from together import run_together

ROWS = [
    Row(context, action, (-1.0) ** i * (i + 1) / 19, 0.1 if i % 3 else 0.0)
    for i, (context, action) in enumerate(some_rows()[5:])
]
CUT = TrainConfig(tokens_per_batch=30)
MODELS = {"untied": "llama", "tied": "gemma2"}
CASES: dict[str, tuple[str, dict[str, Any], list[Row], TrainConfig]] = {
    "untied weights": ("untied", {}, ROWS, CUT),
    "tied weights": ("tied", {}, ROWS, CUT),
    "more on the second": ("untied", {}, [*[ROWS[0]._replace(action=(n,)) for n in range(23)], *ROWS[1:]], CUT),
    "none on the first": ("tied", {}, ROWS[:1], CUT),
    "no rows at all": ("untied", {}, [], CUT),
    "layers computed again": ("tied", {"recompute": True}, ROWS, CUT),
    "row by row": ("untied", {}, ROWS, CUT),
    "adapters": ("untied", {"lora_rank": 4}, ROWS, CUT),
    "adapters beside coarse weights": ("untied", {"lora_rank": 4, "dtype": "bfloat16"}, ROWS, CUT),
    "coarse weights": ("tied", {"dtype": "bfloat16"}, ROWS, CUT),
}


def gradients(folder: Path, case: str, parallel: str) -> dict[str, torch.Tensor]:
    """The loss and the gradients of a case, in as many processes as there are."""
    name, settings, rows, config = CASES[case]
    lm = load(PolicyConfig(model=str(folder / name), device="cpu", threads=1, parallel=parallel, **settings))
    with torch.no_grad():
        for weight_name, weight in lm.network.named_parameters():
            if "lora_B" in weight_name:  # else the initial policy is the policy, and half of an adapter has no gradient
                weight += 0.05
    if case == "row by row":
        lm.network.config.model_type = "another"
    learner = Learner(lm, config)
    assert learner.reader.packed == (case != "row by row")
    total, _, num_read = learner.accumulate(rows)
    found = {weight_name: whole(weight.grad).clone() for weight_name, weight in learner.weights.items()}
    return found | {"loss": torch.tensor([total]), "tokens": torch.tensor([num_read])}


def write_gradients(folder: Path) -> None:
    for parallel in ("ddp", "fsdp"):
        for case in CASES:
            save_file(gradients(folder, case, parallel), folder / f"{parallel}, {case}, {rank()}.safetensors")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engines")
    for name, family in MODELS.items():
        write_model(folder / name, family)
    run_together(write_gradients, folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize("case", CASES)
def test_gradients_of_two_processes_are_those_of_one(case: str, parallel: str, folder: Path) -> None:
    """In bfloat16 other micro-batches round otherwise; the two engines still agree, so it is not they that lose precision."""
    alone = gradients(folder, case, parallel)
    first, second = (load_file(folder / f"{parallel}, {case}, {number}.safetensors") for number in (0, 1))
    other = load_file(folder / f"{'ddp' if parallel == 'fsdp' else 'fsdp'}, {case}, 0.safetensors")
    coarse = "dtype" in CASES[case][1]
    assert first.keys() == second.keys() == alone.keys()
    assert (case == "no rows at all") == (not any(gradient.any() for gradient in alone.values()))
    for name, expected in alone.items():
        if name != "tokens":  # what two processes share, both read
            assert torch.equal(first[name], second[name]), name
            assert (first[name] - expected).norm() <= (0.02 if coarse else 1e-6) * expected.norm(), name
            assert (first[name] - other[name]).norm() <= 1e-6 * expected.norm(), name


@pytest.mark.parametrize(("case", "expected"), [("untied weights", [6, 5]), ("more on the second", [1, 11])])
def test_the_processes_have_different_work(case: str, expected: list[int]) -> None:
    """In micro-batches and in tokens that are predicted; else the tests above would show less than they seem to."""
    rows = CASES[case][2]
    halves = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    found = [len(list(packs([(row.context, row.action) for row in half], CUT.tokens_per_batch))) for half in halves]
    assert found == expected
    assert len({sum(len(row.action) for row in half) for half in halves}) == 2
