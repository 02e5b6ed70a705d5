"""CofCA, the step-wise counterfactual benchmark (arXiv 2402.11924), for evaluation alone: three questions of two to four hops on each of
300 rewritten Wikipedia passages, with their sub-questions.

Its data are not published, and no field name is documented: the form read here is ours, after what the paper says a question has. A row has
`id`, `question`, `answer`, `passage` (a text, or a list of them) and, where they are known, `title`, `type` and `sub_questions`, each with
`question` and `answer`. Passages contradict what is true elsewhere, so a search looks at a question's own alone.
"""

from collections.abc import Sequence

from swirl.errors import RecordError
from swirl.rows import Row
from swirl.tasks.multihop import DataSet, Decomposition, accepted, make_question
from swirl.tasks.paragraphs import items, passage
from swirl.types import Passage, Question


def paragraphs(row: Row) -> list[Passage]:
    """The passages of a row, all under its title."""
    texts = row.texts("passage")
    if not texts:
        raise RecordError(f"{row.place}: field passage: expected a text or a list of them, found nothing")
    title = row.text("title") if "title" in row.fields else "Passage"
    return [passage(title, text) for text in texts]


def question(row: Row, name: str, passages: Sequence[Passage]) -> Question:
    """A row of the form above."""
    ids = [one.id for one in passages]
    return make_question(
        row,
        name,
        "cofca",
        answers=accepted(row, "answer", "answer_aliases"),
        scope=ids,
        gold=ids,
        kind=row.fields.get("type"),
        decomposition=decomposition(row, ids),
    )


def decomposition(row: Row, ids: Sequence[str]) -> Decomposition:
    """The sub-questions; which of several passages answers one is not known."""
    if row.fields.get("sub_questions") is None:
        return []
    steps = items(row, "sub_questions", ("question", "answer"))
    known = {"passage": ids[0]} if len(ids) == 1 else {}
    return [{"question": step.text("question"), "answer": step.text("answer"), **known} for step in steps]


COFCA = DataSet(
    name="cofca",
    title="CofCA",
    files={"train": (), "test": ("[Cc]of[Cc][Aa]*.json*", "test.json*")},
    paragraphs=paragraphs,
    question=question,
    decomposition=decomposition,
    hub_splits={"train": "train", "test": "test"},
    scoped=True,
)
