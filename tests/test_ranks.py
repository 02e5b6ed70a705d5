"""Training in two processes: what one process would have learnt, written once, and nobody left waiting."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file

from finished_run import finished_run
from swirl.cli import main
from swirl.engine.model import LanguageModel
from swirl.errors import SwirlError, TrainingError
from swirl.judges import StepSample
from swirl.records import read
from swirl.train import Metrics, TrainConfig, ranks
from swirl.train.loop import train
from swirl.train.ranks import leading, rank, share, together
from swirl.train.recorded import Probe, SampledState
from swirl.train.sft import finetune
from swirl.types import Verdict, VerdictStatus
from test_checkpoint import DEMONSTRATIONS, Cut, CutJudge
from together import run_together
from word_model import STATES, EchoJudge, word_model

CONFIG = TrainConfig(
    updates=3,
    states=5,
    actions=4,
    learning_rate=0.002,
    warmup_updates=1,
    max_tokens=6,
    max_context=40,
    checkpoint_every=1,
)
RUNS: dict[str, tuple[TrainConfig, dict[str, Any]]] = {
    "rloo": (CONFIG, {}),
    "fewer states than processes": (replace(CONFIG, states=1, kl_weight=0.0), {}),
    "grpo": (replace(CONFIG, objective="grpo", epochs=2, tokens_per_batch=40, kl_weight=0.0), {}),
    "dpo": (replace(CONFIG, objective="dpo"), {"lora_rank": 2}),
    "k1": (replace(CONFIG, kl="k1"), {}),
    "adapters": (CONFIG, {"lora_rank": 2}),
    "coarse weights": (replace(CONFIG, kl_weight=0.0), {"dtype": "bfloat16"}),
    "sft": (replace(CONFIG, objective="sft"), {}),
}


def model(folder: Path, name: str, **settings: Any) -> LanguageModel:
    return word_model(folder / "model", **RUNS[name][1], **settings)


def learn(lm: LanguageModel, name: str, folder: Path) -> None:
    if name == "sft":
        finetune(lm, DEMONSTRATIONS, RUNS[name][0], seed=1, folder=folder)
    else:
        train(lm, STATES, EchoJudge(), RUNS[name][0], seed=1, folder=folder)


def learn_together(folder: Path) -> None:
    for parallel in ("ddp", "fsdp"):
        for name in RUNS:
            learn(lm := model(folder, name, parallel=parallel), name, folder / parallel / name)
            mine = [weight.double().sum().item() for weight in lm.network.parameters()]
            assert together(lambda mine=mine: [mine]) == [mine, mine], (
                "every process has the whole trained model in hand"
            )
        learn(model(folder, "rloo", parallel=parallel), "rloo", folder / parallel / "begun alone")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    for name in RUNS:
        learn(model(folder, name), name, folder / "alone" / name)
    with pytest.raises(Cut):
        train(model(folder, "rloo"), STATES, CutJudge(3), CONFIG, seed=1, folder=folder / "begun alone")
    for parallel in ("ddp", "fsdp"):
        shutil.copytree(folder / "begun alone", folder / parallel / "begun alone")
    run_together(learn_together, folder)
    return folder


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(update) for update in read(folder / "metrics.jsonl", Metrics)]


def assert_same_metrics(found: Path, expected: Path, coarse: bool = False) -> None:
    """To rounding in the first update; later AdamW, which makes full steps of the least gradients, has made more of it. Where weights are
    coarse, other micro-batches round otherwise."""
    ours, theirs = metrics(found), metrics(expected)
    assert len(ours) == len(theirs) == 3
    for one, other in zip(ours, theirs, strict=True):
        rel = 0.01 if coarse else 1e-5 if one["update"] == 1 else 1e-3
        for name in one.keys() - {"tokens_read"}:  # what two processes share, both read
            about = pytest.approx(other[name], rel=rel, abs=1e-6) if isinstance(other[name], float) else other[name]
            assert one[name] == about, name
        assert other["tokens_read"] <= one["tokens_read"] <= one["naive_tokens"]


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize("name", RUNS)
def test_metrics_of_two_processes_are_those_of_one(name: str, parallel: str, folder: Path) -> None:
    assert_same_metrics(folder / parallel / name, folder / "alone" / name, coarse="dtype" in RUNS[name][1])


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize("name", ["rloo", "fewer states than processes", "grpo", "dpo", "k1", "adapters"])
def test_two_processes_put_on_record_what_one_would(name: str, parallel: str, folder: Path) -> None:
    """All that is sampled in the first update, to rounding, and what both policies say of it."""
    found, expected = [first_of(folder / way / name) for way in (parallel, "alone")]
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=2e-4)
    for file, kind in ((SampledState.FILE, SampledState), (Probe.FILE, Probe)):
        numbers = [len(list(read(folder / way / name / file, kind))) for way in (parallel, "alone")]
        assert numbers[0] == numbers[1]


def first_of(folder: Path) -> list[list[Any]]:
    """What is said of each token of the first update's actions: its number, its three log-probabilities, and what its action counts."""
    samples = [each for each in read(folder / SampledState.FILE, SampledState) if each.update == 1]
    probes = {each.place: each for each in read(folder / Probe.FILE, Probe) if each.checkpoint == 0}
    return [
        [*action.token_ids, *action.logprobs, *action.initial_logprobs, *probed, action.weight]
        for state in samples
        for action, probed in zip(state.actions, probes[state.place].logprobs, strict=True)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize("name", ["rloo", "adapters", "coarse weights"])
def test_what_is_written_has_the_form_of_one_process(name: str, parallel: str, folder: Path) -> None:
    found, expected = folder / parallel / name, folder / "alone" / name
    files = sorted(path.relative_to(expected) for path in expected.rglob("*"))
    assert sorted(path.relative_to(found) for path in found.rglob("*")) == files
    for file in files:
        if file.suffix == ".safetensors":
            ours, theirs = (load_file(path / file) for path in (found, expected))
            assert {key: (value.shape, value.dtype) for key, value in ours.items()} == {
                key: (value.shape, value.dtype) for key, value in theirs.items()
            }
            if "dtype" not in RUNS[name][1]:
                assert all((ours[key] - theirs[key]).norm() <= 0.01 * theirs[key].norm() for key in ours)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_go_on_where_one_was_cut_off_and_the_other_way_round(
    parallel: str, folder: Path, tmp_path: Path
) -> None:
    assert len(list((folder / "begun alone/checkpoints").iterdir())) == 2
    assert_same_metrics(folder / parallel / "begun alone", folder / "alone/rloo")
    begun = shutil.copytree(folder / parallel / "rloo", tmp_path / "begun")
    shutil.rmtree(begun / "checkpoints/update-000003")
    learn(model(folder, "rloo"), "rloo", begun)
    assert_same_metrics(begun, folder / "alone/rloo")


class SilentOn(EchoJudge):
    """Gives no verdict in one of the processes."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        verdicts = super().judge(list(samples))
        return [Verdict(None, status=VerdictStatus.REFUSED) for _ in verdicts] if rank() == self.number else verdicts


class RaisingOn(SilentOn):
    """Raises in one of them."""

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        if rank() == self.number:
            raise SwirlError("the judge is out for lunch")
        return EchoJudge.judge(self, list(samples))


class WildOn(SilentOn):
    """Gives scores in one of them of which nothing finite comes."""

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        wild = [Verdict(1e308 if i % 2 else -1e308) for i in range(len(samples))]
        return wild if rank() == self.number else EchoJudge.judge(self, list(samples))


def fail_together(folder: Path) -> None:
    expected = {
        SilentOn: r"verdicts are missing \(refused",
        RaisingOn: "out for lunch",
        WildOn: "update 1: expected a finite loss and gradient",
    }
    for number in (0, 1):
        for kind, message in expected.items():
            lm = model(folder, "rloo", parallel="fsdp" if number else "ddp")
            before = {name: weight.clone() for name, weight in lm.network.named_parameters()}
            out = folder / f"{kind.__name__}-{number}"
            with pytest.raises(SwirlError, match=message):
                train(lm, STATES, kind(number), replace(CONFIG, max_missing=0.2), seed=1, folder=out)
            assert all(torch.equal(before[name], weight) for name, weight in lm.network.named_parameters())
            assert leading(lambda out=out: (out / "metrics.jsonl").read_bytes()) == b""


@pytest.mark.slow
def test_what_goes_wrong_in_one_process_ends_all_with_the_same_sentence(tmp_path: Path) -> None:
    word_model(tmp_path / "model")
    run_together(fail_together, tmp_path)


def test_shares_are_neighbours_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "size", lambda: 3)
    for count in range(8):
        parts = []
        for number in range(3):
            monkeypatch.setattr(ranks, "rank", lambda number=number: number)
            parts.append(list(share(range(count))))
        assert list(chain(*parts)) == list(range(count))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_one_process_asks_nobody() -> None:
    def fail() -> list[int]:
        raise TrainingError("as it is")

    assert not torch.distributed.is_initialized()
    with pytest.raises(TrainingError, match="as it is"):
        together(fail)


def torchrun(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "swirl"]
    return subprocess.run([*launch, *words], capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.slow
def test_the_command_line_in_two_processes(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    theirs = metrics(shutil.move(run / "train", tmp_path / "alone"))
    done = torchrun(["train", str(run), "--policy.parallel", "fsdp"])
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("train (rloo): 2 updates") == 1, "one speaks for all"
    for one, other in zip(metrics(run / "train"), theirs, strict=True):
        assert {name: one[name] for name in ("num_samples", "sampled", "missing", "reward")} == {
            name: other[name] for name in ("num_samples", "sampled", "missing", "reward")
        }
    assert (run / "train/model/model.safetensors").exists()
    run_together(go_on, run, tmp_path)
    done = torchrun(["train", str(run), "--redo", "--train.learning-rate", "1e30", "--train.warmup-updates", "0"])
    assert done.returncode != 0
    assert done.stderr.count("error: ") == 1, done.stderr
    assert "update 2: expected a finite loss and gradient" in done.stderr
    assert "terminate called" not in done.stderr


def go_on(run: Path, scratch: Path) -> None:
    """By the same command, and by one that asks for more updates."""
    status, said = told(["train", str(run), "--policy.parallel", "ddp"], scratch)
    assert (status, said.count("all 2 updates are there already")) == (0, 1), said
    status, said = told(["train", str(run), "--train.updates", "3"], scratch)
    assert status == 2
    assert said.count("error: ") == 1, "one sentence, said once"
    assert "`train` has run with other settings" in said


def told(words: Sequence[str], scratch: Path) -> tuple[int, str]:
    """Exit status of a command in this process, and what all of them have said on standard error."""
    path = scratch / f"said by {rank()}"
    with path.open("w") as said, redirect_stderr(said):
        status = main(words)
    return status, "".join(together(lambda: [path.read_text()]))


@pytest.mark.parametrize("command", ["run", "demo", "generate", "evaluate"])
def test_other_commands_say_that_they_work_in_one_process(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert main([command, "smoke"]) == 2
    said = capsys.readouterr().err
    assert f"error: `swirl {command}` works in one process, and torchrun started 2: run it without torchrun" in said
    assert "torchrun --nproc-per-node 2 -m swirl train RUN" in said
