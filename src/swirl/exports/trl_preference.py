"""Two actions at one state, one judged reasonable and one not, for TRL's DPOTrainer (its type "preference", explicit prompt).

States are the same where their prompts are: the first states of all samples of a question, and later ones as long as samples agree.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from swirl.decompose import state_before
from swirl.exports import Format, Item, Row
from swirl.exports.trl_pairs import Candidate, pairs, question
from swirl.exports.trl_turns import action, judged
from swirl.exports.turns import turns


def rows(items: Iterable[Item]) -> Iterator[Row]:
    """The pairs of each question."""
    for (task, name), own in groupby(items, key=question):
        for row in pairs(_candidates(list(own))):
            yield row | {"task": task, "question": name, "step": len(row["prompt"]) // 2}


def _candidates(items: Sequence[Item]) -> Iterator[Candidate]:
    for item in items:
        for index, step, verdict in judged(item):
            if step.thinking + step.text:
                prompt = turns(state_before(item.trajectory, index))
                yield Candidate(prompt, action(step), verdict.good, item.trajectory.id)


FORMAT = Format(
    "trl-preference", "prompt, chosen and rejected: two actions at one state, for TRL's DPOTrainer", rows, dropped=True
)
