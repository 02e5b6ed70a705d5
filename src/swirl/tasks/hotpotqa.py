"""HotPotQA (CC BY-SA 4.0): two paragraphs a question, ten to choose from.

`train` leaves out the questions of level `easy`, as the paper does. The development file of the distractor setting comes before that of the
fullwiki setting, which seldom carries both gold paragraphs. A file of questions without paragraphs has to be normalised.
"""

from collections.abc import Sequence

from swirl.rows import Row
from swirl.tasks import Split
from swirl.tasks.multihop import DataSet, accepted, make_question
from swirl.tasks.paragraphs import paragraphs, supporting
from swirl.types import Passage, Question


def question(row: Row, name: str, passages: Sequence[Passage], task: str = "hotpotqa") -> Question:
    """An official row, in the form of the files or of the hub."""
    return make_question(
        row,
        name,
        task,
        answers=accepted(row, "answer"),
        scope=[one.id for one in passages],
        gold=supporting(row, passages),
        kind=row.fields.get("type"),
    )


def left_out(row: Row, split: Split) -> str:
    """Why a row is not asked.

    >>> left_out(Row("train.json, row 1", {"level": "easy"}), "train")
    'of level easy, as in the paper'
    """
    return "of level easy, as in the paper" if split == "train" and row.fields.get("level") == "easy" else ""


HOTPOTQA = DataSet(
    name="hotpotqa",
    title="HotPotQA",
    files={
        "train": ("hotpot_train_v1.1.json*", "train_ctx*.jsonl*"),
        "test": ("hotpot_dev_distractor_v1.json*", "dev_ctx*.jsonl*", "hotpot_dev_fullwiki_v1.json*", "dev_qa*.jsonl*"),
    },
    paragraphs=paragraphs,
    question=question,
    left_out=left_out,
    hub_id="hotpotqa/hotpot_qa",
    configuration="distractor",
)
