"""How far two judges agree on the same steps."""

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from swirl.statistics import wilson
from swirl.types import Answer, Malformed, Step, ToolCall, Verdict


class Agreement(Struct, frozen=True, kw_only=True):
    """Agreement of one judge with another, which is taken as the truth. Steps where either has no verdict are left out and counted."""

    n: int
    """Steps that both judged."""
    missing: int
    """Steps that at least one did not."""
    accuracy: float
    """Share of equal verdicts."""
    accuracy_ci95: tuple[float, float]
    """Wilson's interval for it, as if steps were independent, which those of one trajectory are not."""
    precision: float
    """Of what the judge calls good, the share that is."""
    recall: float
    """Of what is good, the share that the judge calls so."""
    kappa: float
    """Cohen's kappa: agreement beyond chance, 1 for perfect, 0 for chance; 0 where chance alone explains everything."""
    good: float
    """Share that the judge calls good."""
    truth: float
    """Share that is good."""


def agreement(judged: Sequence[Verdict], truth: Sequence[Verdict]) -> Agreement:
    """Compare two judges' verdicts on the same steps, in the same order.

    >>> good, bad = Verdict(1.0), Verdict(0.0)
    >>> result = agreement([good, good, bad, bad], [good, bad, bad, bad])
    >>> result.accuracy, result.precision, result.recall, result.kappa
    (0.75, 0.5, 1.0, 0.5)
    """
    pairs = Counter(
        (mine.good, theirs.good)
        for mine, theirs in zip(judged, truth, strict=True)
        if mine.score is not None and theirs.score is not None
    )
    return agreement_of(pairs, len(judged) - pairs.total())


def agreement_of(pairs: Mapping[tuple[bool, bool], int], missing: int) -> Agreement:
    """The same of counts: how often the judge said that a step is good, or not, and the truth that it is, or not.

    >>> agreement_of({(True, True): 2, (True, False): 1, (False, False): 1}, missing=3).accuracy
    0.75
    """
    n, both = sum(pairs.values()), pairs.get((True, True), 0)
    mine, theirs = both + pairs.get((True, False), 0), both + pairs.get((False, True), 0)
    equal = wilson(both + pairs.get((False, False), 0), n)
    accuracy = equal.mean
    chance = _share(mine * theirs + (n - mine) * (n - theirs), n * n)
    return Agreement(
        n=n,
        missing=missing,
        accuracy=accuracy,
        accuracy_ci95=(equal.low, equal.high),
        precision=_share(both, mine),
        recall=_share(both, theirs),
        kappa=(accuracy - chance) / (1 - chance) if chance < 1 and n else 0.0,
        good=_share(mine, n),
        truth=_share(theirs, n),
    )


KINDS = ("searches", "calculations", "answers", "malformed")
"""Kinds of actions, in the order in which they are told."""


def kind_of(step: Step) -> str:
    """What kind of action a step takes; the calls of any other tool go by its name.

    >>> kind_of(Step(text="", action=ToolCall("search", "Ada Quill")))
    'searches'
    """
    match step.action:
        case Answer():
            return "answers"
        case Malformed():
            return "malformed"
        case ToolCall(tool):
            return {"search": "searches", "calculator": "calculations"}.get(tool, tool)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
