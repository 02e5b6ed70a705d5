"""GSM8K in both of its file forms, and, where SWIRL_DATA has it, all of it."""

import json
import os
from collections.abc import Sequence
from itertools import islice, pairwise
from pathlib import Path

import pytest

from playing import needs_data
from swirl.errors import ConfigError, RecordError
from swirl.judges import StepSample
from swirl.judges.reference import Reference
from swirl.stages.judge import judge_steps
from swirl.stages.warm_start import demonstrate
from swirl.tasks.gsm8k import HUB_ID, Gsm8k, demonstration
from swirl.tools import Toolbox
from swirl.tools.calculator import Calculator
from swirl.types import Question, Rules, Trajectory

SOLUTION = "Half of 48 is 48/2 = <<48/2=24>>24 clips.\nTogether 48+24 = <<48+24=72>>72.\n#### 72"
OFFICIAL = {"question": "How many clips?", "answer": SOLUTION}
NORMALISED = {"id": "g1", "question": "How many clips?", "answer": ["72"], "meta": {"answer": SOLUTION}}
DATA = Path(os.environ.get("SWIRL_DATA", ""), "gsm8k")


def write(folder: Path, *rows: object, split: str = "train") -> Gsm8k:
    (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Gsm8k(str(folder))


@pytest.mark.parametrize("row", [OFFICIAL, NORMALISED])
def test_both_forms_give_the_question_its_answer_and_its_solution(row: object, tmp_path: Path) -> None:
    [question] = write(tmp_path, row).questions("train")
    assert (question.text, question.answers, question.meta["solution"]) == ("How many clips?", ("72",), SOLUTION)


def test_an_answer_is_graded_by_value_whatever_its_spelling(tmp_path: Path) -> None:
    task = write(tmp_path, {"question": "?", "answer": "#### 1,250"})
    [question] = task.questions("train")
    graded = [task.grade(question, answer).correct for answer in ("1250", "$1,250.00", "1250 clips", "125", "many")]
    assert graded == [True, True, True, False, False]


def test_a_demonstration_is_the_solutions_calculations_and_its_answer() -> None:
    assert demonstration(SOLUTION, ["72"]) == [
        "Half of 48 is <math_exp>48/2</math_exp>",
        "Together <math_exp>48+24</math_exp>",
        "The answer is <answer>72</answer>",
    ]
    assert demonstration("No marks.\n#### 72", ["72"]) is None
    assert demonstration("<<48/2=25>>\n#### 25", ["25"]) is None, "a mark that does not calculate to what it says"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"question": "?", "answer": "just words"}, r"train.jsonl:1: field answer: expected a worked solution"),
        ({"question": "?", "answer": []}, r"train.jsonl:1: field answer: expected a list of accepted answers"),
        *(
            ({"question": "?", "answer": [value]}, r"train.jsonl:1: field answer: expected a text, a number or a list")
            for value in (" ", float("nan"), None, True, {})
        ),
        *(
            ({**OFFICIAL, "id": value}, r"train.jsonl:1: field id: expected a text or a number")
            for value in ("", [1], {}, True, float("inf"))
        ),
        ({"answer": SOLUTION}, r"train.jsonl:1: field question: expected a text, found nothing"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(row: object, told: str, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=told):
        list(write(tmp_path, row).questions("train"))


def test_ids_may_be_numbers_and_left_out_but_not_equal(tmp_path: Path) -> None:
    rows = [{**OFFICIAL, "id": 0}, {**OFFICIAL, "id": "g"}, OFFICIAL]
    assert [question.id for question in write(tmp_path, *rows).questions("train")] == ["0", "g", "gsm8k-train-00002"]
    with pytest.raises(RecordError, match=r"train.jsonl:2: field id: 'g1' stands at .*train.jsonl:1 too"):
        list(write(tmp_path, NORMALISED, NORMALISED).questions("train"))


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"expected GSM8K in a folder with train.jsonl and test.jsonl at nowhere"):
        list(Gsm8k("./nowhere").questions("train"))


def test_without_a_place_it_is_the_data_folder_or_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWIRL_DATA", raising=False)
    assert Gsm8k().location == HUB_ID
    monkeypatch.setenv("SWIRL_DATA", str(tmp_path))
    assert Gsm8k().location == HUB_ID
    (tmp_path / "gsm8k").mkdir()
    assert Gsm8k().location == str(tmp_path / "gsm8k")


@needs_data
def test_all_of_it_is_read() -> None:
    task = Gsm8k(str(DATA))
    train, test = list(task.questions("train")), list(task.questions("test"))
    assert (len(train), len(test)) == (7473, 1319)
    assert not {question.text for question in train} & {question.text for question in test}
    assert all(task.grade(question, question.answers[0]).correct for question in (*train, *test))


@needs_data
def test_most_real_solutions_become_demonstrations_that_their_own_reference_calls_good() -> None:
    played = _played(list(islice(Gsm8k(str(DATA)).questions("train", 1), 200)))
    assert len(played) > 120
    verdicts = [judged.verdict for judged in judge_steps(Reference(), played)]
    assert sum(verdict.good for verdict in verdicts) == len(verdicts)


@needs_data
def test_the_reference_rejects_the_steps_of_another_question() -> None:
    played = _played(list(islice(Gsm8k(str(DATA)).questions("train", 1), 100)))
    swapped = [
        StepSample(Trajectory(id="q/0", question=other.question, rules=Rules()), step)
        for one, other in pairwise(played)
        for step in one.steps
    ]
    verdicts = Reference().judge(swapped)
    assert sum(verdict.good for verdict in verdicts) < 0.15 * len(verdicts)


def _played(questions: Sequence[Question]) -> list[Trajectory]:
    return demonstrate(Gsm8k(str(DATA)), questions, Rules(tools=("calculator",), max_calls=10), Toolbox([Calculator()]))
