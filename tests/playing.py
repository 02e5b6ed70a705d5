"""Scripts that are played, what a command says, and what is needed for tests on real data: for all tests alike."""

import os
from collections.abc import Sequence

import pytest

from swirl.cli import main
from swirl.errors import ToolFailure
from swirl.policies import Sampling
from swirl.policies.scripted import ScriptedPolicy
from swirl.protocol import render
from swirl.rollout import begin, rollout
from swirl.tools import Toolbox, ToolInput
from swirl.tools.calculator import Calculator
from swirl.types import Observation, Question, Rules, Trajectory

CALL, ANSWER = "<math_exp>2 * 3</math_exp>", "<answer>6</answer>"
BOX = Toolbox([Calculator()])
needs_data = pytest.mark.skipif("SWIRL_DATA" not in os.environ, reason="SWIRL_DATA names no folder of data sets")


class Broken:
    """A calculator that cannot be used."""

    name = "calculator"
    description = "A calculator whose service is down."

    def run(self, calls: Sequence[ToolInput]) -> list[Observation]:
        raise ToolFailure("the calculator cannot be used: its service is down")


def play(question: Question, script: Sequence[str], tools: Toolbox = BOX, max_calls: int = 10) -> Trajectory:
    """The trajectory of a policy that says this, whatever it is told."""
    state = begin(question, Rules(tools=tuple(tools.tools), max_calls=max_calls))
    [played] = rollout([state], ScriptedPolicy(script), tools, Sampling())
    return played


def shown(state: Trajectory) -> list[dict[str, str]]:
    """A state as the messages that a policy is shown."""
    return [{"role": message.role, "content": message.text} for message in render(state).messages]


def answer(capsys: pytest.CaptureFixture[str], words: Sequence[str]) -> tuple[int, str]:
    """Exit status of a command, and what was said on both streams."""
    try:
        status = main(words)
    except SystemExit as stop:
        status = int(stop.code or 0)
    said = capsys.readouterr()
    return status, said.out + said.err
