"""A language model as the judge, prompted as the paper's process filter (in our words): it sees the question, the dialogue so far and the
message to judge, explains, and ends with GOOD or BAD, as text or as JSON.

It sees neither the result of the current call nor the gold answer. A malformed message is BAD without asking. What is shown stands behind a
fence (`swirl.judges.dialogue`), and what it says about verdicts is not read: only the judge's own reply is (`swirl.judges.verdicts`).
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from swirl.judges import JudgeConfig, StepSample
from swirl.judges.asking import Asking, Case, require_grades, settled
from swirl.judges.dialogue import material
from swirl.judges.graded import ALTERNATIVES, graded
from swirl.judges.verdicts import SCHEMA, read_json, read_verdict
from swirl.policies import Completion, Policy, Serving, Wants
from swirl.protocol import Message, Prompt
from swirl.services.loop import as_done
from swirl.types import Verdict

PROMPT_VERSION = "2"
"""Raised whenever the prompt changes, or what is read as a verdict: those of different versions are not comparable."""

_TASK = "Judge message {number} alone: neither reward nor blame it for earlier messages. "
_ENDING = {
    "text": "First explain your judgement in a few sentences. Then write GOOD or BAD as the last word.",
    "json": 'Reply with one JSON object and nothing else: {"explanation": your judgement in a few sentences, "verdict": "GOOD" or "BAD"}.',
}
_PLAIN = JudgeConfig()


class ModelJudge:
    """The judge. Greedy with one vote, so that equal steps get equal verdicts; with several, equal steps get equal seeds."""

    def __init__(self, policy: Policy, config: JudgeConfig = _PLAIN, *, model: str = "") -> None:
        require_grades(config, isinstance(policy, Serving))
        self.policy = policy
        self.config = config
        self.name = judge_name(_version(config), model or policy.name)
        """As it is written into every verdict: `model/`, the prompt's version, and the model."""
        wants = Wants(
            schema=SCHEMA if config.format == "json" else {}, alternatives=ALTERNATIVES if config.graded else 0
        )
        self._asking = Asking(policy, config, wants)

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        asked = iter(self._asking.all([self._case(sample) for sample in samples if settled(sample.step) is None]))
        return [settled(sample.step) or next(asked)[0] for sample in samples]

    def _case(self, sample: StepSample) -> Case:
        return Case(judge_prompt(sample, self.config.format), 1, partial(_read, self.config))


class ServedJudge(ModelJudge):
    """The same judge behind a service: many steps are asked about at once, and a request that fails is a verdict that is missing."""

    def __init__(self, policy: Serving, config: JudgeConfig = _PLAIN, *, model: str = "") -> None:
        super().__init__(policy, config, model=model)
        self._in_flight = policy.in_flight

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        told = dict(self.judge_as_ready(samples))
        return [told[place] for place in range(len(samples))]

    def judge_as_ready(self, samples: Iterable[StepSample]) -> Iterator[tuple[int, Verdict]]:
        return as_done(samples, self._verdict, self._in_flight)

    async def _verdict(self, sample: StepSample) -> Verdict:
        return settled(sample.step) or (await self._asking.one(self._case(sample)))[0]


def judge_prompt(sample: StepSample, form: str = "text") -> Prompt:
    """What the judge is asked about a step, for a reply in `text` or `json`."""
    state = sample.state
    shown = material(state.question.text, (*state.steps, sample.step), state.rules, results=len(state.steps))
    return Prompt((Message("user", shown + _TASK.format(number=len(state.steps) + 1) + _ENDING[form]),))


def judge_name(version: str, model: str) -> str:
    """What a judge is called in its verdicts.

    >>> judge_name(PROMPT_VERSION, "Qwen/Qwen3-8B")
    'model/2/Qwen/Qwen3-8B'
    """
    return f"model/{version}/{model}"


def _version(config: JudgeConfig) -> str:
    """Scores that are probabilities are on another scale than those that are 0 or 1."""
    return "-".join([PROMPT_VERSION, *["json"] * (config.format == "json"), *["graded"] * config.graded])


def _read(config: JudgeConfig, completion: Completion) -> list[Verdict]:
    verdict = read_json(completion) if config.format == "json" else read_verdict(completion)
    return [graded(completion, verdict, config.format) if config.graded else verdict]
