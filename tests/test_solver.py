"""The solver calls good what solves the question, at every state, and nothing else."""

from itertools import islice

import pytest

from playing import play
from swirl.decompose import state_before
from swirl.errors import ConfigError
from swirl.judges.solver import judge_step
from swirl.protocol import parse
from swirl.tasks import Task
from swirl.tasks.arithmetic import Arithmetic
from swirl.tasks.world import World
from swirl.tasks.world_sums import WorldSums
from swirl.tools import Toolbox
from swirl.tools.calculator import Calculator
from swirl.tools.search import Search
from swirl.types import Question, Step, Verdict

WORLD, SUMS = World(), WorldSums()
TOOLBOX = Toolbox([Calculator(), Search(WORLD.passages())])
SUM = Question(id="q", task="arithmetic", text="?", answers=("18",), meta={"start": 2, "changes": [["+", 4], ["*", 3]]})


def verdict(question: Question, action: str, *before: str) -> Verdict:
    """The verdict on an action after others."""
    played = play(question, [*before, "no tag"], TOOLBOX)
    return judge_step(state_before(played, len(before)), Step(text=action, action=parse(action)))


@pytest.mark.parametrize("task", [Arithmetic(), WORLD, SUMS], ids=lambda task: task.name)
def test_every_step_of_a_demonstration_is_good_and_none_before_its_time(task: Task) -> None:
    for question in islice(task.questions("test", 11), 60):
        actions = task.demonstration(question)
        assert actions is not None
        for place, action in enumerate(actions):
            assert verdict(question, action, *actions[:place]).good
            assert place == 0 or not verdict(question, actions[place - 1], *actions[:place]).good
        assert not verdict(question, actions[-1], *actions[:-2]).good


@pytest.mark.parametrize(
    ("action", "before", "good"),
    [
        ("<math_exp>2 + 4</math_exp>", [], True),
        ("<math_exp>4 + 2</math_exp>", [], True),
        ("<math_exp>2 * 4</math_exp>", [], False),
        ("<math_exp>(2 + 4) * 3</math_exp>", [], True),
        ("<math_exp>5 + 1</math_exp>", [], False),
        ("<math_exp>2 + 4</math_exp>", ["<math_exp>2 + 4</math_exp>"], False),
        ("<math_exp>2 + 4</math_exp>", ["<math_exp>2 * 4</math_exp>"], True),
        ("<math_exp>8 * 3</math_exp>", ["<math_exp>2 * 4</math_exp>"], False),
        ("<math_exp>6 +</math_exp>", ["<math_exp>2 + 4</math_exp>"], False),
        ("<answer>18</answer>", ["<math_exp>2 + 4</math_exp>"], False),
        ("<answer>18</answer>", ["<math_exp>2 + 4</math_exp>", "<math_exp>6 * 3</math_exp>"], True),
        ("<answer>17</answer>", ["<math_exp>2 + 4</math_exp>", "<math_exp>6 * 3</math_exp>"], False),
        ("<search_query>6</search_query>", [], False),
        ("six", [], False),
    ],
)
def test_progress_in_a_word_problem_is_read_off_the_results(action: str, before: list[str], good: bool) -> None:
    assert verdict(SUM, action, *before).good is good


def test_a_query_names_a_known_entity_and_no_other_relation() -> None:
    question = next(q for q in WORLD.questions("test", 1) if q.meta["kind"] == "bridge")
    first, second = question.meta["facts"][:2]
    assert verdict(question, f"<search_query>{first['entity']}</search_query>").good
    assert not verdict(question, f"<search_query>{first['entity']} mayor founder</search_query>").good
    assert not verdict(question, f"<search_query>{second['entity']}</search_query>").good
    assert verdict(question, f"<search_query>{second['entity']}</search_query>", WORLD.demonstration(question)[0]).good


TOTAL = next(q for q in SUMS.questions("test", 1) if q.meta["kind"] == "total" and len(q.meta["facts"]) == 3)
ONE, TWO, THEN = (fact["value"] for fact in TOTAL.meta["facts"])
LOOKED_UP = SUMS.demonstration(TOTAL)[:3]
(_, _, _), (_, _, _), (FIRST_AGE, _, SECOND_AGE) = TOTAL.meta["sums"]


@pytest.mark.parametrize(
    ("call", "seen", "good"),
    [
        (f"{THEN} - {ONE}", LOOKED_UP, True),
        (f"{THEN} - {TWO}", LOOKED_UP, True),
        (f"{THEN} - {ONE} + {THEN} - {TWO}", LOOKED_UP, True),
        (f"({THEN} - {ONE}) + ({THEN} - {TWO})", LOOKED_UP, True),
        (f"abs({ONE} - {THEN})", LOOKED_UP, True),
        (f"{THEN} - {ONE}", [LOOKED_UP[0], LOOKED_UP[2]], True),
        (f"{THEN} - {ONE}", LOOKED_UP[:2], False),
        (f"{THEN} - {ONE}", [], False),
        (f"{ONE} - {THEN}", LOOKED_UP, False),
        (f"{THEN} + {ONE}", LOOKED_UP, False),
        (f"{int(THEN) + 1} - {int(ONE) + 1}", LOOKED_UP, False),
        (f"{FIRST_AGE}", LOOKED_UP, False),
        (f"{FIRST_AGE} + {SECOND_AGE}", LOOKED_UP, False),
        (f"{THEN} -", LOOKED_UP, False),
    ],
)
def test_a_sum_is_good_over_years_that_were_seen(call: str, seen: list[str], good: bool) -> None:
    assert verdict(TOTAL, f"<math_exp>{call}</math_exp>", *seen).good is good


def test_sums_seen_are_added_up_once_and_then_answered() -> None:
    ages = [f"<math_exp>{THEN} - {year}</math_exp>" for year in (ONE, TWO)]
    both = f"<math_exp>{FIRST_AGE} + {SECOND_AGE}</math_exp>"
    answer, wrong = SUMS.demonstration(TOTAL)[-1], f"<answer>{FIRST_AGE}</answer>"
    assert verdict(TOTAL, both, *LOOKED_UP, *ages).good
    assert verdict(TOTAL, ages[1], *LOOKED_UP, "<math_exp>1 + 1</math_exp>", ages[0]).good, (
        "after a slip, the step done right"
    )
    assert not verdict(TOTAL, both, *LOOKED_UP, ages[0]).good
    assert not verdict(TOTAL, ages[0], *LOOKED_UP, ages[0]).good
    assert not verdict(TOTAL, answer, *LOOKED_UP, *ages).good, "not in the head"
    assert verdict(TOTAL, answer, *LOOKED_UP, *ages, both).good
    assert not verdict(TOTAL, wrong, *LOOKED_UP, *ages, both).good
    for call in (both, ages[0], LOOKED_UP[0], f"<math_exp>{FIRST_AGE} * 1</math_exp>"):
        assert not verdict(TOTAL, call, *LOOKED_UP, *ages, both).good, "nothing is left"


def test_a_year_that_a_passage_beside_the_point_shows_is_not_calculated_with() -> None:
    other = next(name for name, kind in SUMS.facts.kinds.items() if kind == "work" and name not in TOTAL.text)
    year = SUMS.facts.values[other]["year"]
    before = [*LOOKED_UP, f"<search_query>{other} published</search_query>"]
    assert not verdict(TOTAL, before[-1], *LOOKED_UP[:2]).good
    assert not verdict(TOTAL, f"<math_exp>{year} - {ONE}</math_exp>", *before).good


def test_a_question_of_another_task_is_refused_in_one_sentence() -> None:
    question = Question(id="q9", task="gsm8k", text="?")
    with pytest.raises(ConfigError, match="'q9' is of 'gsm8k'; use the judge rule or model"):
        verdict(question, "<answer>1</answer>")
