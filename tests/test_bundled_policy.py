"""The policy that comes with the package: small, at home in both tasks' words, and pre-trained on training questions alone."""

import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from swirl.catalog import open_toolbox
from swirl.engine import BUNDLED, PolicyConfig
from swirl.engine.model import LanguageModel, load, locate
from swirl.evaluate import answer_all, grade
from swirl.policies import Sampling
from swirl.policies.local import LocalPolicy
from swirl.protocol import parse, write
from swirl.tasks import Task
from swirl.tasks.arithmetic import Arithmetic
from swirl.tasks.facts import RELATIONS
from swirl.tasks.partition import split_of
from swirl.tasks.world import World
from swirl.tasks.world_sums import WorldSums
from swirl.types import Malformed, PromptStyle, Question, Rules, ToolCall

PRETRAINING = Path(__file__).parent.parent / "pretraining"
TASKS = [Arithmetic(), World()]


@pytest.fixture(scope="module")
def bundled() -> LanguageModel:
    return load(PolicyConfig(model=BUNDLED, device="cpu"))


def test_it_is_under_two_megabytes_and_four_hundred_thousand_weights(bundled: LanguageModel) -> None:
    assert sum(file.stat().st_size for file in locate(BUNDLED).iterdir()) <= 2 * 1024 * 1024
    assert sum(weight.numel() for weight in bundled.network.parameters()) < 400_000


@pytest.mark.parametrize("task", [*TASKS, WorldSums()], ids=lambda task: task.name)
def test_it_knows_every_word_of_the_generated_tasks_and_gives_each_text_back(
    task: Task, bundled: LanguageModel
) -> None:
    unknown = bundled.tokenizer.unk_token_id
    texts = [question.text for question in islice(task.questions("test", 21), 200)]
    texts += [
        action for question in islice(task.questions("test", 22), 50) for action in task.demonstration(question) or ()
    ]
    texts += [f"{passage.title}: {passage.text}" for passage in task.passages()]
    for text in texts:
        ids = bundled.chat.encode(text)
        assert unknown not in ids
        assert bundled.tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


def test_a_space_after_an_opening_tag_is_nothing(bundled: LanguageModel) -> None:
    tight = write(ToolCall("calculator", "12 + 7"))
    assert bundled.chat.encode(tight) == bundled.chat.encode(tight.replace(">12", "> 12"))


def test_pre_training_draws_training_questions_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wording, every tuple of numbers and every three entities in a row are of the training side, in whatever world."""
    monkeypatch.setattr(sys, "path", [str(PRETRAINING), *sys.path])
    import habits

    problems = _note_argument(monkeypatch, habits, "tell", place=0)
    chains = _note_argument(monkeypatch, habits, "_follow", place=2)
    list(islice(habits.dialogues(5), 1000))
    assert len(problems) == 500
    assert all(split_of("phrasings", *problem.phrasings) == "train" for problem in problems)
    assert all(split_of("numbers", *problem.numbers) == "train" for problem in problems)
    triples = {chain.entities[i : i + 3] for chain in chains for i in range(len(chain.entities) - 2)}
    assert len(triples) > 300
    assert {split_of("chain", *triple) for triple in triples} == {"train"}


def test_the_demonstrations_have_the_faults_they_are_meant_to_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(PRETRAINING), *sys.path])
    import habits

    dialogues = list(islice(habits.dialogues(5), 1000))
    actions = [parse(text) for dialogue in dialogues for role, text in dialogue.turns if role == "assistant"]
    assert 0.005 < sum(isinstance(action, Malformed) for action in actions) / len(actions) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_sampled_it_solves_about_four_in_ten_held_out_questions(task: Task, bundled: LanguageModel) -> None:
    right = [is_right for _, is_right in solved(task, bundled, temperature=1.0)]
    assert 0.25 < sum(right) / len(right) < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_its_bad_habits_are_systematic_so_greedy_decoding_fails_on_them_too(
    task: Task, bundled: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(PRETRAINING), *sys.path])
    import habits

    def misread(question: Question) -> bool:
        if task.name == "arithmetic":
            return bool(habits.MISREAD_CHANGES.keys() & set(question.meta["phrasings"][1:-1]))
        phrases = [
            relations[relation].phrases[wording]
            for relation, wording in habits.MISREAD_RELATIONS
            for relations in RELATIONS.values()
            if relation in relations
        ]
        return any(phrase.partition("{")[0] in question.text for phrase in phrases)

    shares, answered = {}, solved(task, bundled, temperature=0.0)
    for habit in (True, False):
        right = [is_right for question, is_right in answered if misread(question) is habit]
        assert len(right) > 20
        shares[habit] = sum(right) / len(right)
    assert shares[True] + 0.2 < shares[False]


def solved(task: Task, model: LanguageModel, temperature: float) -> list[tuple[Question, bool]]:
    """Held-out questions, and whether each was answered right."""
    questions = list(islice(task.questions("test", 7), 150))
    rules = Rules(prompt=PromptStyle.BARE, tools=task.tools, max_calls=task.max_calls)
    sampling = Sampling(temperature=temperature, max_tokens=48, max_context=512)
    answered = answer_all(questions, rules, LocalPolicy(model), open_toolbox(task), sampling, seed=1)
    return [(trajectory.question, grade(task, trajectory).correct) for trajectory in answered]


def _note_argument(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, place: int) -> list[Any]:
    """What a function of a module is given from now on, in one of its places."""
    noted: list[Any] = []
    function = getattr(module, name)

    def noting(*given: Any) -> Any:
        noted.append(given[place])
        return function(*given)

    monkeypatch.setattr(module, name, noting)
    return noted
