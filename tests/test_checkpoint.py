"""Training that is cut off at any moment and called again ends with the same bytes as training that was left alone."""

import errno
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from swirl.engine.model import LanguageModel
from swirl.errors import ModelError, RunFolderError
from swirl.judges import StepSample
from swirl.train import TrainConfig
from swirl.train.loop import train
from swirl.train.sft import finetune
from swirl.types import Verdict
from word_model import STATES, EchoJudge, state, step, word_model, write_word_model

CONFIG = TrainConfig(
    updates=5,
    states=4,
    actions=4,
    learning_rate=0.02,
    warmup_updates=1,
    max_tokens=6,
    max_context=40,
    checkpoint_every=2,
)
DEMONSTRATIONS = [
    state("3 1", step("<math_exp> 1 </math_exp>", "1"), step(f"<answer> {digit} </answer>")) for digit in range(6)
]


class Cut(Exception):
    """A kill, as far as a test in one process can have one."""


class CutJudge(EchoJudge):
    """Cut off at its `calls`-th call."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.left = calls

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        self.left -= 1
        if not self.left:
            raise Cut
        return super().judge(list(samples))


def start(
    tmp_path: Path, folder: str, judge: EchoJudge | None = None, seed: int = 1, states: Any = STATES, **settings: Any
) -> None:
    """What the command does: load the model, train it."""
    config = TrainConfig(**{**vars(CONFIG), **settings})
    train(word_model(tmp_path / "model"), states, judge or EchoJudge(), config, seed=seed, folder=tmp_path / folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def undisturbed(tmp_path: Path) -> dict[str, bytes]:
    start(tmp_path, "undisturbed")
    return contents(tmp_path / "undisturbed")


def test_what_is_written(undisturbed: dict[str, bytes]) -> None:
    folders = {str(Path(name).parent) for name in undisturbed}
    assert folders == {".", "model", "checkpoints/update-000004", "checkpoints/update-000005"}
    lines = {name: data.count(b"\n") for name, data in undisturbed.items() if name.endswith(".jsonl")}
    assert lines == {"metrics.jsonl": 5, "samples.jsonl": 5 * 4, "probes.jsonl": 4 * 4}


@pytest.mark.parametrize("calls", [1, 2, 3, 5])
def test_cut_off_in_an_update(calls: int, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    with pytest.raises(Cut):
        start(tmp_path, "cut", CutJudge(calls))
    start(tmp_path, "cut")
    assert contents(tmp_path / "cut") == undisturbed


@pytest.mark.parametrize("update", [1, 2, 3, 5])
def test_cut_off_between_metrics_and_checkpoint(update: int, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    def cut(metrics: Any, timing: object) -> None:
        if metrics.update == update:
            raise Cut

    with pytest.raises(Cut):
        train(
            word_model(tmp_path / "model"), STATES, EchoJudge(), CONFIG, seed=1, folder=tmp_path / "cut", on_update=cut
        )
    assert (tmp_path / "cut/metrics.jsonl").read_bytes().count(b"\n") == update
    start(tmp_path, "cut")
    assert contents(tmp_path / "cut") == undisturbed


def test_cut_off_again_and_again(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    for _ in range(2):
        with pytest.raises(Cut):
            start(tmp_path, "cut", CutJudge(3))
    start(tmp_path, "cut")
    assert contents(tmp_path / "cut") == undisturbed


def fail_at(count: int, call: Callable[..., None], error: Exception) -> Callable[..., None]:
    """A function that fails at its `count`-th call, and works otherwise."""
    left = [count]

    def failing(*arguments: Any, **keywords: Any) -> None:
        left[0] -= 1
        if not left[0]:
            raise error
        call(*arguments, **keywords)

    return failing


@pytest.mark.parametrize("rename", [1, 2, 3, 4, 5])
def test_cut_off_in_a_checkpoint(
    rename: int, tmp_path: Path, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename puts a checkpoint in its place, or begins to delete an old one."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_at(rename, os.replace, Cut()))
        try:
            start(tmp_path, "cut")
        except Cut:
            assert contents(tmp_path / "cut") != undisturbed
    start(tmp_path, "cut")
    assert contents(tmp_path / "cut") == undisturbed


def test_a_full_disk_is_said_and_costs_nothing_but_time(
    tmp_path: Path, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_at(2, os.replace, full))
        with pytest.raises(RunFolderError, match=r"no space left to write .*update-000004"):
            start(tmp_path, "cut")
    start(tmp_path, "cut")
    assert contents(tmp_path / "cut") == undisturbed


@pytest.mark.parametrize("file", ["metrics.jsonl", "samples.jsonl", "probes.jsonl"])
def test_a_torn_line_is_dropped(file: str, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    with pytest.raises(Cut):
        start(tmp_path, "cut", CutJudge(4))
    with (tmp_path / "cut" / file).open("ab") as stream:
        stream.write(b'{"schema":"swirl.upd')
    start(tmp_path, "cut")
    assert contents(tmp_path / "cut") == undisturbed


def test_finished_training_is_left_as_it_is(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    judge = EchoJudge()
    start(tmp_path, "undisturbed", judge)
    assert judge.asked == []
    assert contents(tmp_path / "undisturbed") == undisturbed


def test_the_model_in_hand_is_the_one_that_was_trained(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    lm = word_model(tmp_path / "model")
    train(lm, STATES, EchoJudge(), CONFIG, seed=1, folder=tmp_path / "undisturbed")
    saved = word_model(tmp_path / "undisturbed/model")
    for ours, theirs in zip(lm.network.parameters(), saved.network.parameters(), strict=True):
        assert (ours == theirs).all()


def sft(lm: LanguageModel, folder: Path, on_update: Callable[..., None]) -> None:
    config = TrainConfig(objective="sft", updates=5, states=4, learning_rate=0.02, warmup_updates=1, checkpoint_every=2)
    finetune(lm, DEMONSTRATIONS, config, seed=1, folder=folder, on_update=on_update)


def test_supervised_training_goes_on_too(tmp_path: Path) -> None:
    def cut(metrics: Any, timing: object) -> None:
        if metrics.update == 3:
            raise Cut

    sft(word_model(tmp_path / "model"), tmp_path / "undisturbed", lambda *_: None)
    with pytest.raises(Cut):
        sft(word_model(tmp_path / "model"), tmp_path / "cut", cut)
    sft(word_model(tmp_path / "model"), tmp_path / "cut", lambda *_: None)
    assert contents(tmp_path / "cut") == contents(tmp_path / "undisturbed")


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    with pytest.raises(
        RunFolderError, match=r"belongs to another run: train\.learning_rate is 0\.02 there and 0\.1 now"
    ):
        start(tmp_path, "undisturbed", learning_rate=0.1)
    with pytest.raises(RunFolderError, match="seed is 1 there and 2 now"):
        start(tmp_path, "undisturbed", seed=2)
    with pytest.raises(RunFolderError, match=r"training data is '36 records .*' there and '35 records .*' now"):
        start(tmp_path, "undisturbed", states=STATES[1:])


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    lm, other = word_model(tmp_path / "model"), word_model(tmp_path / "model", lora_rank=0)
    other.network.lm_head = other.network.lm_head.__class__(16, 9, bias=False)
    lm.network = other.network
    message = "belongs to another architecture: lm_head.weight is [15, 16] there and [9, 16] in this model"
    with pytest.raises(ModelError, match=re.escape(message)):
        train(lm, STATES, EchoJudge(), CONFIG, seed=1, folder=tmp_path / "undisturbed")


def test_another_model_of_the_same_shape_is_refused(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    lm = word_model(write_word_model(tmp_path / "other", seed=3))
    with pytest.raises(RunFolderError, match=r"policy is 'model@.*' there and 'other@.*' now"):
        train(lm, STATES, EchoJudge(), CONFIG, seed=1, folder=tmp_path / "undisturbed")


def test_damaged_checkpoints_are_named(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    newest = tmp_path / "undisturbed/checkpoints/update-000005"
    weights = (newest / "weights.safetensors").read_bytes()
    (newest / "weights.safetensors").write_bytes(weights[:100])
    with pytest.raises(ModelError, match=r"expected a checkpoint's tensors in .*weights\.safetensors"):
        start(tmp_path, "undisturbed")
    (newest / "checkpoint.json").write_text('{"schema":"swirl.checkpoint/0"}')
    with pytest.raises(RunFolderError, match=r"expected a checkpoint of this version of swirl at .*update-000005"):
        start(tmp_path, "undisturbed")


def test_checkpoints_without_their_metrics_are_refused(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    (tmp_path / "undisturbed/metrics.jsonl").write_bytes(b"")
    with pytest.raises(RunFolderError, match="expected metrics of the 5 updates of the newest checkpoint"):
        start(tmp_path, "undisturbed")
