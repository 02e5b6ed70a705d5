"""One row of each data set as its authors publish it: the fields that are read, and those beside them.

After the READMEs of hotpotqa/hotpot and Alab-NII/2wikimultihop, the beginning of BeerQA's training file, data set cards and normalised
rows of MuSiQue and MQuAKE, and for
CofCA, of which no file is public, after the form that `swirl.tasks.cofca` sets down. The words are made up.
"""

from typing import Any, NamedTuple

CONTEXT = [
    ["Silver Harbour", ["Silver Harbour is a novel.", " It was written by Ada Quill."]],
    ["Ada Quill", ["Ada Quill was a poet.", " She was born in Port Lumen."]],
    ["Upper Elba", ["Upper Elba is a town."]],
]
TITLES = [title for title, _ in CONTEXT]

HOTPOTQA = {
    "_id": "5a7f6f",
    "question": "Where was the author of Silver Harbour born?",
    "answer": "Port Lumen",
    "supporting_facts": [["Silver Harbour", 1], ["Ada Quill", 1]],
    "context": CONTEXT,
    "type": "bridge",
    "level": "hard",
}
TWO_WIKI = {
    "_id": "8813f8",
    "type": "compositional",
    "question": "Where was the author of Silver Harbour born?",
    "context": CONTEXT,
    "entity_ids": "Q1_Q2",
    "supporting_facts": [["Silver Harbour", 1], ["Ada Quill", 1]],
    "evidences": [["Silver Harbour", "author", "Ada Quill"], ["Ada Quill", "place of birth", "Port Lumen"]],
    "answer": "Port Lumen",
    "evidences_id": [["Q1", "author", "Q2"], ["Q2", "place of birth", "Q3"]],
    "answer_id": "Q3",
}
MUSIQUE = {
    "id": "2hop__11_22",
    "paragraphs": [
        {"idx": place, "title": title, "paragraph_text": "".join(sentences), "is_supporting": title != "Upper Elba"}
        for place, (title, sentences) in enumerate(CONTEXT)
    ],
    "question": "Where was the author of Silver Harbour born?",
    "question_decomposition": [
        {"id": 11, "question": "Silver Harbour >> author", "answer": "Ada Quill", "paragraph_support_idx": 0},
        {"id": 22, "question": "Where was #1 born?", "answer": "Port Lumen", "paragraph_support_idx": 1},
    ],
    "answer": "Port Lumen",
    "answer_aliases": ["Lumen", "The Port of Lumen"],
    "answerable": True,
}
BEERQA = {
    "id": "8af075",
    "src": "hotpotqa",
    "answers": ["Port Lumen", "Lumen"],
    "question": "Where was the author of Silver Harbour born?",
    "context": [[title, "".join(sentences)] for title, sentences in CONTEXT[:2]],
}
COFCA = {
    "id": "7-2hop",
    "title": "Silver Harbour",
    "passage": "Silver Harbour was written by Ada Quill, who was born in Port Lumen.",
    "question": "Where was the author of Silver Harbour born?",
    "answer": "Port Lumen",
    "type": "2-hop",
    "sub_questions": [
        {"question": "Who wrote Silver Harbour?", "answer": "Ada Quill"},
        {"question": "Where was Ada Quill born?", "answer": "Port Lumen"},
    ],
}
MQUAKE_HARD = {
    "case_id": 7417,
    "requested_rewrite": [{"prompt": "{} was written by", "relation_id": "P50", "subject": "Silver Harbour"}],
    "questions": ["Where was the author of Silver Harbour born?", "What is the birthplace of Silver Harbour's author?"],
    "answer": "Saint Corvo",
    "answer_alias": [],
    "new_answer": "Port Lumen",
    "new_answer_alias": ["Lumen"],
    "single_hops": [],
    "new_single_hops": [
        {
            "question": "Who wrote Silver Harbour?",
            "cloze": "Silver Harbour was written by",
            "answer": "Ada Quill",
            "answer_alias": ["A. Quill"],
        },
        {
            "question": "Where was Ada Quill born?",
            "cloze": "Ada Quill was born in",
            "answer": "Port Lumen",
            "answer_alias": [],
        },
    ],
    "orig": {"triples": [["Q1", "P50", "Q9"]]},
}


class Official(NamedTuple):
    """A data set's files, and what its row comes to."""

    name: str
    train: str
    """Name of the file of training questions; empty: it has none."""
    test: str
    row: dict[str, Any]
    id: str
    answers: tuple[str, ...]
    gold: list[str]
    """Titles of the gold paragraphs."""
    known: dict[str, object]
    """Of the question's meta, but for ids of passages."""
    needed: tuple[str, ...]
    """The fields without which there is no question."""


_KNOWN_HOPS = ["Who wrote Silver Harbour?", "Where was Ada Quill born?"]

OFFICIAL = (
    Official(
        "hotpotqa",
        "hotpot_train_v1.1.json",
        "hotpot_dev_distractor_v1.json",
        HOTPOTQA,
        "hotpotqa-5a7f6f",
        ("Port Lumen",),
        TITLES[:2],
        {"kind": "bridge", "level": "hard"},
        ("_id", "question", "answer", "context"),
    ),
    Official(
        "2wiki",
        "train.json",
        "dev.json",
        TWO_WIKI,
        "2wiki-8813f8",
        ("Port Lumen",),
        TITLES[:2],
        {"kind": "compositional"},
        ("_id", "question", "answer", "context"),
    ),
    Official(
        "musique",
        "musique_ans_v1.0_train.jsonl",
        "musique_ans_v1.0_dev.jsonl",
        MUSIQUE,
        "musique-2hop__11_22",
        ("Port Lumen", "Lumen", "The Port of Lumen"),
        TITLES[:2],
        {"kind": "2hop", "hops": ["Silver Harbour >> author", "Where was #1 born?"]},
        ("id", "question", "answer", "paragraphs"),
    ),
    Official(
        "beerqa",
        "beerqa_train_v1.0.json",
        "beerqa_dev_v1.0.json",
        BEERQA,
        "beerqa-8af075",
        ("Port Lumen", "Lumen"),
        TITLES[:2],
        {"kind": "hotpotqa"},
        ("id", "question", "answers", "context"),
    ),
    Official(
        "cofca",
        "",
        "CofCA.json",
        COFCA,
        "cofca-7-2hop",
        ("Port Lumen",),
        ["Silver Harbour"],
        {"kind": "2-hop", "hops": _KNOWN_HOPS},
        ("id", "question", "answer", "passage"),
    ),
    Official(
        "mquake_hard",
        "",
        "MQuAKE-hard.json",
        MQUAKE_HARD,
        "mquake_hard-7417",
        ("Port Lumen", "Lumen"),
        _KNOWN_HOPS,
        {"kind": "2hop", "hops": _KNOWN_HOPS},
        ("case_id", "questions", "new_answer", "new_single_hops"),
    ),
)
