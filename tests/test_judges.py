"""Judges that know no solution: rules, a worked solution, a language model, a coin; and how far two agree."""

import pytest

from swirl.errors import ConfigError
from swirl.judges import StepSample
from swirl.judges.agreement import agreement
from swirl.judges.model import ModelJudge, judge_prompt
from swirl.judges.random import Random
from swirl.judges.reference import Reference
from swirl.judges.rule import judge_step
from swirl.policies.scripted import ScriptedPolicy
from swirl.protocol import parse
from swirl.types import Observation, Question, Rules, Step, Trajectory, Verdict, VerdictStatus

EGGS = Question(
    id="q",
    task="gsm8k",
    text="Tom has 3 boxes of 12 eggs and drops 5. How many eggs are left?",
    answers=("31",),
    meta={"solution": "3*12 = <<3*12=36>>36 eggs, 36-5 = <<36-5=31>>31\n#### 31"},
)
FIRST = "<math_exp>3 * 12</math_exp>", "36"


def sample(action: str, *before: tuple[str, str], question: Question = EGGS) -> StepSample:
    steps = tuple(Step(text=text, action=parse(text), observation=Observation(result)) for text, result in before)
    state = Trajectory(id="q/0", question=question, rules=Rules(tools=("calculator", "search")), steps=steps)
    return StepSample(state, Step(text=action, action=parse(action)))


@pytest.mark.parametrize(
    ("action", "before", "fault"),
    [
        ("<math_exp>3 * 12</math_exp>", [], ""),
        ("<math_exp>36 - 5</math_exp>", [FIRST], ""),
        ("<answer>36</answer>", [FIRST], ""),
        ("<math_exp>3*12</math_exp>", [FIRST], "repeats the call of step 1"),
        ("<math_exp>3 * 14</math_exp>", [], "14 comes neither"),
        ("<math_exp>3 *</math_exp>", [], "cannot be calculated"),
        ("<math_exp>12</math_exp>", [], "calculates nothing"),
        ("<answer>31</answer>", [FIRST], "31 is none of the results"),
        ("<answer>31</answer>", [], "before anything was looked up"),
        ("<search_query>Tom eggs</search_query>", [], ""),
        ("<search_query>zebra stripes</search_query>", [], "mentions nothing"),
        ("thirty-one", [], "no tag"),
    ],
)
def test_the_rule_judge_names_the_first_rule_broken(action: str, before: list[tuple[str, str]], fault: str) -> None:
    asked = sample(action, *before)
    verdict = judge_step(asked.state, asked.step)
    assert verdict.good is (not fault)
    assert fault in verdict.reason


def test_a_worked_solution_knows_its_values_and_its_answer() -> None:
    actions = [
        "<math_exp>12 * 3</math_exp>",
        "<math_exp>12 + 3</math_exp>",
        "<answer>$31.00</answer>",
        "<answer>36</answer>",
        "no",
    ]
    assert [v.good for v in Reference().judge([sample(action) for action in actions])] == [
        True,
        False,
        True,
        False,
        False,
    ]


def test_without_a_worked_solution_the_reference_says_so() -> None:
    bare = Question(id="q8", task="jsonl", text="?")
    with pytest.raises(ConfigError, match="'q8' of jsonl has none"):
        Reference().judge([sample("<answer>1</answer>", question=bare)])


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("It helps. GOOD", 1.0),
        ("It helps. **BAD**.", 0.0),
        ("GOOD at first sight, but no: BAD", 0.0),
        ("so it is good.", 1.0),
        ("I cannot say.", None),
        ("", None),
    ],
)
def test_the_model_judge_reads_the_last_word_and_leaves_the_unreadable_without_a_score(
    text: str, score: float | None
) -> None:
    [verdict] = ModelJudge(ScriptedPolicy([text])).judge([sample("<math_exp>3 * 12</math_exp>")])
    assert verdict.score == score
    assert (verdict.status is VerdictStatus.UNREADABLE) is (score is None)


def test_the_model_judge_sees_neither_the_gold_answer_nor_another_style_of_prompt() -> None:
    [message] = judge_prompt(sample("<math_exp>3 * 12</math_exp>")).messages
    assert EGGS.text in message.text
    assert "31" not in message.text
    assert "<<" not in message.text


def test_a_malformed_message_is_bad_without_asking_the_model() -> None:
    [verdict] = ModelJudge(ScriptedPolicy(["It is fine. GOOD"])).judge([sample("no tag")])
    assert verdict.score == 0.0


def test_a_coin_falls_the_same_way_for_the_same_step_and_both_ways_over_many() -> None:
    steps = [sample(f"<answer>{i}</answer>") for i in range(200)]
    tosses = [verdict.score for verdict in Random(1).judge(steps)]
    assert tosses == [verdict.score for verdict in Random(1).judge(steps)]
    assert 60 < sum(score or 0 for score in tosses) < 140


def test_agreement_is_counted_by_hand() -> None:
    good, bad, missing = Verdict(1.0), Verdict(0.0), Verdict(None, status=VerdictStatus.UNREADABLE)
    found = agreement([good, good, bad, bad, missing], [good, bad, bad, good, good])
    assert (found.n, found.missing, found.accuracy, found.precision, found.recall, found.kappa) == (
        4,
        1,
        0.5,
        0.5,
        0.5,
        0.0,
    )
