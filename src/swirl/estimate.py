"""What a run would ask of services, before anything is sent: requests, tokens and US dollars a stage, each as about and at most.

An estimate (`swirl.volume` says of what). Attempts that fail and are billed all the same come on top; replies that are stored already cost
nothing. What is in the run folder already is not asked for again.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from functools import reduce
from itertools import product

from msgspec import Struct, structs

from swirl.evaluate import EvaluatedTrajectory, ToolUse, When, without_tools
from swirl.judges.grader import MAX_TOKENS as MOST_OF_GRADER
from swirl.protocol import observation_turn
from swirl.rollout import begin
from swirl.services import ServerConfig
from swirl.services.budget import Prices
from swirl.services.ledger import Usage
from swirl.settings import RunConfig
from swirl.types import Malformed, PromptStyle, Question, Rules, Trajectory
from swirl.volume import PART, Play, Volume, plays, summed, tokens

_INSTRUCTIONS = 400
"""Tokens that a judge's or grader's prompt has beside what is judged."""
_LABEL = 4
"""Tokens of what stands before a message or result in a judge's prompt, e.g. `[3] ASSISTANT: `."""
GRADING_SERVER = "judge_server"
"""As `evaluate.grader`: the model of `judge_server` grades."""


class Estimate(Struct, frozen=True, kw_only=True):
    """What a stage would ask of a service."""

    stage: str
    service: str
    """policy, judge, grader or search."""
    about: Volume
    most: Volume
    usd_about: float | None
    """US dollars; None where a price is unknown."""
    usd_most: float | None


class Known(Struct, frozen=True, kw_only=True):
    """What an estimate is made of, and what a run folder holds already."""

    training: Sequence[tuple[Rules, Sequence[Question]]]
    """Each task's."""
    held_out: Sequence[tuple[Rules, Sequence[Question]]]
    trajectories: Iterable[Trajectory] = ()
    judged: Collection[tuple[str, int]] = ()
    """Trajectory and step of verdicts that will not be asked for again."""
    warm: bool = False
    """Whether the warm start is done."""
    updates: int = 0
    """Updates of training that are done."""
    evaluated: Sequence[EvaluatedTrajectory] = ()


def estimate(config: RunConfig, known: Known) -> list[Estimate]:
    """What a run would ask of services from where it stands, stage by stage; a service that is not set is not in it."""
    parts = (_warming, _generating, _judging, _rewarding, _evaluating)
    return [one for part in parts for one in part(config, known)]


def total(runs: Iterable[Sequence[Estimate]]) -> list[Estimate]:
    """Those of several runs together, by stage and service."""
    sums: dict[tuple[str, str], Estimate] = {}
    for one in (one for run in runs for one in run):
        key = one.stage, one.service
        if (old := sums.get(key)) is None:
            sums[key] = one
        else:
            sums[key] = structs.replace(
                one,
                about=old.about.plus(one.about),
                most=old.most.plus(one.most),
                usd_about=both(old.usd_about, one.usd_about),
                usd_most=both(old.usd_most, one.usd_most),
            )
    return list(sums.values())


def both(one: float | None, other: float | None) -> float | None:
    """Their sum; unknown where one of them is.

    >>> both(1.0, 2.0), both(1.0, None)
    (3.0, None)
    """
    return None if one is None or other is None else one + other


def rows(found: Sequence[Estimate], stages: Sequence[str]) -> list[tuple[str, ...]]:
    """A row a stage and service, and one for all dollars together: `about / at most`; `-` where a stage asks no service."""
    told: list[tuple[str, ...]] = []
    for stage in stages:
        own = [one for one in found if one.stage == stage]
        told += [_row(one) for one in own] or [(stage.replace("_", " "), *"-----")]
    priced = [one for one in found if one.service != "search"]
    zero: float | None = 0.0
    usd = [[one.usd_about for one in priced], [one.usd_most for one in priced]]
    return [*told, ("all", "", "", "", "", " / ".join(_usd(reduce(both, each, zero)) for each in usd))]


def _row(one: Estimate) -> tuple[str, ...]:
    volumes = [f"{_count(mine)} / {_count(its)}" for mine, its in zip(one.about, one.most, strict=True)]
    stage = one.stage.replace("_", " ")
    if one.service == "search":
        return stage, one.service, volumes[0], "-", "-", "-"
    return stage, one.service, *volumes, f"{_usd(one.usd_about)} / {_usd(one.usd_most)}"


def _usd(usd: float | None) -> str:
    return "unknown" if usd is None else f"${usd:,.2f}"


def _count(number: int | float) -> str:
    """A number in few signs.

    >>> _count(999.4), _count(12_345), _count(2_500_000)
    ('999', '12.3k', '2.5M')
    """
    if number >= 1e6:
        return f"{number / 1e6:,.1f}M"
    return f"{number / 1e3:,.1f}k" if number >= 1e4 else f"{number:,.0f}"


def _priced(stage: str, service: str, server: ServerConfig, about: Volume, most: Volume) -> Estimate:
    def usd(volume: Volume) -> float | None:
        used = Usage(tokens_in=round(volume.tokens_in), tokens_out=round(volume.tokens_out))
        return Prices.of(server).cost(used) if volume.requests else 0.0

    return Estimate(stage=stage, service=service, about=about, most=most, usd_about=usd(about), usd_most=usd(most))


def _playing(config: RunConfig, stage: str, going: Sequence[Play], served: bool) -> list[Estimate]:
    """What trajectories ask of the policy's server, where it writes them, and of the search service."""
    found = []
    if served and config.policy_server.url:
        about = summed(play.about.asked().times(play.times) for play in going)
        most = summed(play.most.asked().times(play.times) for play in going)
        found.append(_priced(stage, "policy", config.policy_server, about, most))
    if config.search.url and (searching := [play for play in going if play.searches]):
        about = Volume(sum(play.times * max(0.0, play.about.steps - 1) for play in searching))
        most = Volume(sum(play.times * (play.most.steps - 1) for play in searching))
        found.append(Estimate(stage=stage, service="search", about=about, most=most, usd_about=None, usd_most=None))
    return found


def _warming(config: RunConfig, known: Known) -> list[Estimate]:
    asked = [
        (rules, question, 1)
        for rules, questions in known.training
        for question in questions[: config.warm_start.questions]
        if not known.warm
    ]
    return _playing(
        config, "warm_start", plays(asked, config.generate.sampling, (), config.search.max_tokens), served=False
    )


def _generating(config: RunConfig, known: Known) -> list[Estimate]:
    return _playing(config, "generate", _to_generate(config, known), served=True)


def _to_generate(config: RunConfig, known: Known) -> list[Play]:
    recorded, samples = {trajectory.id for trajectory in known.trajectories}, range(config.generate.samples)
    asked = [
        (rules, question, sum(begin(question, rules, sample=sample).id not in recorded for sample in samples))
        for rules, questions in known.training
        for question in questions[: config.generate.questions]
    ]
    return plays(asked, config.generate.sampling, known.trajectories, config.search.max_tokens)


def _judging(config: RunConfig, known: Known) -> list[Estimate]:
    """The steps that are there, and those still to come, which are to be judged one by one, or in a request a trajectory."""
    if config.judge.name != "model" or not config.judge_server.url:
        return []
    hindsight = config.judge.view == "hindsight"
    abouts, mosts = [], []
    for trajectory in known.trajectories:
        there = _judgements(trajectory, known.judged)
        abouts.append(_judged(config, there[-1:] if hindsight else there, PART))
        mosts.append(_judged(config, there[-1:] if hindsight else there, 1.0))
    for play in _to_generate(config, known):
        for way, part, found in ((play.about, PART, abouts), (play.most, 1.0, mosts)):
            texts = [way.first + (i + 1) * way.growth for i in range(math.ceil(way.steps))]
            volume = _judged(config, texts[-1:] if hindsight else texts, part)
            found.append(volume.times(play.times * (1.0 if hindsight else way.steps / len(texts))))
    return [_priced("judge", "judge", config.judge_server, summed(abouts), summed(mosts))]


def _judgements(trajectory: Trajectory, judged: Collection[tuple[str, int]]) -> list[float]:
    """Tokens of what is judged in each request about a recorded trajectory."""
    text, found = tokens(trajectory.question.text), []
    for place, step in enumerate(trajectory.steps):
        text += tokens(step.text)
        if not isinstance(step.action, Malformed) and (trajectory.id, place) not in judged:
            found.append(text)
        text += 2 * _LABEL + (tokens(observation_turn(step)) if place + 1 < len(trajectory.steps) else 0.0)
    return found


def _judged(config: RunConfig, texts: Sequence[float], part: float) -> Volume:
    """A request a text and vote; of an explanation's length the part that is written."""
    room = config.judge.max_context - config.judge.max_tokens
    read = sum(min(text + _INSTRUCTIONS, room) for text in texts)
    return Volume(len(texts), read, len(texts) * part * config.judge.max_tokens).times(config.judge.votes)


def _rewarding(config: RunConfig, known: Known) -> list[Estimate]:
    """The fresh actions of training."""
    own = config.train
    if config.judge.rewarding != "model" or not config.judge_server.url or own.objective == "sft":
        return []
    asked = [(rules, question, 1) for rules, questions in known.training for question in questions]
    going = plays(asked, own.sampling, known.trajectories, config.search.max_tokens)
    middle = [play.about.first + play.about.growth * play.about.steps / 2 for play in going] or [0.0]
    texts = (sum(middle) / len(middle), float(own.max_context))
    actions = (own.updates - known.updates) * own.states * own.actions
    about, most = (_judged(config, [text], part).times(actions) for text, part in zip(texts, (PART, 1.0), strict=True))
    return [_priced("train", "judge", config.judge_server, about, most)]


def _evaluating(config: RunConfig, known: Known) -> list[Estimate]:
    own = config.evaluate
    policies: tuple[When, ...] = ("before", "after") if config.round == 1 else ("after",)
    done = {
        (one.policy, one.trajectory.question.task, one.mode, one.prompt, one.tools, one.trajectory.id)
        for one in known.evaluated
    }
    graded = 0
    playing: list[Estimate] = []
    for when in policies:
        recorded = [one.trajectory for one in known.evaluated if one.policy == when and one.tools]
        asked = [
            (
                rules,
                question,
                _left(done, (when, question.task, mode, rules.prompt, use == "with"), question, own.samples_in(mode)),
            )
            for given, questions in known.held_out
            for use, mode, prompt in product(own.tools, own.modes, own.prompts or (config.generate.prompt,))
            for rules in [_rules(given, use, prompt)]
            for question in questions
        ]
        going = plays(asked, own.sampling("greedy"), recorded, config.search.max_tokens)
        graded += sum(play.times for play in going)
        playing += _playing(config, "evaluate", going, served=when == "before")
    found = total([playing])
    if own.grader == GRADING_SERVER and config.judge_server.url:
        graded += sum(one.to_grade for one in known.evaluated)
        text = _INSTRUCTIONS + PART * own.max_tokens, _INSTRUCTIONS + 2 * own.max_tokens
        about, most = (
            Volume(1.0, read, part * MOST_OF_GRADER).times(graded) for read, part in zip(text, (PART, 1.0), strict=True)
        )
        found.append(_priced("evaluate", "grader", config.judge_server, about, most))
    return found


def _rules(given: Rules, use: ToolUse, prompt: PromptStyle) -> Rules:
    offering = structs.replace(given, prompt=prompt)
    return offering if use == "with" else without_tools(offering)


def _left(done: Collection[tuple[object, ...]], way: tuple[object, ...], question: Question, samples: int) -> int:
    return sum((*way, begin(question, Rules(), sample=sample).id) not in done for sample in range(samples))
