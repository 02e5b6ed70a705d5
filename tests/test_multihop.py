"""Each loader on a file of the official shape, on what may be wrong with one, on the normalised form, and on real rows."""

import gzip
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from official_rows import CONTEXT, HOTPOTQA, MUSIQUE, OFFICIAL, TWO_WIKI, Official
from playing import needs_data
from swirl.catalog import TASKS, open_task
from swirl.errors import ConfigError, RecordError
from swirl.tasks import Task, beerqa, cofca, hotpotqa, mquake_hard, musique, two_wiki
from swirl.tasks.answers import normalise
from swirl.tasks.multihop import MultiHop
from swirl.types import Question

NAMES = [official.name for official in OFFICIAL]
EVALUATION_ALONE = [official.name for official in OFFICIAL if not official.train]
each = pytest.mark.parametrize("official", OFFICIAL, ids=NAMES)


def text(name: str, rows: Iterable[object]) -> str:
    """What a file of this name holds: JSON lines, a table with the rows under `data` (BeerQA's files), or a list."""
    if ".jsonl" in name:
        return "".join(json.dumps(row) + "\n" for row in rows)
    return json.dumps({"version": "1.0", "data": list(rows)} if name.startswith("beerqa") else list(rows))


def put(folder: Path, name: str, *rows: object) -> Path:
    written = text(name, rows).encode()
    (folder / name).write_bytes(gzip.compress(written) if name.endswith(".gz") else written)
    return folder / name


def task(name: str, location: Path | str) -> MultiHop:
    opened = open_task(f"{name}:{location}")
    assert isinstance(opened, MultiHop)
    return opened


def renamed(row: Mapping[str, Any], name: object) -> dict[str, Any]:
    return {key: name if key in ("id", "_id", "case_id") else value for key, value in row.items()}


def test_the_names_are_those_of_the_catalog() -> None:
    sets = hotpotqa.HOTPOTQA, two_wiki.TWO_WIKI, musique.MUSIQUE, beerqa.BEERQA, cofca.COFCA, mquake_hard.MQUAKE_HARD
    assert [data.name for data in sets] == NAMES
    assert set(NAMES) <= set(TASKS)
    assert all(isinstance(task(official.name, "."), Task) for official in OFFICIAL)


@each
def test_an_official_row_gives_its_question_and_its_paragraphs(official: Official, tmp_path: Path) -> None:
    put(tmp_path, official.test, official.row)
    opened = task(official.name, tmp_path)
    [question] = opened.questions("test")
    titles = {passage.id: passage.title for passage in opened.passages()}
    meta = dict(question.meta)
    hops = meta.pop("decomposition", [])
    assert (question.id, question.task, question.answers) == (official.id, official.name, official.answers)
    assert question.text == "Where was the author of Silver Harbour born?"
    assert set(question.scope) == set(titles)
    assert [titles[one] for one in meta.pop("gold")] == official.gold
    assert meta | ({"hops": [hop["question"] for hop in hops]} if hops else {}) == official.known
    assert all(hop["passage"] in titles and hop["answer"] in ("Ada Quill", "Port Lumen") for hop in hops)
    assert (opened.tools, opened.max_calls, opened.demonstration(question)) == (("search",), 5, None)
    assert opened.grade(question, "the Port Lumen!").correct


@each
def test_a_file_may_be_named_and_packed(official: Official, tmp_path: Path) -> None:
    plain = task(official.name, put(tmp_path, official.test, official.row)).questions("test")
    packed = task(official.name, put(tmp_path, f"mine-{official.test}.gz", official.row)).questions("test")
    assert list(plain) == list(packed)


@each
def test_an_empty_file_is_named(official: Official, tmp_path: Path) -> None:
    (tmp_path / official.test).write_text("")
    with pytest.raises(RecordError, match=f"{official.test}: expected at least one JSON object, found an empty file"):
        list(task(official.name, tmp_path).questions("test"))


@each
def test_a_file_that_is_cut_off_is_named(official: Official, tmp_path: Path) -> None:
    path = put(tmp_path, official.test, official.row)
    path.write_text(path.read_text()[:-40])
    with pytest.raises(RecordError, match=rf"{official.test}(:1)?: expected .* is the (line|file) cut off\?"):
        list(task(official.name, tmp_path).questions("test"))


@pytest.mark.parametrize(
    ("official", "field"), [(one, field) for one in OFFICIAL for field in one.needed], ids=lambda value: str(value)[:20]
)
def test_a_field_that_is_missing_is_named(official: Official, field: str, tmp_path: Path) -> None:
    lacking = {key: value for key, value in official.row.items() if key != field}
    put(tmp_path, official.test, official.row, renamed(lacking, "another"))
    called = "id" if field in ("_id", "case_id") else field
    place = f"{official.test}(:2|, row 2)"
    with pytest.raises(RecordError, match=rf"{place}: field {called}: expected .*, found nothing") as error:
        list(task(official.name, tmp_path).questions("test"))
    assert "\n" not in str(error.value)


@each
def test_an_empty_answer_is_refused(official: Official, tmp_path: Path) -> None:
    field = official.needed[2]
    put(tmp_path, official.test, official.row | {field: [] if isinstance(official.row[field], list) else ""})
    with pytest.raises(RecordError, match=f"field {field}: expected"):
        list(task(official.name, tmp_path).questions("test"))


@pytest.mark.parametrize(
    ("index", "told"),
    [(3, "found 3"), (-1, "found -1"), (True, "found True"), (None, "found None")],
)
def test_a_hop_without_its_paragraph_is_named(index: object, told: str, tmp_path: Path) -> None:
    hop = {"question": "?", "answer": "!", "paragraph_support_idx": index}
    path = put(tmp_path, "mine.jsonl", MUSIQUE | {"question_decomposition": [hop]})
    expected = rf"mine.jsonl:1, question_decomposition 1: field paragraph_support_idx: expected the number .*, {told}"
    with pytest.raises(RecordError, match=expected):
        list(task("musique", path).questions("test"))


def test_the_hops_lead_from_one_to_the_next(tmp_path: Path) -> None:
    opened = task("musique", put(tmp_path, "mine.jsonl", MUSIQUE))
    [question] = opened.questions("test")
    titles = {passage.id: passage.title for passage in opened.passages()}
    hops = question.meta["decomposition"]
    assert [(hop["question"], hop["answer"], titles[hop["passage"]]) for hop in hops] == [
        ("Silver Harbour >> author", "Ada Quill", "Silver Harbour"),
        ("Where was #1 born?", "Port Lumen", "Ada Quill"),
    ]


def test_questions_that_their_paragraphs_do_not_answer_are_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In MuSiQue-Full the two of a pair have one id."""
    lacking = MUSIQUE | {"answerable": False, "paragraphs": MUSIQUE["paragraphs"], "question_decomposition": [{}]}
    put(tmp_path, "musique_full_v1.0_dev.jsonl", MUSIQUE, lacking)
    for _ in range(2):
        assert len(list(task("musique", tmp_path).questions("test"))) == 1
    assert capsys.readouterr().err == (
        "musique: 1 of 2 test questions left out: their paragraphs do not answer them\n"
    ), "said once"


def test_easy_questions_are_not_trained_on(tmp_path: Path) -> None:
    rows = [renamed(HOTPOTQA, level) | {"level": level} for level in ("easy", "medium", "hard")]
    put(tmp_path, "hotpot_train_v1.1.json", *rows)
    put(tmp_path, "hotpot_dev_distractor_v1.json", *rows)
    opened = task("hotpotqa", tmp_path)
    assert [question.meta["level"] for question in opened.questions("train")] == ["medium", "hard"]
    assert [question.meta["level"] for question in opened.questions("test")] == ["easy", "medium", "hard"]


def test_of_several_files_the_one_with_paragraphs_and_marks_comes_first(tmp_path: Path) -> None:
    opened, found = task("hotpotqa", tmp_path), []
    for name in ("dev_qa_7405.jsonl", "hotpot_dev_fullwiki_v1.json", "dev_ctx.jsonl", "hotpot_dev_distractor_v1.json"):
        put(tmp_path, name, renamed(HOTPOTQA, name))
        found += [question.id for question in opened.questions("test")]
    assert found == [
        "hotpotqa-dev_qa_7405.jsonl",
        "hotpotqa-hotpot_dev_fullwiki_v1.json",
        "hotpotqa-dev_ctx.jsonl",
        "hotpotqa-hotpot_dev_distractor_v1.json",
    ]
    put(tmp_path, "hotpot_dev_distractor_v1.json.gz", HOTPOTQA)
    with pytest.raises(
        ConfigError, match=r"expected one file .* found hotpot_dev_distractor_v1.json and hotpot_dev_.*gz"
    ):
        list(opened.questions("test"))


def test_marks_of_paragraphs_that_are_not_there_are_no_marks(tmp_path: Path) -> None:
    put(tmp_path, "hotpot_dev_fullwiki_v1.json", HOTPOTQA | {"context": CONTEXT[1:]})
    [question] = task("hotpotqa", tmp_path).questions("test")
    assert "gold" not in question.meta
    assert len(question.scope) == 2


def test_other_names_of_an_answer_are_accepted_where_their_file_is_there(tmp_path: Path) -> None:
    put(tmp_path, "dev.json", TWO_WIKI, renamed(TWO_WIKI, "b") | {"answer_id": "Q4"}, renamed(HOTPOTQA, "c"))
    names = [
        {"Q_id": "Q3", "aliases": ["Lumen"], "demonyms": ["Lumenese"]},
        {"Q_id": "Q5", "aliases": [], "demonyms": []},
    ]
    (tmp_path / "id_aliases.json").write_text("".join(json.dumps(row) + "\n" for row in names))
    answers = [question.answers for question in task("2wiki", tmp_path).questions("test")]
    assert answers == [("Port Lumen", "Lumen", "Lumenese"), ("Port Lumen",), ("Port Lumen",)]


def test_the_corpus_holds_the_paragraphs_of_both_splits_once(tmp_path: Path) -> None:
    put(tmp_path, "hotpot_train_v1.1.json", HOTPOTQA | {"level": "easy"})
    put(tmp_path, "hotpot_dev_distractor_v1.json", HOTPOTQA | {"context": [*CONTEXT[:2], ["Ada Quill", ["A film."]]]})
    passages = task("hotpotqa", tmp_path).passages()
    assert [passage.title for passage in passages] == ["Silver Harbour", "Ada Quill", "Upper Elba", "Ada Quill"]
    assert len({passage.id for passage in passages}) == 4


NORMALISED = {
    "id": "hotpotqa-5a7f6f",
    "dataset": "hotpotqa",
    "split": "dev",
    "question": "Where was the author of Silver Harbour born?",
    "answer": ["Port Lumen", "Lumen"],
    "type": "bridge",
    "level": "hard",
    "paragraph_ids": ["p1", "p2", "p3"],
    "gold_paragraph_ids": ["p2", "p1"],
    "meta": {"_id": "5a7f6f"},
}
CORPUS = [{"id": f"p{place}", "title": title, "text": " ".join(text)} for place, (title, text) in enumerate(CONTEXT, 1)]


def test_a_normalised_row_names_its_passages_in_the_corpus(tmp_path: Path) -> None:
    put(tmp_path, "dev_ctx_200.jsonl", NORMALISED)
    put(tmp_path, "corpus.jsonl.gz", *CORPUS)
    opened = task("hotpotqa", tmp_path)
    [question] = opened.questions("test")
    assert question == Question(
        id="hotpotqa-5a7f6f",
        task="hotpotqa",
        text="Where was the author of Silver Harbour born?",
        answers=("Port Lumen", "Lumen"),
        scope=("p1", "p2", "p3"),
        meta={"kind": "bridge", "level": "hard", "gold": ["p2", "p1"]},
    )
    assert [passage.id for passage in opened.passages()] == ["p1", "p2", "p3"]


def test_the_two_forms_of_a_question_have_one_id(tmp_path: Path) -> None:
    [official] = task("hotpotqa", put(tmp_path, "mine.json", HOTPOTQA)).questions("test")
    [normalised] = task("hotpotqa", put(tmp_path, "mine.jsonl", NORMALISED)).questions("test")
    assert official.id == normalised.id


def test_a_normalised_row_keeps_what_its_question_is_made_of(tmp_path: Path) -> None:
    meta = {"question_decomposition": MUSIQUE["question_decomposition"]}
    [question] = task("musique", put(tmp_path, "mine.jsonl", NORMALISED | {"meta": meta})).questions("test")
    assert [hop["passage"] for hop in question.meta["decomposition"]] == ["p1", "p2"]
    [bare] = task("musique", put(tmp_path, "mine.jsonl", NORMALISED)).questions("test")
    assert "decomposition" not in bare.meta


def test_questions_without_paragraphs_are_asked_of_the_whole_corpus(tmp_path: Path) -> None:
    bare = {key: NORMALISED[key] for key in ("id", "dataset", "split", "question", "answer")}
    put(tmp_path, "dev_ctx.jsonl", NORMALISED)
    path = put(tmp_path, "dev_qa_7405.jsonl", bare, renamed(bare, "q2"))
    opened = task("hotpotqa", path)
    assert [question.scope for question in opened.questions("test")] == [(), ()]
    assert not opened.passages()
    put(tmp_path, "corpus.jsonl", *CORPUS)
    assert len(opened.passages()) == 3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"answer": []}, "mine.jsonl:1: field answer: expected the accepted answer, found nothing"),
        ({"paragraph_ids": [{}]}, "mine.jsonl:1: field paragraph_ids: expected a text, a number or a list"),
        ({"id": None}, "mine.jsonl:1: field id: expected a text or a number, found nothing"),
    ],
)
def test_a_normalised_row_that_cannot_be_used_is_named(change: dict[str, object], told: str, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=told):
        list(task("hotpotqa", put(tmp_path, "mine.jsonl", NORMALISED | change)).questions("test"))


def beer(count: int) -> list[dict[str, object]]:
    return [NORMALISED | {"id": f"b{place:03}", "dataset": "beerqa"} for place in reversed(range(count))]


def test_without_a_development_file_the_last_questions_by_id_are_held_out(tmp_path: Path) -> None:
    path = put(tmp_path, "train_ctx_1000.jsonl", *beer(302))
    for location in (tmp_path, path):
        opened = task("beerqa", location)
        assert [question.id for question in opened.questions("train")] == ["b001", "b000"]
        assert {question.id for question in opened.questions("test", 1)} == {f"b{place:03}" for place in range(2, 302)}
    put(tmp_path, "beerqa_dev_v1.0.json", OFFICIAL[3].row)
    opened = task("beerqa", tmp_path)
    assert len(list(opened.questions("train"))) == 302
    assert [question.id for question in opened.questions("test")] == ["beerqa-8af075"]


def test_held_out_questions_leave_some_to_train_on(tmp_path: Path) -> None:
    put(tmp_path, "train_ctx_1000.jsonl", *beer(300))
    for split in ("train", "test"):
        with pytest.raises(ConfigError, match=r"expected more than 300 questions, .*, found 300; put a file of test"):
            list(task("beerqa", tmp_path).questions(split))


@pytest.mark.parametrize("name", EVALUATION_ALONE)
def test_what_is_for_evaluation_alone_is_not_trained_on(name: str, tmp_path: Path) -> None:
    opened = task(name, tmp_path)
    assert opened.scoped
    with pytest.raises(ConfigError, match="is for evaluation alone and has no train questions"):
        list(opened.questions("train"))


def test_only_those_whose_passages_contradict_each_other_are_scoped() -> None:
    assert [official.name for official in OFFICIAL if task(official.name, ".").scoped] == EVALUATION_ALONE


def test_a_file_is_not_taken_for_the_other_split(tmp_path: Path) -> None:
    path = put(tmp_path, "hotpot_dev_distractor_v1.json", HOTPOTQA)
    with pytest.raises(
        ConfigError, match=r"expected a file with the train questions of HotPotQA \(hotpot_train_.*by its"
    ):
        list(task("hotpotqa", path).questions("train"))
    own = put(tmp_path, "mine.json", HOTPOTQA)
    assert list(task("hotpotqa", own).questions("train")) == list(task("hotpotqa", own).questions("test"))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    expected = r"the test questions of MuSiQue \(musique_ans_v1.0_dev.jsonl\* or .*\), found none in .*; name one: musique:FILE"
    for location in (tmp_path, tmp_path / "nowhere", tmp_path / "nowhere.jsonl"):
        with pytest.raises(ConfigError, match=expected):
            list(task("musique", location).questions("test"))


def test_without_a_place_it_is_the_data_folder_or_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWIRL_DATA", str(tmp_path))
    assert task("musique", "").location == "dgslibisey/MuSiQue"
    for name in EVALUATION_ALONE:
        with pytest.raises(
            ConfigError, match=f"is not on the Hugging Face hub, .* name a folder or a file: {name}:FOLDER"
        ):
            task(name, "")
    (tmp_path / "musique").mkdir()
    assert task("musique", "").location == str(tmp_path / "musique")


def test_a_seed_shuffles_and_changes_nothing_else(tmp_path: Path) -> None:
    put(tmp_path, "dev.json", *(renamed(TWO_WIKI, place) for place in range(20)))
    opened = task("2wiki", tmp_path)
    plain, once, again = (list(opened.questions("test", seed)) for seed in (None, 1, 1))
    assert once == again != plain
    assert sorted(question.id for question in once) == sorted(question.id for question in plain)


@needs_data
@pytest.mark.parametrize(
    ("name", "train", "test", "gold", "passages"),
    [
        ("hotpotqa", 84, 493, 284, 10_283),
        ("musique", 100, 200, 300, 7_720),
        ("beerqa", 700, 300, 1_000, 1_754),
        ("mquake_hard", 0, 429, 429, 769),
    ],
)
def test_real_rows_are_read(name: str, train: int, test: int, gold: int, passages: int) -> None:
    opened = open_task(name)
    trained = list(opened.questions("train")) if train else []
    tested = list(opened.questions("test"))
    corpus = {passage.id for passage in opened.passages()}
    marked = [question.meta["gold"] for question in (*trained, *tested) if "gold" in question.meta]
    assert (len(trained), len(tested), len(marked), len(corpus)) == (train, test, gold, passages)
    assert all(set(question.scope) <= corpus and question.scope for question in (*trained, *tested))
    assert all(set(question.meta.get("gold", ())) <= set(question.scope) for question in (*trained, *tested))
    assert "easy" not in {question.meta.get("level") for question in trained}
    assert not {normalise(question.text) for question in trained} & {normalise(question.text) for question in tested}
    assert all(opened.grade(question, question.answers[-1]).correct for question in (*trained, *tested))


@needs_data
@pytest.mark.parametrize("name", ["musique", "mquake_hard"])
def test_the_hops_of_real_questions_end_in_the_answer(name: str) -> None:
    for question in open_task(name).questions("test"):
        hops = question.meta["decomposition"]
        assert {hop["passage"] for hop in hops} == set(question.meta["gold"])
        assert hops[-1]["answer"] in question.answers, question.id


@needs_data
def test_all_real_questions_of_hotpotqa_may_be_asked_without_their_paragraphs() -> None:
    opened = task("hotpotqa", Path(os.environ["SWIRL_DATA"], "hotpotqa", "dev_qa_7405.jsonl"))
    questions = list(opened.questions("test"))
    assert (len(questions), len(opened.passages())) == (7_405, 10_283)
    assert not any(question.scope for question in questions)
