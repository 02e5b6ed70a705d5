"""A small run folder, made by the stages themselves with a policy that a script stands in for."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from swirl.evaluate import EvaluateConfig
from swirl.generation import GenerateConfig
from swirl.judges import JudgeConfig
from swirl.policies import Completion, Sampling
from swirl.protocol import Prompt
from swirl.settings import RunConfig
from swirl.shards import Part
from swirl.stages import run_part, run_stage

CONFIG = RunConfig(
    seed=7,
    generate=GenerateConfig(tasks=("arithmetic",), questions=4, samples=2, chunk=2),
    judge=JudgeConfig(name="rule"),
    evaluate=EvaluateConfig(tasks=("arithmetic",), questions=3, modes=("greedy",)),
)


class Scripted:
    """Calculates once and answers, with token ids; what it says depends on the seed."""

    name = "scripted@0123456789ab"

    def complete(
        self, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[Sequence[int]]
    ) -> list[list[Completion]]:
        return [
            [self._said(len(prompt.messages), seed) for seed in own] for prompt, own in zip(prompts, seeds, strict=True)
        ]

    def _said(self, turns: int, seed: int) -> Completion:
        number = seed % 90 + 10
        text = f"First. <math_exp>{number} * 3</math_exp>" if turns == 1 else f"So it is. <answer>{number}</answer>"
        return Completion(text=text, token_ids=(5, number, 7), logprobs=(-0.5, -0.25, -1.0))


ALL_STAGES = ("generate", "judge", "filter", "evaluate")


def make(
    folder: Path, config: RunConfig = CONFIG, stages: Sequence[str] = ALL_STAGES, part: Part | None = None
) -> None:
    """Run these stages by their own commands, or a part of each."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys.modules["swirl.stages.generate"], "policy_of", lambda *told: Scripted())
        patched.setattr(sys.modules["swirl.stages.evaluate"], "open_policy", lambda *told: Scripted())
        for stage in stages:
            if part:
                run_part(stage, folder, config, part)
            else:
                run_stage(stage, folder, config)
