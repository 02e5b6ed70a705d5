"""What somebody who looks at a run should be told before anything else: what may make its figures worth less than they seem.

Each is a sentence with its figures. Pure: what is known of the run is handed in. The limits are ours, and rules of thumb. None of them
says that a run is wrong.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from swirl.calibrated import Calibration
from swirl.step_scores import StepScores
from swirl.train import Metrics

MISSING, MALFORMED, KL, DRIFT, RISE = 0.02, 0.05, 5.0, 0.02, 0.02
"""From which on it is told: the share of verdicts that are missing, the share of actions that are malformed, nats an action from the
initial policy, nats a token between sampling and training, and how much the reward has to rise while accuracy does not."""
_PART = 10
"""What stands for the beginning and the end of training: a tenth of it."""
FEWEST = 8
"""Updates before anything is said of how training goes: its first quarter is compared with its last."""
_GROWN = 0.05
"""A share of malformed actions that grew by more than this."""
_TRUNCATED = 0.1
_ENTROPY = 0.25
"""What is left of it, of what there was at first."""
_SIGNAL = 0.2
"""Share of states at which actions differ in reward."""
_UNEVEN = 2.0
"""How much more often verdicts on one kind of action are missing than on all."""
_ACCEPTS = 0.2
"""Share of bad steps that a judge calls good."""
_AGREES = 0.8
"""How often it agrees with one that knows the solutions."""


class Alarm(NamedTuple):
    """What is remarkable, and how much of it there is."""

    about: str
    """In a word or two."""
    told: str


def alarms(
    updates: Sequence[Metrics] = (),
    steps: StepScores | None = None,
    summary: Mapping[str, Any] | None = None,
    calibration: Calibration | None = None,
    out_of_date: Sequence[str] = (),
) -> list[Alarm]:
    """All that is remarkable of a run: by its updates, by the verdicts on its trajectories, by its summary, by its judge's calibration, and
    by the files that changed after that.

    >>> alarms(out_of_date=["verdicts.jsonl"])[0].about
    'calibration out of date'
    """
    found = [*_recorded(steps), *_trained(updates), *_uneven(updates), *_changed(updates)]
    found += [*_rewarded(updates, summary), *_judged(calibration), *_agreed(summary or {})]
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


def _changed(updates: Sequence[Metrics]) -> Iterator[Alarm]:
    """How training goes: malformed actions that grow, cut ones, entropy, states that teach nothing."""
    if len(updates) < FEWEST:
        return
    part = len(updates) // 4
    first, last = updates[:part], updates[-part:]
    yield from _malformed(first, last)
    yield from _entropy(first, last)
    yield from _signal(last)


def _uneven(updates: Sequence[Metrics]) -> Iterator[Alarm]:
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
        told = (
            f"Verdicts on {', '.join(uneven)} are missing, but on {missing / asked:.1%} of all actions sampled in training: "
            "that biases the gradient."
        )
        yield Alarm("missing verdicts, unevenly", told)


def _malformed(first: Sequence[Metrics], last: Sequence[Metrics]) -> Iterator[Alarm]:
    before, now = _mean_of(first, "malformed"), _mean_of(last, "malformed")
    if now - before > _GROWN:
        told = f"The share of malformed actions grew from {before:.1%} in training's first quarter to {now:.1%} in its last."
        yield Alarm("malformed actions grow", told)
    if (cut := _mean_of(last, "truncated")) > _TRUNCATED:
        told = f"{cut:.1%} of actions in training's last quarter were cut at train.max_tokens; a higher limit may be needed."
        yield Alarm("actions cut short", told)


def _entropy(first: Sequence[Metrics], last: Sequence[Metrics]) -> Iterator[Alarm]:
    before, now = _mean_of(first, "entropy"), _mean_of(last, "entropy")
    if now < _ENTROPY * before:
        told = f"Entropy fell from {before:.3f} to {now:.3f} nats a token: the policy hardly explores any more."
        yield Alarm("entropy has collapsed", told)


def _signal(last: Sequence[Metrics]) -> Iterator[Alarm]:
    signal = _mean_of(last, "signal")
    if signal < _SIGNAL:
        told = (
            f"At {1 - signal:.1%} of the states in training's last quarter all actions were rewarded alike, so that nothing was learnt "
            "there."
        )
        yield Alarm("little signal", told)


def _judged(found: Calibration | None) -> Iterator[Alarm]:
    """A judge that lets bad steps pass."""
    wrong = found.measures.errors.false_positive if found else None
    if found and wrong and wrong.share is not None and wrong.share > _ACCEPTS:
        low, high = (f"{end:.2f}" for end in wrong.ci95)
        told = f"The judge {found.judge} calls {wrong.count:,} of {wrong.n:,} bad steps good ({wrong.share:.2f} [{low}, {high}])."
        yield Alarm("judge accepts bad steps", told)


def _agreed(summary: Mapping[str, Any]) -> Iterator[Alarm]:
    """A judge that agrees too seldom with one that knows the solutions."""
    agreement = summary.get("agreement")
    if agreement and agreement["accuracy"] < _AGREES:
        told = (
            f"The judge {agreement['judge']} agrees with {agreement['against']}, which knows the solutions, on "
            f"{agreement['accuracy']:.1%} of {agreement['n']:,} steps alone."
        )
        yield Alarm("judge disagrees", told)


def _end(updates: Sequence[Metrics]) -> Sequence[Metrics]:
    """The last tenth, one update at least."""
    return updates[-max(1, len(updates) // _PART) :] if updates else ()


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _mean_of(updates: Sequence[Metrics], name: str) -> float:
    """Of those that have it, NaN of none, which no comparison holds for."""
    found = _mean([getattr(update, name) for update in updates])
    return math.nan if found is None else found


def _updates(part: Sequence[Metrics]) -> str:
    return "update" if len(part) == 1 else f"{len(part)} updates"
