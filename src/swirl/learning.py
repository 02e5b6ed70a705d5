"""What each update of a training measured, as curves: which, what they are called, and of how many actions a mean is."""

from collections.abc import Sequence

from swirl.train import Metrics

REWARD = "reward (mean verdict)"
KL = "KL to the initial policy (nats an action)"
MALFORMED = "malformed (share)"
TOKENS_READ = "tokens read, of all rows (share)"
UNSHARED = "states that share nothing (share)"


def learning_curves(updates: Sequence[Metrics]) -> str:
    """The curves as SVG; empty where there are none."""
    from swirl.plots import curves

    return curves(series(updates), counts(updates))


def series(updates: Sequence[Metrics]) -> dict[str, list[float | None]]:
    """Name of a curve -> its value at each update."""
    return {
        REWARD: [update.reward for update in updates],
        KL: [update.kl for update in updates],
        "loss": [update.loss for update in updates],
        MALFORMED: [update.malformed for update in updates],
        "missing verdicts (count)": [float(update.missing.total) for update in updates],
        "states with a signal (share)": [update.signal for update in updates],
        TOKENS_READ: [update.tokens_read / update.naive_tokens if update.naive_tokens else None for update in updates],
        UNSHARED: [update.unshared for update in updates],
        "drift in training (nats a token)": [update.drift for update in updates],
    }


def counts(updates: Sequence[Metrics]) -> dict[str, list[int]]:
    """Name of a curve -> of how many actions each of its values is the mean, where they are shares of actions.

    >>> from swirl.train import ByAction
    >>> about = {"loss": 0.0, "grad_norm": 1.0, "learning_rate": 0.1, "mean_tokens": 5.0}
    >>> counts([Metrics(update=1, num_samples=64, missing=ByAction(answer=4), **about)])[REWARD]
    [60]
    """
    return {
        REWARD: [update.num_samples - update.missing.total for update in updates],
        MALFORMED: [update.num_samples for update in updates],
    }
