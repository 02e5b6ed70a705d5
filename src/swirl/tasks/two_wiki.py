"""2WikiMultihopQA (Apache-2.0): the form of HotPotQA, four types of questions.

`id_aliases.json` beside the questions, JSON lines of `Q_id`, `aliases` and `demonyms`, gives further accepted answers by a row's
`answer_id`, as in the official evaluation (version 1.1).
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from swirl.rows import read_rows
from swirl.tasks.hotpotqa import question
from swirl.tasks.multihop import DataSet
from swirl.tasks.paragraphs import paragraphs


def aliases(folder: Path) -> Mapping[str, tuple[str, ...]]:
    """Other names of what answers are about, by its id; none where the file is not there."""
    path = folder / "id_aliases.json"
    rows = read_rows(path) if path.is_file() else ()
    return {row.text("Q_id"): (*row.texts("aliases"), *row.texts("demonyms")) for row in rows}


TWO_WIKI = DataSet(
    name="2wiki",
    title="2WikiMultihopQA",
    files={"train": ("train.json*", "train_ctx*.jsonl*"), "test": ("dev.json*", "dev_ctx*.jsonl*")},
    paragraphs=paragraphs,
    question=partial(question, task="2wiki"),
    aliases=aliases,
    hub_id="ohjoonhee/2WikiMultihopQA",
)
