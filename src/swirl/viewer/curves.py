"""Learning curves of a training, as the viewer's pages show them."""

from collections.abc import Mapping, Sequence

from swirl import plots
from swirl.train import Metrics
from swirl.viewer.cached import drawn

FEW: Mapping[str, str] = {
    "reward": "reward (mean verdict)",
    "kl": "KL to the initial policy (nats an action)",
    "malformed": "malformed (share)",
}
"""What an overview shows."""
ALL: Mapping[str, str] = {
    "reward": "reward (mean verdict)",
    "good": "judged good (share)",
    "kl": "KL to the initial policy (nats an action)",
    "entropy": "entropy (nats a token)",
    "signal": "states with a signal (share)",
    "malformed": "malformed (share)",
    "truncated": "cut at the limit (share)",
    "missing": "missing verdicts (count)",
    "loss": "loss",
    "grad_norm": "norm of the gradient",
    "mean_tokens": "tokens an action (mean)",
    "learning_rate": "learning rate",
    "drift": "drift in training (nats a token)",
}
IMITATED: Mapping[str, str] = {name: ALL[name] for name in ("loss", "grad_norm", "learning_rate")}
"""What supervised training has."""
_JUDGED, _SAMPLED = ("reward", "good"), ("malformed", "truncated")
"""Means of 0s and 1s, over the actions that have a verdict, and over all."""


def drawn_up_to(updates: int, of: int) -> int:
    """How many updates curves are drawn of: all in the end; before that, so that drawing does not keep the processor from the training
    itself, they are drawn again whenever a twentieth more is there.

    >>> drawn_up_to(7, 500), drawn_up_to(319, 500), drawn_up_to(500, 500)
    (7, 315, 500)
    """
    return updates if updates >= of else updates - updates % max(1, updates // 20)


def curves(updates: Sequence[Metrics], names: Mapping[str, str]) -> str:
    """Some figures over the updates, with a band where they are shares of what was sampled."""
    counts = {
        label: [each.num_samples - (each.missing.total if name in _JUDGED else 0) for each in updates]
        for name, label in names.items()
        if name in (*_JUDGED, *_SAMPLED)
    }
    return drawn(
        plots.curves, {label: [_value(each, name) for each in updates] for name, label in names.items()}, counts
    )


def _value(update: Metrics, name: str) -> float | None:
    return float(update.missing.total) if name == "missing" else getattr(update, name)
