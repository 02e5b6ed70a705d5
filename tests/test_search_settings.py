"""From settings to what a search shows: which retriever answers, in what scope, and in whose tokens; and `swirl index` end to end."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from swirl.catalog import open_retriever, open_toolbox
from swirl.cli import main
from swirl.errors import ConfigError, ModelError, RecordError
from swirl.policies import PolicyConfig
from swirl.retrieval import SearchConfig
from swirl.retrieval.bm25 import Bm25
from swirl.retrieval.dense import Dense
from swirl.retrieval.hybrid import Hybrid
from swirl.retrieval.remote import Remote
from swirl.tasks.jsonl import Jsonl
from swirl.tasks.world import World
from swirl.types import Passage, ToolCall
from test_cli import answer
from test_encoder import write_encoder

PASSAGES = [
    Passage("p1", "Ada Quill", "Ada lived by the harbour. " * 40),
    Passage("p2", "Bo Fenn", "The spouse of Ada Quill is Bo Fenn."),
]


class Scoped(Jsonl):
    """Questions of one's own, each with its own passages."""

    scoped = True

    def __init__(self) -> None:
        self.name, self.tools, self.max_calls = "mine", ("search",), 5

    def passages(self) -> Sequence[Passage]:
        return PASSAGES


def search(config: SearchConfig, scope: tuple[str, ...] = (), query: str = "Ada harbour") -> tuple[str, ...]:
    [found] = open_toolbox(Scoped(), config).run([(ToolCall("search", query), scope)])
    return found.passages


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus in the current folder."""
    monkeypatch.chdir(tmp_path)
    rows = [{"id": one.id, "title": one.title, "text": one.text} for one in PASSAGES]
    Path("mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Path("mine.jsonl")


def test_each_scope_is_what_it_says() -> None:
    assert search(SearchConfig(), ("p2",)) == ("p2",)
    assert search(SearchConfig(scope="question"), ("p2",)) == ("p2",)
    assert search(SearchConfig(scope="corpus"), ("p2",)) == ("p1",)
    assert search(SearchConfig(scope="question")) == ("p1",)


def test_a_result_is_cut_in_the_policy_s_own_tokens() -> None:
    """The bundled policy's tokenizer is one of words."""
    toolbox = open_toolbox(Scoped(), SearchConfig(max_tokens=30), PolicyConfig())
    [found] = toolbox.run([(ToolCall("search", "Ada harbour"), ())])
    assert found.text.startswith("Ada Quill: Ada lived by the harbour. ")
    assert found.text.endswith("harbour. [...]")
    from swirl.engine.model import policy_tokenizer

    assert len(policy_tokenizer(PolicyConfig()).encode(found.text, add_special_tokens=False)) <= 30


def test_the_tokenizer_is_not_loaded_where_bytes_are_few() -> None:
    toolbox = open_toolbox(Scoped(), SearchConfig(), PolicyConfig(model="no/such/model/at/all"))
    assert toolbox.run([(ToolCall("search", "spouse"), ())])[0].passages == ("p2",)
    with pytest.raises(ModelError, match="no/such/model"):
        toolbox.run([(ToolCall("search", "harbour"), ())])


def test_settings_name_the_retriever(tmp_path: Path) -> None:
    encoder = str(write_encoder(tmp_path / "encoder", None))
    assert isinstance(open_retriever(World(), SearchConfig()), Bm25)
    assert isinstance(open_retriever(Scoped(), SearchConfig(engine="dense", encoder=encoder), "cpu"), Dense)
    assert isinstance(open_retriever(Scoped(), SearchConfig(engine="hybrid", encoder=encoder), "cpu"), Hybrid)
    assert isinstance(open_retriever(World(), SearchConfig(url="http://127.0.0.1:8000/retrieve")), Remote)


def test_a_scoped_task_and_a_service_do_not_go_together() -> None:
    with pytest.raises(ConfigError, match=r'set search\.scope = "corpus"'):
        search(SearchConfig(url="http://127.0.0.1:1/"), ("p2",))


def test_an_index_is_made_searched_and_checked(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = write_encoder(Path("encoder"), None)
    words = ["index", str(corpus), "--engine", "hybrid", "--encoder", str(encoder), "--device", "cpu"]
    assert main(words) == 0
    assert "mine.index: 2 passages, " in capsys.readouterr().out
    assert search(SearchConfig(index="mine.index", top_k=2, max_tokens=2000)) == ("p1", "p2")
    for engine in ("dense", "hybrid"):
        assert sorted(search(SearchConfig(index="mine.index", engine=engine, top_k=2, max_tokens=2000))) == ["p1", "p2"]
    assert main(["index", "mine.index", "--verify"]) == 0
    assert "for search.engine hybrid; whole" in capsys.readouterr().out
    assert main(words) == 2
    assert "mine.index is there already; delete it, or choose another --out" in capsys.readouterr().err
    with (Path("mine.index") / "dense.npy").open("r+b") as file:
        file.seek(-3, 2)
        file.write(b"\0\0\1")
    with pytest.raises(RecordError, match=r"dense\.npy: its content has changed"):
        search(SearchConfig(index="mine.index"))
    assert main(["index", "mine.index", "--verify"]) == 2
    assert "dense.npy: its content has changed since the index was made" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["index"], "expected `swirl index CORPUS [OPTIONS]`, found nothing in place of CORPUS"),
        (["index", "nowhere.jsonl"], "expected a corpus at nowhere.jsonl, found nothing there"),
        (["index", "mine.jsonl", "--engine", "dense"], "--engine dense needs --encoder"),
        (["index", "mine.jsonl", "--encoder", "x"], "--encoder is for --engine dense or hybrid"),
        (["index", "mine.jsonl", "--verify"], "expected an index at mine.jsonl, found no manifest.json in it"),
        (
            ["index", "mine.jsonl", "--engine", "dense", "--encoder", "./none"],
            "there is no folder ./none, and the Hugging Face hub did not give a model of that name",
        ),
    ],
)
def test_a_mistake_leaves_nothing(
    corpus: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = answer(capsys, words)
    assert status == 2
    assert sentence in said
    assert "Traceback" not in said
    assert [path.name for path in Path().iterdir()] == [corpus.name]
