"""Multi-hop questions: every needed passage can be found, and train and test share no chain of entities."""

from collections import Counter
from itertools import islice

import pytest

from swirl.policies import Sampling
from swirl.policies.scripted import ScriptedPolicy
from swirl.rollout import begin, rollout
from swirl.tasks import Split
from swirl.tasks.facts import RELATIONS, make_world, query_word
from swirl.tasks.world import World
from swirl.tools import Toolbox, ToolInput
from swirl.tools.search import Search
from swirl.types import Question, Rules

TASK = World()
TOOLBOX = Toolbox([Search(TASK.passages())])


def draw(split: Split, seed: int, count: int = 200) -> list[Question]:
    return list(islice(TASK.questions(split, seed), count))


def chains(question: Question) -> set[tuple[str, ...]]:
    """Entities in a row: each whole chain and its triples, and the ends that a comparison sets side by side."""
    whole: list[list[str]] = []
    for fact in question.meta["facts"]:
        if not whole or whole[-1][-1] != fact["entity"]:
            whole.append([fact["entity"]])
        whole[-1].append(fact["value"])
    triples = {tuple(chain[i : i + 3]) for chain in whole for i in range(len(chain) - 2)}
    starts = tuple(sorted(chain[0] for chain in whole))
    return triples | {tuple(chain) for chain in whole} | ({starts} if len(starts) > 1 else set())


def test_train_and_test_share_no_entity_chain() -> None:
    train = set().union(*(chains(q) for seed in range(3) for q in draw("train", seed)))
    test = set().union(*(chains(q) for seed in range(3) for q in draw("test", seed)))
    assert train
    assert test
    assert not train & test


def test_train_and_test_have_the_same_mix_of_kinds_and_lengths() -> None:
    mixes = []
    for split in ("train", "test"):
        kinds = Counter((q.meta["kind"], len(q.meta["facts"])) for q in draw(split, 3, 600))
        mixes.append({shape: kinds[shape] / 600 for shape in kinds})
    assert {kind for kind, _ in mixes[0]} == {"bridge", "earlier", "same"}
    for shape in mixes[0].keys() | mixes[1].keys():
        assert abs(mixes[0].get(shape, 0) - mixes[1].get(shape, 0)) < 0.08


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_asking_for_any_fact_by_name_brings_its_passage_first(seed: int) -> None:
    world, search = make_world(seed), Search(World(seed).passages())
    for passage in World(seed).passages():
        for relation in RELATIONS[world.kinds[passage.title]]:
            [observation] = search.run([ToolInput(f"{passage.title} {query_word(relation)}")])
            assert observation.passages == (passage.id,)


@pytest.mark.parametrize("split", ["train", "test"])
def test_demonstrations_played_against_the_search_end_in_the_right_answer(split: Split) -> None:
    for question in draw(split, 5, 100):
        state = begin(question, Rules(tools=TASK.tools, max_calls=TASK.max_calls))
        [played] = rollout([state], ScriptedPolicy(TASK.demonstration(question)), TOOLBOX, Sampling())
        seen = {name for step in played.steps if step.observation for name in step.observation.passages}
        assert seen == {fact["passage"] for fact in question.meta["facts"]}
        assert played.answer is not None
        assert TASK.grade(question, played.answer).correct


def test_questions_have_two_to_four_hops_and_are_bridges_and_comparisons() -> None:
    questions = draw("test", 1, 400)
    assert {len(question.meta["facts"]) for question in questions} == {2, 3, 4}
    assert {question.meta["kind"] for question in questions} == {"bridge", "earlier", "same"}


def test_a_passage_is_short_and_most_of_them_are_beside_the_point() -> None:
    assert max(len(passage.text.split()) for passage in TASK.passages()) <= 20
    assert len(TASK.passages()) == 200


def test_yes_and_no_are_about_as_common() -> None:
    answers = [q.answers[0] for q in draw("train", 1, 800) if q.meta["kind"] == "same"]
    assert 0.3 < answers.count("yes") / len(answers) < 0.7
