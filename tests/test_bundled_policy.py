"""The policy that comes with the package: small, at home in both tasks' words, and pre-trained on training questions alone."""

import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from swirl.engine import BUNDLED, PolicyConfig
from swirl.engine.model import LanguageModel, load, locate
from swirl.protocol import parse, write
from swirl.tasks import Task
from swirl.tasks.arithmetic import Arithmetic
from swirl.tasks.partition import split_of
from swirl.tasks.world import World
from swirl.types import Malformed, ToolCall

PRETRAINING = Path(__file__).parent.parent / "pretraining"
TASKS = [Arithmetic(), World()]


@pytest.fixture(scope="module")
def bundled() -> LanguageModel:
    return load(PolicyConfig(model=BUNDLED, device="cpu"))


def test_it_is_under_two_megabytes_and_a_million_weights(bundled: LanguageModel) -> None:
    assert sum(file.stat().st_size for file in locate(BUNDLED).iterdir()) <= 2 * 1024 * 1024
    assert sum(weight.numel() for weight in bundled.network.parameters()) < 1_000_000


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_it_knows_every_word_of_both_tasks_and_gives_each_text_back(task: Task, bundled: LanguageModel) -> None:
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


def _note_argument(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, place: int) -> list[Any]:
    """What a function of a module is given from now on, in one of its places."""
    noted: list[Any] = []
    function = getattr(module, name)

    def noting(*given: Any) -> Any:
        noted.append(given[place])
        return function(*given)

    monkeypatch.setattr(module, name, noting)
    return noted
