"""What somebody who looks at a run should be warned of, in words: what the report tells too (`swirl.alarms`), where to look for more, and
what takes a closer look at training, judge and files.

The limits are ours, and rules of thumb: each sentence says what was found, so that one can judge for oneself.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from swirl.alarms import Alarm, alarms, missing_verdicts
from swirl.calibrated import Calibration
from swirl.judges.calibration import Rate
from swirl.manifest import Manifest
from swirl.train import Metrics

FEWEST = 8
"""Updates before anything is said of how training goes: its first quarter is compared with its last."""
_MALFORMED = 0.05
"""A share of malformed actions that grew by more than this."""
_TRUNCATED = 0.1
_ENTROPY = 0.25
"""What is left of it, of what there was at first."""
_SIGNAL = 0.2
"""Share of states at which actions differ in reward."""
_ACCEPTS = 0.2
"""Share of bad steps that a judge calls good."""
_AGREES = 0.8
_UNEVEN = 2.0
"""How much more often verdicts on one kind of action are missing than on all."""


class Concern(Struct, frozen=True, kw_only=True):
    """A warning."""

    about: str
    """In a word or two."""
    sentence: str
    view: str = ""
    """The view that shows more."""
    asked: dict[str, str] = {}
    """What that view is asked for."""


_VIEWS: Mapping[str, tuple[str, dict[str, str]]] = {
    "missing verdicts": ("trajectories", {"verdict": "missing"}),
    "missing rewards": ("training", {}),
    "malformed actions": ("training", {}),
    "KL": ("training", {}),
    "drift in training": ("training", {}),
    "reward without accuracy": ("judge", {}),
    "calibration out of date": ("judge", {}),
}
"""What an alarm is about -> the view that shows more, and what it is asked for."""


def alarming(
    updates: Sequence[Metrics], summary: Mapping[str, Any] | None, changed: Sequence[str] = ()
) -> Iterator[Concern]:
    """What the report tells too.

    >>> [concern.view for concern in alarming([], None, ["verdicts.jsonl"])]
    ['judge']
    """
    yield from map(_of_alarm, alarms(updates, None, summary, changed))


def _of_alarm(alarm: Alarm) -> Concern:
    view, asked = _VIEWS.get(alarm.about, ("", {}))
    return Concern(about=_begun(alarm.about), sentence=_spaced(_begun(alarm.told)), view=view, asked=asked)


def of_verdicts(good: int, bad: int, missing: int) -> Iterator[Concern]:
    """Verdicts on the recorded steps that are missing.

    >>> [concern.sentence for concern in of_verdicts(90, 5, 5)]
    ['5 of 100 recorded steps (5.0 %) have no verdict; they count neither as good nor as bad.']
    """
    yield from map(_of_alarm, missing_verdicts(missing, good + bad + missing))


def of_training(updates: Sequence[Metrics]) -> Iterator[Concern]:
    """How training goes: verdicts missing unevenly, malformed actions that grow, cut ones, entropy, states that teach nothing."""
    yield from _uneven(updates)
    if len(updates) < FEWEST:
        return
    part = max(1, len(updates) // 4)
    first, last = updates[:part], updates[-part:]
    yield from _malformed(first, last)
    yield from _entropy(first, last)
    yield from _signal(last)


def _uneven(updates: Sequence[Metrics]) -> Iterator[Concern]:
    missing, asked = sum(each.missing.total for each in updates), sum(each.num_samples for each in updates)
    kinds = {"tool calls": "tool_call", "answers": "answer", "malformed actions": "malformed"}
    shares = {
        name: sum(getattr(each.missing, kind) for each in updates) / total
        for name, kind in kinds.items()
        if (total := sum(getattr(each.sampled, kind) for each in updates))
    }
    uneven = [
        f"{share:.1%} of {name}" for name, share in shares.items() if missing and share > _UNEVEN * missing / asked
    ]
    if uneven:
        sentence = (
            f"Verdicts on {', '.join(uneven)} are missing, but on {missing / asked:.1%} of all actions sampled in training: "
            "that biases the gradient."
        )
        yield Concern(about="Missing verdicts, unevenly", sentence=_spaced(sentence), view="training")


def _malformed(first: Sequence[Metrics], last: Sequence[Metrics]) -> Iterator[Concern]:
    before, now = _mean(first, "malformed"), _mean(last, "malformed")
    if now - before > _MALFORMED:
        sentence = f"The share of malformed actions grew from {before:.1%} in training's first quarter to {now:.1%} in its last."
        yield Concern(about="Malformed actions grow", sentence=_spaced(sentence), view="training")
    if (cut := _mean(last, "truncated")) > _TRUNCATED:
        sentence = f"{cut:.1%} of actions in training's last quarter were cut at train.max_tokens; a higher limit may be needed."
        yield Concern(about="Actions cut short", sentence=_spaced(sentence), view="training")


def _entropy(first: Sequence[Metrics], last: Sequence[Metrics]) -> Iterator[Concern]:
    before, now = _mean(first, "entropy"), _mean(last, "entropy")
    if now < _ENTROPY * before:
        sentence = f"Entropy fell from {before:.3f} to {now:.3f} nats a token: the policy hardly explores any more."
        yield Concern(about="Entropy has collapsed", sentence=sentence, view="training")


def _signal(last: Sequence[Metrics]) -> Iterator[Concern]:
    signal = _mean(last, "signal")
    if signal < _SIGNAL:
        sentence = (
            f"At {1 - signal:.1%} of the states in training's last quarter all actions were rewarded alike, so that nothing was learnt "
            "there."
        )
        yield Concern(about="Little signal", sentence=_spaced(sentence), view="training")


def of_judge(found: Calibration) -> Iterator[Concern]:
    """A judge that lets bad steps pass."""
    wrong: Rate = found.measures.errors.false_positive
    if wrong.share is not None and wrong.share > _ACCEPTS:
        low, high = (f"{end:.2f}" for end in wrong.ci95)
        sentence = f"The judge {found.judge} calls {wrong.count:,} of {wrong.n:,} bad steps good ({wrong.share:.2f} [{low}, {high}])."
        yield Concern(about="Judge accepts bad steps", sentence=sentence, view="judge")


def of_summary(summary: Mapping[str, Any]) -> Iterator[Concern]:
    """A judge that agrees too seldom with one that knows the solutions."""
    agreement = summary.get("agreement")
    if agreement and agreement["accuracy"] < _AGREES:
        sentence = (
            f"The judge {agreement['judge']} agrees with {agreement['against']}, which knows the solutions, on "
            f"{agreement['accuracy']:.1%} of {agreement['n']:,} steps alone."
        )
        yield Concern(about="Judge disagrees", sentence=_spaced(sentence), view="judge")


def of_files(run: Path, told: Manifest | None) -> Iterator[Concern]:
    """Files that are not as long as when their stage ended."""
    names = [name for name in told.files if told.vouches(name)] if told else []
    assert told is not None or not names
    wrong = [name for name in names if told and _size(run / name) != told.files[name].bytes]
    if wrong:
        some = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        sentence = f"{some}: not as long as when its stage ended; `swirl verify {run}` says what has changed."
        yield Concern(about="Changed files", sentence=sentence)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _mean(updates: Sequence[Metrics], name: str) -> float:
    """Of those that have it, NaN of none, which no comparison holds for."""
    values = [value for each in updates if (value := getattr(each, name)) is not None]
    return math.fsum(values) / len(values) if values else math.nan


def _begun(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _spaced(sentence: str) -> str:
    return sentence.replace("%", " %")
