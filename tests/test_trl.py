"""TRL itself on what is exported: `datasets` loads every file, and TRL's trainers take a step or two with the bundled model."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest

from swirl.decompose import state_before
from swirl.engine import PolicyConfig
from swirl.engine.model import LanguageModel, load
from swirl.exports import Item
from swirl.judges import StepSample
from swirl.judges.rule import Rule
from swirl.policies import Sampling
from swirl.policies.local import LocalPolicy
from swirl.protocol import parse, render
from swirl.rollout import begin, rollout
from swirl.stages.stream import sample_of
from swirl.tasks.arithmetic import Arithmetic
from swirl.tools import Toolbox
from swirl.tools.calculator import Calculator
from swirl.types import PromptStyle, Rules, Step, Trajectory
from test_trl_exports import FORMATS

MISSING = [name for name in ("trl", "datasets", "transformers", "torch") if find_spec(name) is None]
SCRIPT = Path(__file__).parent / "trl_trainers.py"
SAMPLING = Sampling(temperature=1.0, max_tokens=24, max_context=512)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (pip install trl==1.16.0)"),
]


@pytest.fixture(scope="module")
def bundled() -> LanguageModel:
    return load(PolicyConfig(device="cpu", threads=1))


@pytest.fixture(scope="module")
def items(bundled: LanguageModel) -> list[Item]:
    """Trajectories of the bundled model, judged by the rules, filtered by the process."""
    rules = Rules(prompt=PromptStyle.BARE, tools=("calculator",), max_calls=4)
    questions = list(islice(Arithmetic().questions("train", 0), 5))
    states = [begin(question, rules, sample=sample, seed=3) for question in questions for sample in range(4)]
    done = rollout(states, LocalPolicy(bundled), Toolbox([Calculator()]), SAMPLING)
    return [Item(each, verdicts := judged(each), all(verdict.good for verdict in verdicts)) for each in done]


def kept(items: Sequence[Item]) -> list[tuple[Trajectory, int]]:
    """The places of the steps that are trained on."""
    return [(item.trajectory, index) for item in items if item.kept for index in range(len(item.trajectory.steps))]


def judged(whole: Trajectory) -> Any:
    return tuple(Rule().judge([sample_of(whole, index) for index in range(len(whole.steps))]))


@pytest.fixture(scope="module")
def found(items: Sequence[Item], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What TRL says of each file, and what came of each training."""
    folder = tmp_path_factory.mktemp("trl")
    for format in FORMATS:
        wanted = [item for item in items if item.kept or format.dropped]
        lines = [json.dumps(row) + "\n" for row in format.rows(wanted)]
        (folder / f"{format.name}.jsonl").write_text("".join(lines), "utf-8")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, SCRIPT, folder], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_datasets_loads_every_file_and_trl_finds_it_conversational(
    format: Any, found: dict[str, Any], items: Sequence[Item]
) -> None:
    rows = list(format.rows([item for item in items if item.kept or format.dropped]))
    assert rows
    assert found[format.name]["rows"] == len(rows)
    assert found[format.name]["columns"] == list(rows[0])
    assert found[format.name]["conversational"] is (format.name != "trl-stepwise")


def test_trls_template_makes_our_prompts(found: dict[str, Any], items: Sequence[Item], bundled: LanguageModel) -> None:
    for (whole, index), told in zip(kept(items), found["trl-grpo"]["templated"], strict=False):
        ids = bundled.chat.context_ids(render(state_before(whole, index)))
        assert bundled.tokenizer.encode(told["prompt"], add_special_tokens=False) == ids


def test_trl_trains_on_our_tokens_and_on_actions_alone(
    found: dict[str, Any], items: Sequence[Item], bundled: LanguageModel
) -> None:
    assert len(found["actions"]["rows"]) == 4
    for (whole, index), row in zip(kept(items), found["actions"]["rows"], strict=False):
        context = bundled.chat.context_ids(render(state_before(whole, index)))
        action = bundled.chat.encode(whole.steps[index].text)
        assert row["input_ids"] == context + action
        assert row["labels"] == [-100] * len(context) + action


def test_grpo_is_rewarded_by_our_judge(found: dict[str, Any]) -> None:
    assert len(found["grpo"]["log"]) == 2
    assert len(found["called"]) == 2 * 8
    for call in found["called"]:
        state = msgspec.json.decode(call["state"], type=Trajectory)
        assert call["prompt"] == [{"role": turn.role, "content": turn.text} for turn in render(state).messages]
        text = call["completion"][0]["content"]
        [verdict] = Rule().judge([StepSample(state, Step(text=text, action=parse(text)))])
        assert call["reward"] == verdict.score
    assert {0.0, 1.0} == {call["reward"] for call in found["called"]}
    assert all(entry["swirl/missing"] == 0 for entry in found["grpo"]["log"])
    assert found["grpo"]["moved"]


def test_a_missing_verdict_moves_nothing(found: dict[str, Any]) -> None:
    """Where all that is known is good and the rest is missing, there is nothing to learn; zeros in their place would move the model."""
    assert len(found["missing"]["log"]) == 2
    assert not found["missing"]["moved"]
    assert {entry["reward"] for entry in found["missing"]["log"]} == {1.0}


@pytest.mark.parametrize("name", ["rloo", "sft", "actions", "dpo", "whole", "kto"])
def test_other_trainers_take_a_step(name: str, found: dict[str, Any]) -> None:
    [entry] = found[name]["log"]
    assert entry["loss"] == pytest.approx(entry["loss"])
    assert found[name]["moved"]
