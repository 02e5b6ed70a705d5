"""What somebody who looks at a run should be warned of, in words: what the report tells too (`swirl.alarms`), with where to look for more,
and what takes a closer look at files.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from swirl.alarms import Alarm, alarms, missing_verdicts
from swirl.calibrated import Calibration
from swirl.manifest import Manifest
from swirl.train import Metrics


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
    "missing verdicts, unevenly": ("training", {}),
    "malformed actions grow": ("training", {}),
    "actions cut short": ("training", {}),
    "entropy has collapsed": ("training", {}),
    "little signal": ("training", {}),
    "judge accepts bad steps": ("judge", {}),
    "judge disagrees": ("judge", {}),
    "calibration out of date": ("judge", {}),
}
"""What an alarm is about -> the view that shows more, and what it is asked for."""


def alarming(
    updates: Sequence[Metrics],
    summary: Mapping[str, Any] | None,
    calibration: Calibration | None = None,
    changed: Sequence[str] = (),
) -> Iterator[Concern]:
    """What the report tells too, but for the verdicts on recorded steps, which are counted here as they come.

    >>> [concern.view for concern in alarming([], None, None, ["verdicts.jsonl"])]
    ['judge']
    """
    yield from map(_of_alarm, alarms(updates, None, summary, calibration, changed))


def _of_alarm(alarm: Alarm) -> Concern:
    view, asked = _VIEWS.get(alarm.about, ("", {}))
    return Concern(about=_begun(alarm.about), sentence=_spaced(_begun(alarm.told)), view=view, asked=asked)


def of_verdicts(good: int, bad: int, missing: int) -> Iterator[Concern]:
    """Verdicts on the recorded steps that are missing.

    >>> [concern.sentence for concern in of_verdicts(90, 5, 5)]
    ['5 of 100 recorded steps (5.0 %) have no verdict; they count neither as good nor as bad.']
    """
    yield from map(_of_alarm, missing_verdicts(missing, good + bad + missing))


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


def _begun(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _spaced(sentence: str) -> str:
    return sentence.replace("%", " %")
