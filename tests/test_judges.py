"""Judges that do not solve the question themselves: rules, what a question was meant to be solved by, a language model, a coin; and how far
two agree."""

import json
import os
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from playing import needs_data
from swirl.decompose import state_before
from swirl.errors import ConfigError
from swirl.judges import Judge, StepSample
from swirl.judges.agreement import agreement
from swirl.judges.model import PROMPT_VERSION, ModelJudge, judge_prompt
from swirl.judges.random import Random
from swirl.judges.reference import Reference
from swirl.judges.rule import Rule, judge_step
from swirl.judges.solver import Solver
from swirl.judges.sub_questions import judge_action
from swirl.policies import Sampling
from swirl.policies.scripted import ScriptedPolicy
from swirl.protocol import parse, write
from swirl.rollout import begin, rollout
from swirl.tasks.arithmetic import Arithmetic
from swirl.tasks.world import World
from swirl.tools import Toolbox
from swirl.tools.search import Search
from swirl.types import (
    Action,
    Answer,
    Malformed,
    Observation,
    Question,
    Rules,
    Step,
    ToolCall,
    Trajectory,
    Verdict,
    VerdictStatus,
)

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


LONG = " ".join(["eggs", "of", "Tom", "boxes"] * 5 + ["jar"])


@pytest.mark.parametrize(
    ("action", "before", "fault"),
    [
        ("<math_exp>3 * 12</math_exp>", [], ""),
        ("<math_exp>36 - 5</math_exp>", [FIRST], ""),
        ("<answer>36</answer>", [FIRST], ""),
        ("<math_exp>3*12</math_exp>", [FIRST], "repeats the call of step 1"),
        ("<math_exp>3 * 14</math_exp>", [], "14 comes neither"),
        ("<math_exp>3 *</math_exp>", [], "cannot be calculated"),
        ("<answer>31</answer>", [FIRST], "31 is none of the results"),
        ("<answer>31</answer>", [], "before anything was looked up"),
        ("<answer>36 eggs</answer>", [FIRST], ""),
        ("<answer>36, thirty-six eggs</answer>", [FIRST], ""),
        ("<answer>36 zebras</answer>", [FIRST], "zebras occurs in no result"),
        (
            f"<answer>{LONG}</answer>",
            [("<search_query>Tom</search_query>", LONG)],
            "an answer of 21 words: a few were asked for",
        ),
        (f"<answer>{LONG[:-4]}</answer>", [("<search_query>Tom</search_query>", LONG)], ""),
        (
            "<answer>Paris 1899</answer>",
            [("<search_query>Tom</search_query>", "Tom: born in 1899.")],
            "paris occurs in",
        ),
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


def judged(text: str, action: str, *before: tuple[str, str]) -> Verdict:
    """What the rules say of an action on a question."""
    asked = sample(action, *before, question=Question(id="q", task="t", text=text))
    return judge_step(asked.state, asked.step)


IDENTITIES = "(12) -(12) --12 12*1 1*12 12+0 0-12 12/1 12*3/3 12+3-3 max(12,3) round(12)"


@pytest.mark.parametrize("call", IDENTITIES.split())
def test_a_call_that_gives_back_one_of_its_own_numbers_calculates_nothing(call: str) -> None:
    assert "calculates nothing" in judged(EGGS.text, f"<math_exp>{call}</math_exp>").reason


def test_a_call_may_come_to_a_number_of_the_question_or_to_what_it_takes_away_or_divides_by() -> None:
    for call in ("12 / 3", "3 * 5", "3 + 2", "sqrt(12)", "round(12 / 5)", "10 - 5", "16 / 4", "12 / 4 + 0"):
        assert judged("3 boxes of 12, 4 bags of 5, 15 of 16 jars and 10 cups.", f"<math_exp>{call}</math_exp>").good


@pytest.mark.parametrize(
    ("text", "call", "good"),
    [
        ("Half of the 48 clips are sold.", "48 * 0.5", True),
        ("A third of the 81 clips is sold.", "1/3*81", True),
        ("1/4 of the 48 clips are sold.", "48 * 3/4", True),
        ("The price of 400 rises by 10%.", "400 * (110 / 100)", True),
        ("It fell from 4 to -3 degrees.", "4 - -3", True),
        ("There are 3 boxes of 12.", "60 / 20 * 12", False),
        ("The clips are sold to 3 of 48 friends.", "3 / 7 * 48", False),
    ],
)
def test_the_numbers_of_a_call_come_from_the_question_as_it_puts_them(text: str, call: str, good: bool) -> None:
    verdict = judged(text, f"<math_exp>{call}</math_exp>")
    assert verdict.good is good
    assert good or "comes neither" in verdict.reason


THIRD = "<math_exp>100 / 3</math_exp>", "33.33333333"
SALE = "<math_exp>48 / 2 + 48</math_exp>", "72"
DEBT = "<math_exp>8 - 80</math_exp>", "-72"


@pytest.mark.parametrize(
    ("before", "good", "bad"),
    [
        (THIRD, "33.33; 33; 33 clips", "34; 33.34; 100"),
        (
            SALE,
            "72 clips in 2 days; 72 clips in two days; $72.00; ７２",
            "72 clips in 5 days; 2 days; -72; off by - 72; ５; ²",
        ),
        (DEBT, "-72; $-72; −72", "72"),
    ],
)
def test_an_answer_holds_a_result_rounded_or_not_with_its_sign(before: tuple[str, str], good: str, bad: str) -> None:
    text = "Of 100 and 48 clips, how many are sold in 2 days, for 3 dollars, 8 less 80?"
    for answer in good.split("; "):
        assert judged(text, f"<answer>{answer}</answer>", before).good
    for answer in bad.split("; "):
        assert not judged(text, f"<answer>{answer}</answer>", before).good


def test_a_call_may_use_a_result_rounded() -> None:
    assert judged("100 clips for 3 days", "<math_exp>33.33 * 3</math_exp>", THIRD).good
    assert not judged("100 clips for 3 days", "<math_exp>33.34 * 3</math_exp>", THIRD).good


HARBOUR = "<search_query>The Silver Harbour setting</search_query>", "The Silver Harbour: Saint Tarn, by Ada Quill."
ADA = "<search_query>Ada Quill birthplace</search_query>", "Ada Quill: Birthplace: Port Lumen."
TOWER = "<search_query>The Quiet Tower setting</search_query>", "The Quiet Tower: Set in Saint Tarn."
OTHER = "<search_query>The Quiet Tower setting</search_query>", "Ada Quill: Birthplace: Port Lumen."
SAME = "Are the setting of The Silver Harbour and the scene of The Quiet Tower the same town?"


@pytest.mark.parametrize(
    ("query", "before", "fault"),
    [
        ("The Silver Harbour author", [], ""),
        ("who wrote the silver harbour", [], ""),
        ("Ada Quill's birthplace", [HARBOUR], ""),
        ("Ada Quill The Silver Harbour", [], "ada comes neither"),
        ("Zebra setting", [], "zebra comes neither"),
        ("the of", [], "no content word"),
    ],
)
def test_every_name_of_a_search_comes_from_the_question_or_a_result(
    query: str, before: list[tuple[str, str]], fault: str
) -> None:
    verdict = judged(SAME, f"<search_query>{query}</search_query>", *before)
    assert verdict.good is (not fault)
    assert fault in verdict.reason


def test_yes_and_no_are_good_once_all_that_the_question_names_was_searched_for_and_found() -> None:
    for answer in ("<answer>yes</answer>", "<answer>No.</answer>"):
        assert judged(SAME, answer, HARBOUR, TOWER).good
        for before in ([HARBOUR], [TOWER], [HARBOUR, ADA], [HARBOUR, OTHER], []):
            assert not judged(SAME, answer, *before).good


EYES = Question(id="q", task="t", text="Who is the spouse of Big Eyes's main director, and where was he born?")
DIRECTOR = (
    "<search_query>Big Eyes director</search_query>",
    "Big Eyes: A 2014 film directed by Tim Burton, with Amy Adams and Terence Stamp.",
)
BURTON = (
    "<search_query>Tim Burton spouse</search_query>",
    "Tim Burton: He married Héléna Bonham-Carter on August 16, 2001 in New York. Born in Burbank, he won four in the U.S., 3 abroad.",
)


@pytest.mark.parametrize(
    ("query", "before", "good"),
    [
        ("Who directed Big Eyes?", [], True),
        ("Director of Big Eyes", [], True),
        ("Facts about big eyes", [], True),
        ("bíg-éyes directors", [], True),
        ("who directed the film Big Eyes in London", [], True),
        ("spouse of the main director", [], True),
        ("Director of The Silver Harbour", [], False),
        ("Tim Burton spouse", [], False),
        ("Tim Burton spouse", [DIRECTOR], True),
        ("tim burton", [DIRECTOR], True),
        ("Johnny Depp spouse", [DIRECTOR], False),
        ("where was the first conference held", [DIRECTOR], False),
        ("director, Big Eyes?", [DIRECTOR], False),
        ("the director of BIG EYES", [DIRECTOR], False),
    ],
)
def test_a_search_is_about_what_the_question_or_a_result_is_about_and_is_no_repeat(
    query: str, before: list[tuple[str, str]], good: bool
) -> None:
    asked = sample(write(ToolCall("search", query)), *before, question=EYES)
    assert judge_step(asked.state, asked.step).good is good


SEEN = """Helena Bonham Carter; helena bonham-carter; Bonham Carter's; Tim Burton; New York; Burbank, New York; Amy Adams and Terence Stamp;
August 16, 2001; 16 August 2001; 2001-08-16; 16.8.2001; 2001; four; 4; three; US; the U.S."""
UNSEEN = """Johnny Depp; Tim Adams; Helena Stamp; Carter Helena; August 16, 2002; 2002; 2001-07-16; 17 August 2001; Paris 2001; five; Johnny
Depp and Tim Burton; America; The answer is Burbank; , ; Spouse"""


def test_an_answer_in_words_stands_together_in_a_result_whatever_its_case_accents_and_dates() -> None:
    for answer in SEEN.split("; "):
        asked = sample(write(Answer(answer)), DIRECTOR, BURTON, question=EYES)
        assert judge_step(asked.state, asked.step).good, answer
    for answer in UNSEEN.split("; "):
        asked = sample(write(Answer(answer)), DIRECTOR, BURTON, question=EYES)
        assert not judge_step(asked.state, asked.step).good, answer


OLDER = "Who was born first, Ada Quill or Leo Pike, both American?"
LEO = "<search_query>Leo Pike born</search_query>", "Leo Pike: Born in 1890, like Ada."
QUILL = "<search_query>Ada Quill born</search_query>", "Ada Quill: Born in 1899."


def test_what_the_question_offers_is_no_answer_before_all_it_names_was_looked_up() -> None:
    for answer in ("Leo Pike", "Ada Quill", "yes", "no"):
        assert judged(OLDER, write(Answer(answer)), LEO, QUILL).good
        for before in ([LEO], [QUILL], [QUILL, ADA]):
            assert not judged(OLDER, write(Answer(answer)), *before).good


def test_with_a_calculator_alone_yes_needs_no_name() -> None:
    question = Question(id="q", task="t", text="Can Tom fill 3 boxes of 12 with 40 eggs?")
    asked = sample("<answer>yes</answer>", FIRST, question=question)
    alone = Trajectory(id="q/0", question=question, rules=Rules(tools=("calculator",)), steps=asked.state.steps)
    assert judge_step(alone, asked.step).good
    assert not judge_step(asked.state, asked.step).good


def test_every_step_of_a_demonstration_in_the_world_keeps_the_rules() -> None:
    world = World()
    toolbox = Toolbox([Search(world.passages())])
    for question in islice(world.questions("test", 5), 80):
        start = begin(question, Rules(tools=("search",)))
        [played] = rollout([start], ScriptedPolicy(world.demonstration(question)), toolbox, Sampling())
        for place, step in enumerate(played.steps):
            assert judge_step(state_before(played, place), step).good
        if question.meta["kind"] == "same":
            assert not judge_step(state_before(played, 1), played.steps[-1]).good


PUBLIX = Question(
    id="q",
    task="musique",
    text="How many Publix stores are in the state east of the state where Hello Love's performer died?",
    answers=("35", "thirty-five"),
    meta={
        "gold": ["p1", "p2", "p3", "p4"],
        "decomposition": [
            {"question": "Hello Love >> performer", "answer": "Hank Snow", "passage": "p1"},
            {"question": "What state did #1 live when he died?", "answer": "Tennessee", "passage": "p2"},
            {"question": "Which state borders #2 to the east?", "answer": "North Carolina", "passage": "p3"},
            {"question": "how many publix stores are in #3", "answer": "35", "passage": "p4"},
        ],
    },
)
QUERIES = (
    "Hello Love performer",
    "where did Hank Snow die",
    "state east of tennessee",
    "publix stores in North Carolina",
)


RESULTS = ("36", "-5", "33.33333333", "1" * 300, "Ada Quill: Born in 1899, 3/4 of ５ twenty-five.")
WORDS = st.text() | st.text("0123456789.,+-−*/%()$eE５½²<>=:'  abcLogsqrtmaxYesHarbour\n", max_size=60)
TOKENS = st.sampled_from(["3", "12", ".5", "1,200", "1e5", "36", "max(", "sqrt(", "log(", "(", ")", ",", *"+-*/%$^"])
CALLS = WORDS | st.lists(TOKENS, max_size=12).map("".join)
ACTIONS = WORDS.map(parse) | WORDS.map(Answer) | st.builds(ToolCall, st.sampled_from(["calculator", "search"]), CALLS)


@example("", ToolCall("calculator", "max(8-.5,.5)"), [])
@example("", Answer("9" * 300 + "e20/7"), ["36"])
@example("", ToolCall("calculator", "log(2,1.00000000000000000000000001)"), [])
@given(WORDS, ACTIONS, st.lists(st.sampled_from(RESULTS), max_size=4))
def test_no_action_whatever_makes_a_judge_raise(text: str, action: Action, results: list[str]) -> None:
    steps = tuple(
        Step(text="", action=ToolCall("search", "Ada"), observation=Observation(result)) for result in results
    )
    judges: list[tuple[Judge, Question]] = [
        (Rule(), Question(id="q", task="t", text=text)),
        (Reference(), EGGS),
        (Reference(), PUBLIX),
        (Solver(), next(Arithmetic().questions("train", 1))),
        (Solver(), next(World().questions("train", 1))),
    ]
    for judge, question in judges:
        state = Trajectory(id="q/0", question=question, rules=Rules(tools=("calculator", "search")), steps=steps)
        [verdict] = judge.judge([StepSample(state, Step(text="", action=action))])
        assert verdict.score in (0.0, 1.0)


def test_a_worked_solution_knows_its_values_and_its_answer() -> None:
    wanted = {
        "<math_exp>12 * 3</math_exp>": True,
        "<math_exp>36 - 4.99</math_exp>": False,
        "<math_exp>twelve</math_exp>": False,
        "<answer>$31.00</answer>": True,
        "<answer>31 eggs</answer>": True,
        "<answer>-31</answer>": False,
        "<answer>36</answer>": False,
        "no": False,
    }
    assert [v.good for v in Reference().judge([sample(action) for action in wanted])] == list(wanted.values())


def test_a_call_is_good_within_the_decimals_that_the_worked_solution_shows() -> None:
    solution = "100/3 = <<100/3=33.33>>33.33, 7/2 = <<7/2=4>>4\n#### 4"
    question = Question(id="q", task="gsm8k", text="?", answers=("4",), meta={"solution": solution})
    calls = {
        "100 / 3": True,
        "33.33 * 1": True,
        "66.666 / 2": True,
        "33.4": False,
        "7 / 2": True,
        "4": True,
        "3.9": False,
    }
    samples = [sample(write(ToolCall("calculator", call)), question=question) for call in calls]
    assert [verdict.good for verdict in Reference().judge(samples)] == list(calls.values())


def looked_up(*places: int, ids: bool = True) -> Trajectory:
    """A state in which the passages of these sub-questions were shown, by asking for them; without ids only their answers are there."""
    steps = []
    for place in places:
        hop, call = PUBLIX.meta["decomposition"][place], ToolCall("search", QUERIES[place])
        shown = Observation(f"The answer: {hop['answer']}.", passages=(hop["passage"],) if ids else ())
        steps.append(Step(text="", action=call, observation=shown))
    return Trajectory(id="q/0", question=PUBLIX, rules=Rules(tools=("search",)), steps=tuple(steps))


def decomposed(state: Trajectory, action: Action) -> bool:
    [verdict] = Reference().judge([StepSample(state, Step(text="", action=action))])
    return verdict.good


@pytest.mark.parametrize("ids", [True, False])
def test_a_search_asks_a_sub_question_whose_inputs_are_known_by_then(ids: bool) -> None:
    for seen in range(4):
        state = looked_up(*range(seen), ids=ids)
        asks = [decomposed(state, ToolCall("search", query)) for query in QUERIES]
        assert asks == [place == seen for place in range(4)]
    assert not any(decomposed(looked_up(0, 1, 2, 3), ToolCall("search", f"{query} again")) for query in QUERIES)


def test_a_search_names_what_the_sub_question_is_about_and_is_no_repeat() -> None:
    assert decomposed(looked_up(), ToolCall("search", PUBLIX.text)), "the whole question, first"
    for query in ("Publix stores", "performer", "love", "Hank Snow", ""):
        assert decomposed(looked_up(), ToolCall("search", query)) is (query == "love"), query
    for query in ("North Carolina weather", "Publix stores", "Carolina publix"):
        assert decomposed(looked_up(0, 1, 2), ToolCall("search", query)) is (query == "Carolina publix"), query
    missed = Step(
        text="", action=ToolCall("search", "hello, LOVE performer"), observation=Observation("?", passages=("p9",))
    )
    state = Trajectory(id="q/0", question=PUBLIX, rules=Rules(tools=("search",)), steps=(missed,))
    assert not decomposed(state, ToolCall("search", QUERIES[0]))
    assert decomposed(state, ToolCall("search", "Hello Love singer"))
    assert not decomposed(state, ToolCall("calculator", "30 + 5"))


def test_an_answer_is_good_when_it_is_accepted_and_all_sub_questions_were_looked_up() -> None:
    for answer, good in {"35": True, "Thirty-Five": True, "36": False, "North Carolina": False}.items():
        assert decomposed(looked_up(0, 1, 2, 3), Answer(answer)) is good
        assert decomposed(looked_up(3, 2, 1, 0, ids=False), Answer(answer)) is good
        assert not decomposed(looked_up(0, 1, 3), Answer(answer))
    assert not decomposed(looked_up(0, 1, 2, 3), Malformed("no tag"))


def test_a_number_that_no_earlier_sub_question_has_is_text() -> None:
    asked = ("Who had the #1 hit of 1983?", "Which chart ranks #1 as its #10?")
    hops = [
        {"question": text, "answer": gold, "passage": f"p{place}"}
        for place, (text, gold) in enumerate(zip(asked, ("Ada Quill", "Lumen Chart"), strict=True))
    ]
    question = Question(id="q", task="musique", text="?", answers=("Lumen Chart",), meta={"decomposition": hops})
    state = Trajectory(id="q/0", question=question, rules=Rules())
    first = judge_action(state, ToolCall("search", "#1 hit of 1983"))
    assert (first.good, first.reason) == (True, "asks `Who had the #1 hit of 1983?`")
    step = Step(
        text="", action=ToolCall("search", "#1 hit of 1983"), observation=Observation("Ada Quill", passages=("p0",))
    )
    then = judge_action(structs.replace(state, steps=(step,)), ToolCall("search", "Ada Quill chart"))
    assert then.reason == "asks `Which chart ranks Ada Quill as its #10?`"


@needs_data
def test_the_decompositions_of_real_questions_are_good_at_their_time() -> None:
    """MuSiQue's training questions: the sub-questions in order, then the answer; and never before the first passage was shown."""
    path = Path(os.environ["SWIRL_DATA"], "musique", "train_ctx_100.jsonl")
    early: list[bool] = []
    timely: list[bool] = []
    for row in map(json.loads, path.read_text("utf-8").splitlines()):
        hops = [
            {
                "question": hop["question"],
                "answer": hop["answer"],
                "passage": row["paragraph_ids"][hop["paragraph_support_idx"]],
            }
            for hop in row["meta"]["question_decomposition"]
        ]
        answers, told = tuple(row["answer"]), {"decomposition": hops}
        state = Trajectory(
            id="q/0",
            question=Question(id="q", task="musique", text=row["question"], answers=answers, meta=told),
            rules=Rules(),
        )
        for hop in hops:
            query = hop["question"]
            for place, earlier in enumerate(hops, start=1):
                query = query.replace(f"#{place}", earlier["answer"])
            early.append(decomposed(state, Answer(answers[0])))
            timely.append(decomposed(state, ToolCall("search", query)))
            shown = Observation(hop["answer"], passages=(hop["passage"],))
            step = Step(text="", action=ToolCall("search", query), observation=shown)
            state = structs.replace(state, steps=(*state.steps, step))
        timely.append(decomposed(state, Answer(answers[0])))
    assert len(timely) > 300
    assert sum(timely) / len(timely) > 0.97
    assert not any(early)


def test_without_a_worked_solution_or_a_decomposition_the_reference_says_so() -> None:
    bare = Question(id="q8", task="jsonl", text="?")
    with pytest.raises(ConfigError, match="'q8' of jsonl has none"):
        Reference().judge([sample("<answer>1</answer>", question=bare)])


GOOD = "It helps. GOOD|so it is good.|Verdict: GOOD|It names him.\n\n- GOOD\n|Therefore, the last message is **GOOD**."
BAD = "It helps not. **BAD**.|GOOD at first sight, but no: BAD|**Verdict:** 'bad'|My final answer is \"BAD\"."
UNREADABLE = """A GOOD query would name the author; this one does not.|I have to write GOOD or BAD as the last word.|GOOD/BAD|
Explain, then write GOOD or BAD|It is not GOOD.|A query that named her would be GOOD.|I wonder whether it is bad.|Is it GOOD?|
GOOD. It names the author.|I cannot say.||"""


@pytest.mark.parametrize(("texts", "score"), [(GOOD, 1.0), (BAD, 0.0), (UNREADABLE, None)])
def test_the_model_judge_reads_a_verdict_at_the_very_end_and_leaves_all_else_without_a_score(
    texts: str, score: float | None
) -> None:
    for text in texts.split("|"):
        [verdict] = ModelJudge(ScriptedPolicy([text])).judge([sample("<math_exp>3 * 12</math_exp>")])
        assert verdict.score == score, text
        assert (verdict.status is VerdictStatus.UNREADABLE) is (score is None)


def test_verdicts_of_the_model_judge_bear_the_version_of_its_prompt_and_the_model() -> None:
    assert ModelJudge(ScriptedPolicy(["GOOD"], name="qwen")).name == f"model/{PROMPT_VERSION}/qwen"


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
