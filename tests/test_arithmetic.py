"""Word problems: solvable as demonstrated, told fairly, and parted into train and test by wording and by numbers."""

from itertools import islice

import pytest

from swirl.policies import Sampling
from swirl.policies.scripted import ScriptedPolicy
from swirl.rollout import begin, rollout
from swirl.tasks import Split
from swirl.tasks.arithmetic import CHANGES, Arithmetic, apply
from swirl.tools import Toolbox
from swirl.tools.calculator import Calculator
from swirl.types import Question, Rules

TASK = Arithmetic()


def draw(split: Split, seed: int, count: int = 200) -> list[Question]:
    return list(islice(TASK.questions(split, seed), count))


def numbers(question: Question) -> tuple[int, ...]:
    return (question.meta["start"], *(operand for _, operand in question.meta["changes"]))


def test_a_draw_is_a_function_of_split_and_seed() -> None:
    assert draw("train", 3, 20) == draw("train", 3, 20)
    assert draw("train", 3, 20) != draw("train", 4, 20)


def test_train_and_test_share_no_wording_and_no_numbers() -> None:
    train = [question for seed in range(5) for question in draw("train", seed)]
    test = [question for seed in range(5) for question in draw("test", seed)]
    assert not {numbers(q) for q in train} & {numbers(q) for q in test}
    assert not {tuple(q.meta["phrasings"]) for q in train} & {tuple(q.meta["phrasings"]) for q in test}


@pytest.mark.parametrize("split", ["train", "test"])
def test_demonstrations_played_against_the_calculator_end_in_the_right_answer(split: Split) -> None:
    for question in draw(split, 7, 100):
        state = begin(question, Rules(tools=TASK.tools, max_calls=TASK.max_calls))
        policy = ScriptedPolicy(TASK.demonstration(question))
        [played] = rollout([state], policy, Toolbox([Calculator()]), Sampling())
        assert played.answer is not None
        assert TASK.grade(question, played.answer).correct


def test_a_chain_has_two_to_five_changes_and_never_comes_back_to_a_value() -> None:
    lengths = set()
    for question in draw("test", 1):
        values = [question.meta["start"]]
        for operator, operand in question.meta["changes"]:
            values.append(apply(operator, values[-1], operand))
        assert len(set(values)) == len(values)
        lengths.add(len(question.meta["changes"]))
    assert lengths == {2, 3, 4, 5}


def test_every_phrasing_is_drawn_and_every_told_number_stands_in_the_question() -> None:
    used = set()
    for question in draw("test", 2, 600):
        wording = question.meta["phrasings"][1:-1]
        used |= set(wording)
        for index, (_, operand) in zip(wording, question.meta["changes"], strict=True):
            assert CHANGES[index].operand != "told" or f" {operand} " in question.text.replace(".", " ")
    assert used == set(range(len(CHANGES)))
