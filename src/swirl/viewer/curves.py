"""Learning curves of a training, as the viewer's pages show them."""

from collections.abc import Mapping, Sequence

from swirl import plots
from swirl.learning import KL, MALFORMED, REWARD, TOKENS_READ, UNSHARED, counts, series
from swirl.train import Metrics
from swirl.viewer.cached import drawn

MORE: Mapping[str, str] = {
    "good": "judged good (share)",
    "entropy": "entropy (nats a token)",
    "truncated": "cut at the limit (share)",
    "grad_norm": "norm of the gradient",
    "mean_tokens": "tokens an action (mean)",
}
"""What a report has no room for: a figure of an update -> what its curve is called."""
FEW = (REWARD, KL, MALFORMED)
"""What an overview shows."""
IMITATED = ("loss", MORE["grad_norm"], MORE["mean_tokens"])
"""What supervised training has."""
_LEFT_OUT = (TOKENS_READ, UNSHARED)
"""What drawing is spared: an update's own page has it."""


def drawn_up_to(updates: int, of: int) -> int:
    """How many updates curves are drawn of: all in the end; before that, so that drawing does not keep the processor from the training
    itself, they are drawn again whenever a twentieth more is there.

    >>> drawn_up_to(7, 500), drawn_up_to(319, 500), drawn_up_to(500, 500)
    (7, 315, 500)
    """
    return updates if updates >= of else updates - updates % max(1, updates // 20)


def curves(updates: Sequence[Metrics], few: Sequence[str] = ()) -> str:
    """All figures over the updates, or a few of them, with a band where they are shares of what was sampled."""
    more = {label: [getattr(each, name) for each in updates] for name, label in MORE.items()}
    shown = {**series(updates), **more}
    counted = {
        **counts(updates),
        MORE["good"]: counts(updates)[REWARD],
        MORE["truncated"]: counts(updates)[MALFORMED],
    }
    return drawn(plots.curves, {name: shown[name] for name in few or _in_order(shown)}, counted)


def _in_order(shown: Mapping[str, object]) -> Sequence[str]:
    """Reward first, and beside it what it is made of."""
    first = (REWARD, MORE["good"], KL, MORE["entropy"])
    return [*first, *(name for name in shown if name not in (*first, *_LEFT_OUT))]
