"""Each judged action with its verdict as the label, for TRL's KTOTrainer (its type "unpaired preference", conversational).

`label` is whether the action was judged reasonable, `score` by how much. Where the verdict is missing there is no row.
"""

from collections.abc import Iterable, Iterator

from swirl.decompose import state_before
from swirl.exports import Format, Item, Row
from swirl.exports.trl_turns import action, judged, source
from swirl.exports.turns import turns


def rows(items: Iterable[Item]) -> Iterator[Row]:
    """A row a judged step, without those at which nothing was written."""
    for item in items:
        for index, step, verdict in judged(item):
            if step.thinking + step.text:
                yield {
                    "prompt": turns(state_before(item.trajectory, index)),
                    "completion": action(step),
                    "label": verdict.good,
                    "score": verdict.score,
                    **source(item.trajectory, index),
                }


FORMAT = Format(
    "trl-unpaired", "prompt, completion and label, one a judged step, for TRL's KTOTrainer", rows, dropped=True
)
