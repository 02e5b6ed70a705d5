"""People's own questions: what is accepted, and what is said of what is not."""

from pathlib import Path

import pytest

from swirl.errors import ConfigError, RecordError
from swirl.tasks.jsonl import Jsonl


def task(folder: Path, text: str | bytes) -> Jsonl:
    file = folder / "mine.jsonl"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Jsonl(str(file))


def test_ids_and_answers_may_be_numbers_and_blank_lines_are_nothing(tmp_path: Path) -> None:
    text = '{"id": 0, "question": "2 + 3?", "answer": 5}\r\n\n{"id": "b", "question": "Who?", "answer": ["Ada", "A. Quill"]}'
    own = task(tmp_path, text)
    first, second = own.questions("train")
    assert [(q.id, q.answers) for q in (first, second)] == [("0", ("5",)), ("b", ("Ada", "A. Quill"))]
    assert own.grade(first, "5.0").correct
    assert own.grade(second, "the a quill").correct
    assert own.grade(second, "Ada Lovelace").f1 == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        ("3.5", ["3.5", "$3.50", "3.5 miles"], ["35", "5.3", ""]),
        ("-5", ["-5", "-5.0"], ["5", "it is 5"]),
        ("3/4", ["0.75", "3/4"], ["34", "3 4", "4/3"]),
        ("1,250", ["1250", "$1,250"], ["1.25", "1,25"]),
        ("May 1995", ["may 1995"], ["June 1995", "1995"]),
        ("Apollo 11", ["the Apollo 11"], ["Gemini 11", "11"]),
    ],
)
def test_numbers_are_compared_by_value_and_names_with_numbers_as_texts(
    gold: str, right: list[str], wrong: list[str], tmp_path: Path
) -> None:
    own = task(tmp_path, f'{{"id": 1, "question": "?", "answer": "{gold}"}}')
    [question] = own.questions("train")
    assert [answer for answer in [*right, *wrong] if own.grade(question, answer).correct] == right


def test_a_byte_order_mark_at_the_start_is_nothing(tmp_path: Path) -> None:
    [question] = task(tmp_path, b'\xef\xbb\xbf{"id": "1", "question": "?"}').questions("train")
    assert question.id == "1"


def test_a_split_parts_the_questions_and_without_one_each_is_in_both(tmp_path: Path) -> None:
    rows = [("1", ', "split": "train"'), ("2", ', "split": "test"'), ("3", "")]
    own = task(tmp_path, "\n".join(f'{{"id": "{name}", "question": "?"{split}}}' for name, split in rows))
    assert [question.id for question in own.questions("train")] == ["1", "3"]
    assert [question.id for question in own.questions("test")] == ["2", "3"]


def test_the_order_is_the_seeds(tmp_path: Path) -> None:
    own = task(tmp_path, "\n".join(f'{{"id": "{i}", "question": "?"}}' for i in range(20)))
    orders = [[question.id for question in own.questions("train", seed)] for seed in (None, 1, 1, 2)]
    assert orders[0] == [str(i) for i in range(20)]
    assert orders[1] == orders[2] != orders[3]
    assert sorted(orders[1]) == sorted(orders[0])


def test_passages_beside_the_questions_become_the_corpus(tmp_path: Path) -> None:
    (tmp_path / "passages.jsonl").write_text('{"id": "p", "title": "Ada Quill", "text": "Born in 1900."}\n')
    own = task(tmp_path, '{"id": "1", "question": "When was Ada Quill born?"}')
    assert own.tools == ("search", "calculator")
    assert [(passage.id, passage.title) for passage in own.passages()] == [("p", "Ada Quill")]


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        (['"p"', '"p"'], r"passages.jsonl:2: field id: 'p' stands at .*passages.jsonl:1 too"),
        (["[1]"], r"passages.jsonl:1: field id: expected a text or a number, found \[1\]"),
    ],
)
def test_passages_are_told_apart_by_their_ids(ids: list[str], told: str, tmp_path: Path) -> None:
    lines = [f'{{"id": {name}, "title": "Ada", "text": "Born."}}\n' for name in ids]
    (tmp_path / "passages.jsonl").write_text("".join(lines))
    with pytest.raises(RecordError, match=told):
        task(tmp_path, '{"id": "1", "question": "?"}').passages()


def test_a_passage_without_an_id_is_called_by_its_position(tmp_path: Path) -> None:
    (tmp_path / "passages.jsonl").write_text('{"id": 0, "title": "a", "text": "b"}\n{"title": "c", "text": "d"}\n')
    assert [passage.id for passage in task(tmp_path, "").passages()] == ["0", "1"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"mine.jsonl: expected at least one JSON object, found an empty file"),
        (" \n\n", r"mine.jsonl: expected at least one JSON object, found an empty file"),
        (
            '{"id": "1", "question": "?"}\n{"id": "2", "que',
            r"mine.jsonl:2: expected one JSON object, .* is the line cut off\?",
        ),
        (b'{"id": "1", "question": "caf\xe9"}\n', r"mine.jsonl:1: expected UTF-8, found byte 0xe9 at 28"),
        ("[1]", r"mine.jsonl:1: expected one JSON object, found \[1\]"),
        ('{"question": "?"}', r"mine.jsonl:1: field id: expected a text or a number, found nothing"),
        *(
            (f'{{"id": {value}, "question": "?"}}', r"mine.jsonl:1: field id: expected a text or a number, found")
            for value in ('""', "[1]", '{"a": 1}', "true", "NaN", "-Infinity")
        ),
        *(
            (f'{{"id": 1, "question": "?", "answer": {value}}}', r"mine.jsonl:1: field answer: expected a text")
            for value in ("NaN", "[1, Infinity]", "1e999", "[[1]]", "[null]")
        ),
        (
            '{"id": 1, "question": "\\ud800"}',
            r"mine.jsonl:1: field question: .* found '\\ud800', half of a surrogate pair",
        ),
        (
            '{"id": 1, "question": "?", "answer": ["\\udfff"]}',
            r"mine.jsonl:1: field answer: .*, half of a surrogate pair",
        ),
        ('{"id": 1, "question": "?", "m\\ud800": 1}', r"mine.jsonl:1: field m\\ud800: .*, half of a surrogate pair"),
        ('{"id": 1, "a": ' + "[" * 100_000, r"mine.jsonl:1: expected one JSON object"),
        ('{"id": "1"}', r"mine.jsonl:1: field question: expected a text, found nothing"),
        (
            '{"id": "1", "question": "?", "answer": {}}',
            r"mine.jsonl:1: field answer: expected a text, a number or a list",
        ),
        ('{"id": "1", "question": "?", "answer": [true]}', r"mine.jsonl:1: field answer: .* found \[True\]"),
        (
            '{"id": "1", "question": "?", "split": "dev"}',
            r"mine.jsonl:1: field split: expected train or test, found 'dev'",
        ),
        ('{"id": "1", "question": "?"}\n' * 2, r"mine.jsonl:2: field id: '1' stands at .*mine.jsonl:1 too"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_with_file_line_and_field(
    text: str | bytes, told: str, tmp_path: Path
) -> None:
    with pytest.raises(RecordError, match=told):
        list(task(tmp_path, text).questions("train"))


def test_no_file_and_a_file_that_is_not_there_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the task jsonl needs a file: jsonl:FILE"):
        Jsonl("")
    with pytest.raises(ConfigError, match=r"cannot be read: No such file"):
        list(Jsonl(str(tmp_path / "none.jsonl")).questions("train"))


def test_a_question_without_an_answer_cannot_be_graded(tmp_path: Path) -> None:
    own = task(tmp_path, '{"id": "1", "question": "?"}')
    with pytest.raises(ConfigError, match="question '1' has no accepted answer"):
        own.grade(next(iter(own.questions("train"))), "5")
