"""A language model that judges a whole trajectory in one request, the results of every call included: cheaper than a request a step, and
not the paper's judge, because it knows what came of a step. For filtering alone; as a reward it is refused.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, Literal

import msgspec

from swirl.errors import ConfigError
from swirl.judges import JudgeConfig, StepSample
from swirl.judges.asking import Asking, Case, settled
from swirl.judges.dialogue import material
from swirl.judges.model import PROMPT_VERSION, judge_name
from swirl.judges.verdicts import SCHEMA, strict_json, unreadable
from swirl.policies import Completion, Finish, Policy, Serving, Wants
from swirl.protocol import Message, Prompt
from swirl.services.loop import as_done
from swirl.types import Step, Trajectory, Verdict

_TASK = """You see the whole of it, results included. Judge messages {numbers}, each by what could be known when it was written: neither \
reward nor blame it for other messages, or for what it could not foresee. """
_ENDING = {
    "text": "First explain your judgements in a few sentences. Then end with a line for each: its number and GOOD or BAD, e.g. `1: GOOD`.",
    "json": 'Reply with one JSON object and nothing else: {"verdicts": [{"message": its number, "explanation": your judgement in a '
    'sentence or two, "verdict": "GOOD" or "BAD"}, ...]}.',
}
_LINE = re.compile(r"(?:message )?(\d{1,4}) ?: ?(good|bad)\.?", re.IGNORECASE)
_MARKS = str.maketrans("", "", "*_`[]")
_AT_ONCE = 32
"""Trajectories that a model on this machine is asked about together."""
_LONGEST = 2000
"""Most characters of an explanation that is about all messages, and stands in each verdict."""


class _One(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    message: int
    explanation: str
    verdict: Literal["GOOD", "BAD"]


class _All(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    verdicts: list[_One]


def _schema() -> dict[str, Any]:
    properties = {"message": {"type": "integer"}, **SCHEMA["properties"]}
    one = {**SCHEMA, "properties": properties, "required": list(properties)}
    return {
        "type": "object",
        "properties": {"verdicts": {"type": "array", "items": one}},
        "required": ["verdicts"],
        "additionalProperties": False,
    }


class HindsightJudge:
    """The judge of whole trajectories."""

    def __init__(self, policy: Policy, config: JudgeConfig, *, model: str = "") -> None:
        if config.graded:
            raise ConfigError(
                'judge.graded = true needs judge.view = "step": a reply about several messages has no one verdict'
            )
        self.policy = policy
        self.config = config
        form = "" if config.format == "text" else f"-{config.format}"
        self.name = judge_name(f"{PROMPT_VERSION}-hindsight{form}", model or policy.name)
        self._asking = Asking(policy, config, Wants(schema=_schema() if config.format == "json" else {}))

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        raise ConfigError(refusal())

    def judge_whole(self, trajectories: Iterable[Trajectory]) -> Iterator[tuple[int, list[Verdict]]]:
        if isinstance(self.policy, Serving):
            yield from as_done(trajectories, self._verdicts, self.policy.in_flight)
            return
        drawn, place = iter(trajectories), 0
        while chunk := list(islice(drawn, _AT_ONCE)):
            found = iter(self._asking.all([self._case(each) for each in chunk if asked_about(each)]))
            for each in chunk:
                yield place, _filled(each, next(found) if asked_about(each) else [])
                place += 1

    async def _verdicts(self, trajectory: Trajectory) -> list[Verdict]:
        asked = asked_about(trajectory)
        return _filled(trajectory, await self._asking.one(self._case(trajectory)) if asked else [])

    def _case(self, trajectory: Trajectory) -> Case:
        numbers = asked_about(trajectory)
        return Case(hindsight_prompt(trajectory, self.config.format), len(numbers), partial(self._read, numbers))

    def _read(self, numbers: Sequence[int], completion: Completion) -> list[Verdict]:
        return read_hindsight(completion, numbers, self.config.format)


def refusal() -> str:
    """Why a judge of whole trajectories judges no fresh action."""
    return (
        'judge.view = "hindsight" judges whole trajectories and cannot reward fresh actions, of which nothing came yet; set judge.view = '
        '"step", or judge.reward to another judge'
    )


def asked_about(trajectory: Trajectory) -> list[int]:
    """The numbers, from 1, of the messages that are not malformed."""
    return [number for number, step in enumerate(trajectory.steps, start=1) if settled(step) is None]


def hindsight_prompt(trajectory: Trajectory, form: str = "text") -> Prompt:
    """What the judge is asked about a trajectory, for a reply in `text` or `json`."""
    steps = trajectory.steps
    shown = material(trajectory.question.text, steps, trajectory.rules, results=_num_seen(steps))
    task = _TASK.format(numbers=", ".join(map(str, asked_about(trajectory))))
    return Prompt((Message("user", shown + task + _ENDING[form]),))


def _num_seen(steps: Sequence[Step]) -> int:
    """How many of the steps were followed by a turn of their own; the last may not be."""
    return len(steps) if steps and steps[-1].observation is not None else max(0, len(steps) - 1)


def read_hindsight(completion: Completion, numbers: Sequence[int], form: str = "text") -> list[Verdict]:
    """A verdict for each of the messages asked about. One that the reply leaves out is unreadable; a reply that judges a message twice, or
    one that was not asked about, is unreadable as a whole.

    >>> said = Completion(text="The first helps, the second repeats it.\\n1: GOOD\\n2: BAD")
    >>> [verdict.score for verdict in read_hindsight(said, [1, 2, 3])]
    [1.0, 0.0, None]
    """
    told = _of_json(completion) if form == "json" else _of_text(completion)
    by_number = {number: Verdict(float(word == "good"), reason) for number, word, reason in told}
    if len(by_number) < len(told) or not by_number.keys() <= set(numbers):
        by_number = {}
    return [by_number.get(number) or unreadable(completion) for number in numbers]


def _of_json(completion: Completion) -> list[tuple[int, str, str]]:
    said = strict_json(completion, _All)
    return [(one.message, one.verdict.lower(), one.explanation.strip()) for one in said.verdicts] if said else []


def _of_text(completion: Completion) -> list[tuple[int, str, str]]:
    found: list[tuple[int, str, str]] = []
    for line in reversed(completion.text.strip().splitlines() if completion.finish is Finish.STOP else []):
        plain = " ".join(line.translate(_MARKS).split()).removeprefix("- ")
        if plain and not (read := _LINE.fullmatch(plain)):
            break
        if plain and read:
            found.append((int(read[1]), read[2].lower(), completion.text.strip()[:_LONGEST]))
    return found


def _filled(trajectory: Trajectory, found: Sequence[Verdict]) -> list[Verdict]:
    told = iter(found)
    return [settled(step) or next(told) for step in trajectory.steps]
