"""Questions for both tools at once: what has to be looked up can be, train and test share no chain, and answers are numbers."""

from collections import Counter
from itertools import islice

import pytest

from playing import play
from swirl.catalog import open_toolbox
from swirl.policies import Sampling
from swirl.policies.scripted import ScriptedPolicy
from swirl.protocol import render
from swirl.rollout import begin, rollout
from swirl.tasks import Split
from swirl.tasks.partition import split_of
from swirl.tasks.world import World
from swirl.tasks.world_sums import OLDEST, WorldSums
from swirl.tools import Toolbox
from swirl.types import Question, Rules, ToolCall

TASK = WorldSums()
TOOLBOX = open_toolbox(TASK)


def draw(split: Split, seed: int, count: int = 200) -> list[Question]:
    return list(islice(TASK.questions(split, seed), count))


def chains(question: Question) -> list[list[str]]:
    """Its chains of entities, told apart by where one does not go on from the other."""
    whole: list[list[str]] = []
    for fact in question.meta["facts"]:
        if not whole or whole[-1][-1] != fact["entity"]:
            whole.append([fact["entity"]])
        whole[-1].append(fact["value"])
    return whole


def test_train_and_test_share_no_chain_with_each_other_nor_with_the_world() -> None:
    for split in ("train", "test"):
        for question in [*draw(split, 1), *islice(World().questions(split, 1), 200)]:
            for chain in chains(question):
                for start in range(max(1, len(chain) - 2)):
                    assert split_of("chain", *chain[start : start + 3]) == split


def test_train_and_test_have_the_same_mix_and_every_kind() -> None:
    one, two = (Counter(q.meta["kind"] for q in draw(split, 3, 500)) for split in ("train", "test"))
    assert one.keys() == two.keys() == {"age", "gap", "total"}
    assert all(abs(one[kind] - two[kind]) < 50 for kind in one)


def test_equal_arguments_give_equal_questions_and_none_comes_twice() -> None:
    questions = draw("train", 2)
    assert questions == draw("train", 2)
    assert len({question.text for question in questions}) == len(questions)


@pytest.mark.parametrize("split", ["train", "test"])
def test_demonstrations_search_calculate_and_end_in_the_right_answer(split: Split) -> None:
    for question in draw(split, 5, 100):
        played = play(question, [*TASK.demonstration(question), "no tag"], TOOLBOX, TASK.max_calls)
        tools = [step.action.tool for step in played.steps if isinstance(step.action, ToolCall)]
        assert tools == sorted(tools, reverse=True), "searches, then calculations"
        assert set(tools) == set(TASK.tools)
        assert not any(step.observation.refused for step in played.steps if step.observation)
        assert TASK.grade(question, played.answer or "").correct


def test_ages_are_those_of_people_and_answers_are_graded_by_value() -> None:
    questions = draw("test", 7)
    for question in questions:
        [answer] = question.answers
        assert 0 < int(answer) <= (2 * OLDEST if question.meta["kind"] == "total" else 299)
        assert TASK.grade(question, f"{answer}.0 years").correct
        assert not TASK.grade(question, str(int(answer) + 1)).correct
    assert all(int(q.answers[0]) <= OLDEST for q in questions if q.meta["kind"] == "age")


def test_both_tools_are_offered_and_each_call_goes_to_its_own() -> None:
    question = draw("train", 1, 1)[0]
    name = question.meta["facts"][0]["entity"]
    played = play(
        question,
        [f"<search_query>{name}</search_query>", "<math_exp>1950 - 1900</math_exp>", "no tag"],
        TOOLBOX,
        TASK.max_calls,
    )
    opening = render(played).messages[0].text
    assert "<search_query>" in opening
    assert "<math_exp>" in opening
    assert f"up to {TASK.max_calls} in all" in opening
    searched, calculated = [step.observation for step in played.steps[:2]]
    assert searched is not None
    assert searched.text.startswith(f"{name}: ")
    assert calculated is not None
    assert calculated.text == "50"


@pytest.mark.parametrize(
    ("offered", "refused", "said"),
    [
        ("search", "<math_exp>1 + 1</math_exp>", "use <search_query>"),
        ("calculator", "<search_query>Ada</search_query>", "use <math_exp>"),
    ],
)
def test_a_tool_that_is_not_on_offer_is_refused_with_an_observation(offered: str, refused: str, said: str) -> None:
    toolbox = Toolbox([TOOLBOX.tools[offered]])
    state = begin(draw("train", 1, 1)[0], Rules(tools=(offered,), max_calls=3))
    [played] = rollout([state], ScriptedPolicy([refused, "<answer>1</answer>"]), toolbox, Sampling())
    observation = played.steps[0].observation
    assert observation is not None
    assert observation.refused
    assert said in observation.text
    assert played.answer == "1", "a refusal ends nothing"
