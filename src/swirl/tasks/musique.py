"""MuSiQue (CC BY 4.0): two to four hops, each a question of its own with its answer and its paragraph, among twenty paragraphs.

MuSiQue-Answerable comes before MuSiQue-Full; of the latter, questions that their paragraphs do not answer are left out.
"""

from collections.abc import Sequence

from swirl.errors import RecordError
from swirl.rows import Row
from swirl.tasks import Split
from swirl.tasks.multihop import DataSet, Decomposition, accepted, make_question
from swirl.tasks.paragraphs import items, passage
from swirl.types import Passage, Question


def paragraphs(row: Row) -> list[Passage]:
    """The paragraphs that a row carries, in order, so that a hop's index points to its own."""
    found = items(row, "paragraphs", ("title", "paragraph_text"))
    return [passage(one.text("title"), one.text("paragraph_text")) for one in found]


def question(row: Row, name: str, passages: Sequence[Passage]) -> Question:
    """An official row."""
    marks = items(row, "paragraphs", ("title", "paragraph_text"))
    ids = [one.id for one in passages]
    return make_question(
        row,
        name,
        "musique",
        answers=accepted(row, "answer", "answer_aliases"),
        scope=ids,
        gold=[one for one, mark in zip(ids, marks, strict=True) if mark.fields.get("is_supporting")],
        kind=name.removeprefix("musique-").partition("__")[0],
        decomposition=decomposition(row, ids),
    )


def decomposition(row: Row, ids: Sequence[str]) -> Decomposition:
    """The hops of a question, each with the paragraph that its index points to; none where the row has none.

    >>> hops = [{"question": "Where was Ada born?", "answer": "Port Lumen", "paragraph_support_idx": 1}]
    >>> decomposition(Row("dev.jsonl:1", {"question_decomposition": hops}), ["p1", "p2"])
    [{'question': 'Where was Ada born?', 'answer': 'Port Lumen', 'passage': 'p2'}]
    """
    if row.fields.get("question_decomposition") is None:
        return []
    hops = items(row, "question_decomposition", ("question", "answer", "paragraph_support_idx"))
    return [
        {"question": hop.text("question"), "answer": hop.text("answer"), "passage": ids[_place(hop, len(ids))]}
        for hop in hops
    ]


def _place(hop: Row, count: int) -> int:
    place = hop.fields.get("paragraph_support_idx")
    if type(place) is not int or not 0 <= place < count:
        raise RecordError(
            f"{hop.place}: field paragraph_support_idx: expected the number of one of {count} paragraphs, from 0, found {place!r}"
        )
    return place


def left_out(row: Row, split: Split) -> str:
    """Why a row is not asked."""
    return "their paragraphs do not answer them" if row.fields.get("answerable") is False else ""


MUSIQUE = DataSet(
    name="musique",
    title="MuSiQue",
    files={
        "train": ("musique_ans_v1.0_train.jsonl*", "musique_full_v1.0_train.jsonl*", "train_ctx*.jsonl*"),
        "test": ("musique_ans_v1.0_dev.jsonl*", "musique_full_v1.0_dev.jsonl*", "dev_ctx*.jsonl*"),
    },
    paragraphs=paragraphs,
    question=question,
    decomposition=decomposition,
    left_out=left_out,
    hub_id="dgslibisey/MuSiQue",
)
