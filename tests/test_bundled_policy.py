"""The policy that comes with the package: small, at home in both tasks' words, and pre-trained on training questions alone."""

import sys
from itertools import islice
from pathlib import Path

import pytest

from swirl.engine import BUNDLED, PolicyConfig
from swirl.engine.model import LanguageModel, load, locate
from swirl.protocol import parse, write
from swirl.tasks import Task
from swirl.tasks.arithmetic import Arithmetic
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


def test_pre_training_draws_training_questions_alone_and_shows_every_kind_of_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", [str(PRETRAINING), *sys.path])
    import habits

    drawn = []
    monkeypatch.setattr(habits, "tell", _noting(habits.tell, drawn))
    follow = habits._follow
    chains = []
    monkeypatch.setattr(habits, "_follow", lambda *given: chains.append(given[2]) or follow(*given))
    dialogues = list(islice(habits.dialogues(5), 1000))
    assert len(drawn) == 500
    assert all(problem.belongs_to("train") and not problem.belongs_to("test") for problem in drawn)
    triples = {chain.entities[i : i + 3] for chain in chains for i in range(len(chain.entities) - 2)}
    test = {tuple(_entities(question)) for question in islice(World().questions("test", 3), 300)}
    assert triples
    assert not triples & test
    actions = [parse(text) for dialogue in dialogues for role, text in dialogue.turns if role == "assistant"]
    assert 0.005 < sum(isinstance(action, Malformed) for action in actions) / len(actions) < 0.05


def _noting(tell, drawn):
    def told(problem, rng, name):
        drawn.append(problem)
        return tell(problem, rng, name)

    return told


def _entities(question) -> list[str]:
    facts = question.meta["facts"]
    return [facts[0]["entity"], *(fact["value"] for fact in facts)][:3]
