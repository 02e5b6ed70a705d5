"""The best of many scores, without sorting them all."""

import numpy as np


def top(scores_N: np.ndarray, k: int) -> np.ndarray:
    """Places of the `k` highest scores, highest first; of equal ones the first come first, and are taken first.

    >>> top(np.array([1.0, 3.0, 2.0, 3.0, 2.0]), 3).tolist()
    [1, 3, 2]
    """
    if k == 1 and len(scores_N):
        return np.array([scores_N.argmax()])
    if k < len(scores_N):
        least = scores_N[np.argpartition(scores_N, -k)[-k]]
        better = np.flatnonzero(scores_N > least)
        places = np.concatenate([better, np.flatnonzero(scores_N == least)[: k - len(better)]])
    else:
        places = np.arange(len(scores_N))
    return places[np.argsort(-scores_N[places], kind="stable")]
