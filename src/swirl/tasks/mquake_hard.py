"""MQuAKE-hard (MIT): 429 questions of four hops about an edited world, for evaluation alone. It is no part of CofCA.

Each hop is a fact, told in one sentence: its cloze and its new answer. Facts of different questions contradict each other, so a search
looks at a question's own alone.
"""

from collections.abc import Sequence

from swirl.errors import RecordError
from swirl.rows import Row
from swirl.tasks.multihop import DataSet, Decomposition, accepted, make_question
from swirl.tasks.paragraphs import items, passage
from swirl.types import Passage, Question


def paragraphs(row: Row) -> list[Passage]:
    """A row's facts after the edits.

    >>> hop = {"question": "Who wrote Silver Harbour?", "cloze": "Silver Harbour was written by", "answer": "Ada Quill"}
    >>> [(one.title, one.text) for one in paragraphs(Row("a", {"new_single_hops": [hop]}))]
    [('Who wrote Silver Harbour?', 'Silver Harbour was written by Ada Quill.')]
    """
    return [passage(hop.text("question"), f"{hop.text('cloze')} {hop.text('answer')}.") for hop in _hops(row)]


def question(row: Row, name: str, passages: Sequence[Passage]) -> Question:
    """An official row: the first of its paraphrases, and the answer after the edits."""
    texts = row.texts("questions")
    if not texts:
        raise RecordError(f"{row.place}: field questions: expected a list of paraphrases, found nothing")
    ids = [one.id for one in passages]
    return make_question(
        row,
        name,
        "mquake_hard",
        text=texts[0],
        answers=accepted(row, "new_answer", "new_answer_alias"),
        scope=ids,
        gold=ids,
        kind=f"{len(ids)}hop",
        decomposition=decomposition(row, ids),
    )


def decomposition(row: Row, ids: Sequence[str]) -> Decomposition:
    """The hops, one a paragraph; no hop's question refers to another's answer. None where the row has none."""
    if row.fields.get("new_single_hops") is None:
        return []
    hops = _hops(row)
    if len(hops) != len(ids):
        raise RecordError(
            f"{row.place}: field new_single_hops: expected one for each of {len(ids)} paragraphs, found {len(hops)}"
        )
    return [
        {"question": hop.text("question"), "answer": hop.text("answer"), "passage": one}
        for hop, one in zip(hops, ids, strict=True)
    ]


def _hops(row: Row) -> list[Row]:
    return items(row, "new_single_hops", ("question", "cloze", "answer"))


MQUAKE_HARD = DataSet(
    name="mquake_hard",
    title="MQuAKE-hard",
    files={"train": (), "test": ("MQuAKE-hard.json*", "all.jsonl*")},
    paragraphs=paragraphs,
    question=question,
    decomposition=decomposition,
    hub_splits={"train": "train", "test": "test"},
    corpus="facts_derived.jsonl*",
    scoped=True,
)
