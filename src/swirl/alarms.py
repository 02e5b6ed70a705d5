"""What somebody who looks at a run should be told before anything else: what may make its figures worth less than they seem.

Each is a sentence with its figures. Pure: what is known of the run is handed in. None of them says that a run is wrong.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from swirl.step_scores import StepScores
from swirl.train import Metrics

MISSING, MALFORMED, KL, DRIFT, RISE = 0.02, 0.05, 5.0, 0.02, 0.02
"""From which on it is told: the share of verdicts that are missing, the share of actions that are malformed, nats an action from the
initial policy, nats a token between sampling and training, and how much the reward has to rise while accuracy does not."""
_PART = 10
"""What stands for the beginning and the end of training: a tenth of it."""


class Alarm(NamedTuple):
    """What is remarkable, and how much of it there is."""

    about: str
    """In a word or two."""
    told: str


def alarms(
    updates: Sequence[Metrics] = (),
    steps: StepScores | None = None,
    summary: Mapping[str, Any] | None = None,
    out_of_date: Sequence[str] = (),
) -> list[Alarm]:
    """All that is remarkable of a run: by its updates, by the verdicts on its trajectories, by its summary, and by the files that changed
    after its judge was calibrated.

    >>> alarms(out_of_date=["verdicts.jsonl"])[0].about
    'calibration out of date'
    """
    found = [*_recorded(steps), *_trained(updates), *_rewarded(updates, summary)]
    if out_of_date:
        changed = ", ".join(out_of_date)
        found.append(
            Alarm("calibration out of date", f"{changed} changed since the judge was measured; measure again.")
        )
    return found


def _recorded(steps: StepScores | None) -> list[Alarm]:
    """Verdicts that are missing, once some were given."""
    return missing_verdicts(steps.missing, steps.judged + steps.missing) if steps and steps.judged else []


def missing_verdicts(missing: int, steps: int) -> list[Alarm]:
    """That recorded steps have no verdict, where they are more than a few.

    >>> missing_verdicts(1, 100), missing_verdicts(0, 0)
    ([], [])
    """
    if not missing or missing < MISSING * steps:
        return []
    told = f"{missing:,} of {steps:,} recorded steps ({missing / steps:.1%}) have no verdict; they count neither as good nor as bad."
    return [Alarm("missing verdicts", told)]


def _trained(updates: Sequence[Metrics]) -> list[Alarm]:
    """What training's last tenth looks like."""
    last = _end(updates)
    if not last:
        return []
    found = []
    actions = sum(update.num_samples for update in updates)
    missing = sum(update.missing.total for update in updates)
    if missing / max(1, actions) >= MISSING:
        found.append(
            Alarm("missing rewards", f"{missing:,} of {actions:,} sampled actions ({missing / actions:.1%}) have none.")
        )
    malformed = _mean([update.malformed for update in last])
    if malformed is not None and malformed >= MALFORMED:
        told = f"{malformed:.1%} of the actions of the last {_updates(last)} are neither one call nor one answer."
        found.append(Alarm("malformed actions", told))
    kl = _mean([update.kl for update in last])
    if kl is not None and kl >= KL:
        told = f"{kl:.1f} nats an action from the initial policy in the last {_updates(last)}: it has moved far."
        found.append(Alarm("KL", told))
    drift = _mean([update.drift for update in last])
    if drift is not None and drift >= DRIFT:
        told = f"log-probabilities differ by {drift:.3f} nats a token between sampling and training."
        found.append(Alarm("drift in training", told))
    return found


def _rewarded(updates: Sequence[Metrics], summary: Mapping[str, Any] | None) -> list[Alarm]:
    """A reward that rose where accuracy, as far as that can be said, did not: what the judge likes has drifted from what is right."""
    gain = (summary or {}).get("gain") or (summary or {}).get("greedy", {}).get("gain")
    first, last = (_mean([update.reward for update in part]) for part in (updates[: len(_end(updates))], _end(updates)))
    if gain is None or first is None or last is None or last - first < RISE or gain["ci95"][0] > 0:
        return []
    low, high = (f"{100 * end:+.1f}" for end in gain["ci95"])
    told = (
        f"the reward rose from {first:.2f} to {last:.2f}, accuracy on held-out questions by {100 * gain['mean']:+.1f} points "
        f"[{low}, {high}]: the judge may like what is not right."
    )
    return [Alarm("reward without accuracy", told)]


def _end(updates: Sequence[Metrics]) -> Sequence[Metrics]:
    """The last tenth, one update at least."""
    return updates[-max(1, len(updates) // _PART) :] if updates else ()


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _updates(part: Sequence[Metrics]) -> str:
    return "update" if len(part) == 1 else f"{len(part)} updates"
