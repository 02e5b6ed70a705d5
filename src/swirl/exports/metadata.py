"""What a dialogue cannot hold of a trajectory: the column `swirl`, from which an import makes the same trajectory again.

Token ids and their log-probabilities are not among it: they stay in the run folder, and in the format `parquet`.
"""

import json
from itertools import chain, repeat

import msgspec
from msgspec import Struct

from swirl.exports import Item
from swirl.exports.calls import called_with, thought
from swirl.protocol import PARAMETERS, TAGS, write
from swirl.types import Malformed, Question, Rules, Step, StopReason, ToolCall, Verdict


class Taken(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What the messages do not say of a step, and what was said of it."""

    text: str | None = None
    """The action in full; None where it is the message's thought and its call, as `swirl.protocol.write` writes them, or the message."""
    thinking: str = ""
    malformed: str | None = None
    """What was wrong with it; None where nothing was."""
    arguments: str | None = None
    """Of its tool call; None where the message has just these, in JSON, under the tool's parameter."""
    native: bool = False
    """Whether it is a server's own call, whose arguments in JSON came as the message has them."""
    call_id: str = ""
    """What a server called it."""
    refused: bool = False
    passages: tuple[str, ...] = ()
    result: str | None = None
    """What a tool gave back after the last action: no message says so, because a dialogue to learn from ends with the policy."""
    restored: bool = False
    verdict: Verdict | None = None
    """None where nobody judged it."""


class Metadata(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What the messages do not say of a trajectory."""

    id: str
    question: Question
    rules: Rules
    steps: tuple[Taken, ...]
    sample: int = 0
    seed: int = 0
    policy: str = ""
    stop: StopReason | None = None
    kept: bool | None = None
    correct: bool | None = None


def metadata(item: Item) -> str:
    """The column `swirl` of a row: `Metadata` in JSON. A text, because `datasets` infers columns from the first rows: what is empty in
    all of these, or differs between two tasks, would end its reading later on.

    >>> from swirl.types import Answer, Trajectory
    >>> step = Step(text="So <answer>6</answer>", action=Answer("6"))
    >>> whole = Trajectory(id="q/0", question=Question(id="q", task="t", text="?"), rules=Rules(), steps=(step,))
    >>> json.loads(metadata(Item(whole, (Verdict(1.0),))))["steps"]
    [{'verdict': {'score': 1.0}}]
    """
    trajectory = item.trajectory
    last = len(trajectory.steps) - 1
    judged = zip(trajectory.steps, chain(item.verdicts, repeat(None)), strict=False)
    told = Metadata(
        id=trajectory.id,
        question=trajectory.question,
        rules=trajectory.rules,
        steps=tuple(_taken(step, verdict, index == last) for index, (step, verdict) in enumerate(judged)),
        sample=trajectory.sample,
        seed=trajectory.seed,
        policy=trajectory.policy,
        stop=trajectory.stop,
        kept=item.kept,
        correct=item.correct,
    )
    try:
        return msgspec.json.encode(told).decode()
    except UnicodeEncodeError:  # half a character, which is replaced where rows are written
        return json.dumps(msgspec.to_builtins(told), ensure_ascii=False)


def _taken(step: Step, verdict: Verdict | None, is_last: bool) -> Taken:
    call = step.action if isinstance(step.action, ToolCall) else None
    seen = step.observation
    return Taken(
        text=None if _is_written(step) else step.text,
        thinking=step.thinking,
        malformed=step.action.reason if isinstance(step.action, Malformed) else None,
        arguments=None if call is None or _is_told(call) else call.arguments,
        native=bool(call and call.raw),
        call_id=call.call_id if call else "",
        refused=bool(seen and seen.refused),
        passages=seen.passages if seen else (),
        result=seen.text if seen and is_last else None,
        restored=step.restored,
        verdict=verdict,
    )


def _is_written(step: Step) -> bool:
    """Whether the message says the action in full."""
    if isinstance(step.action, ToolCall):
        return step.action.tool in TAGS and write(step.action, thought(step)) == step.text
    return True


def _is_told(call: ToolCall) -> bool:
    """Whether the message says what the tool was called with."""
    if not call.raw and call.tool in PARAMETERS:
        return True
    try:
        told = json.loads(called_with(call))
    except (ValueError, RecursionError):
        return False
    return bool(told == {PARAMETERS.get(call.tool, ""): call.arguments})
