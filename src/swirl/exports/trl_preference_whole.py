"""Two trajectories on one question, one kept and one dropped, for trainers of preferences (TRL's type "preference", explicit prompt).

Chosen: every step was judged reasonable, and the filter did not drop it. Rejected: a step was judged bad, and the filter did not keep it.
Whatever else is in neither, e.g. one that was dropped because there were enough, or whose verdicts are missing.

TRL's DPOTrainer has no mask for results inside of a completion, so it trains on them, too; `--to trl-preference` has none.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from swirl.exports import Format, Item, Row
from swirl.exports.trl_pairs import Candidate, pairs, question
from swirl.exports.trl_sft import conversation
from swirl.exports.trl_turns import judged


def rows(items: Iterable[Item]) -> Iterator[Row]:
    """The pairs of each question."""
    for (task, name), own in groupby(items, key=question):
        for row in pairs(_candidates(list(own))):
            yield row | {"task": task, "question": name}


def _candidates(items: Sequence[Item]) -> Iterator[Candidate]:
    for item in items:
        good, messages = _good(item), conversation(item.trajectory)
        if good is not None and messages:
            yield Candidate(messages[:1], messages[1:], good, item.trajectory.id)


def _good(item: Item) -> bool | None:
    """Whether a trajectory is one to choose, or to reject; None where it is neither."""
    labels = [verdict.good for _, _, verdict in judged(item)]
    if item.kept is not False and labels and all(labels) and len(labels) == len(item.trajectory.steps):
        return True
    return False if item.kept is not True and not all(labels) else None


FORMAT = Format(
    "trl-preference-whole",
    "prompt, chosen and rejected: two trajectories on one question, for TRL's trainers",
    rows,
    dropped=True,
)
