"""BeerQA (CC BY-SA 4.0): open-domain questions of one hop (SQuAD) and of two (HotPotQA), with the gold paragraphs alone.

Its test answers are hidden, those with three hops among them. Where its development file is not there either, the last 300 training
questions by id are the test questions.
"""

from collections.abc import Sequence

from swirl.rows import Row
from swirl.tasks.multihop import DataSet, accepted, make_question
from swirl.tasks.paragraphs import paragraphs
from swirl.types import Passage, Question


def question(row: Row, name: str, passages: Sequence[Passage]) -> Question:
    """An official row."""
    ids = [one.id for one in passages]
    return make_question(
        row,
        name,
        "beerqa",
        answers=accepted(row, "answers"),
        scope=ids,
        gold=ids,
        kind=row.fields.get("src"),
    )


BEERQA = DataSet(
    name="beerqa",
    title="BeerQA",
    files={
        "train": ("beerqa_train_v1.0.json*", "train_ctx*.jsonl*"),
        "test": ("beerqa_dev_v1.0.json*", "dev_ctx*.jsonl*"),
    },
    paragraphs=paragraphs,
    question=question,
    held_out=300,
)
