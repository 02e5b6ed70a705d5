"""Trajectories with a label a step, for process reward models (TRL's type "stepwise supervision", in plain text).

A completion is an action, after the result that was shown before it: a label stands where the judge stood, with the action's own result
still to come. Where a verdict is missing, the action goes on into the next completion that has a label; what follows the last label is
left out. `steps` are the indices of the steps that the labels are on.

TRL 1.16 itself has no trainer for this type; earlier versions had `PRMTrainer`.
"""

from collections.abc import Iterable, Iterator

from swirl.decompose import state_before
from swirl.exports import Format, Item, Row
from swirl.exports.trl_turns import action, judged, source
from swirl.exports.turns import turns


def rows(items: Iterable[Item]) -> Iterator[Row]:
    """A row a trajectory; none where no step has a verdict."""
    for item in items:
        if labels := {index: verdict.good for index, _, verdict in judged(item)}:
            yield _row(item, labels)


def _row(item: Item, labels: dict[int, bool]) -> Row:
    steps, last = item.trajectory.steps, max(labels)
    prompt, *said = turns(state_before(item.trajectory, last)) + action(steps[last])
    completions, texts = [], list[str]()
    for place, turn in enumerate(said):
        texts.append(turn["content"])
        if place % 2 == 0 and place // 2 in labels:
            completions.append("\n".join(texts))
            texts.clear()
    return {
        "prompt": prompt["content"],
        "completions": completions,
        "labels": list(labels.values()),
        "steps": list(labels),
        **source(item.trajectory, last),
    }


FORMAT = Format(
    "trl-stepwise", "prompt, completions and labels, one a trajectory, for process reward models", rows, dropped=True
)
