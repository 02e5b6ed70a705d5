"""An index on disk: it answers as memory does, is whole or not there, and no byte of it can change unseen."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from corpora import CORPORA, TEXTS, HashEncoder, names, passages, rows
from swirl.errors import ConfigError, RecordError, RunFolderError, SwirlError
from swirl.records import write_json
from swirl.retrieval import Encoder, Retriever, bm25
from swirl.retrieval.bm25 import Bm25
from swirl.retrieval.dense import Dense
from swirl.retrieval.hybrid import Hybrid
from swirl.retrieval.index import MANIFEST, build, open_index, read_manifest, verify
from swirl.retrieval.passages import Stored
from swirl.rows import Row
from swirl.types import Passage

CORPUS = passages(
    [("Ada Quill", "silver lamp"), ("Port Lumen", "A harbour, with boats."), ("Bo Fenn", "Ada's marsh — é")]
)
QUERIES = ["harbour boats", "the", "zebra", "Ada Fenn", "Ada"]
SCOPES: list[tuple[str, ...]] = [(), (), (), (), ("p3", "p2")]


def encoder(model: str) -> Encoder:
    return HashEncoder()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index") / "made"
    build(partial(rows, CORPUS), folder, engine="hybrid", encoder=HashEncoder(), model="somewhere")
    return folder


@pytest.mark.parametrize("engine", ["bm25", "dense", "hybrid"])
def test_it_answers_as_memory_does(made: Path, engine: str) -> None:
    words, meaning = Bm25.of(CORPUS), Dense.of(CORPUS, HashEncoder())
    memory: Retriever = {"bm25": words, "dense": meaning, "hybrid": Hybrid([words, meaning])}[engine]
    assert open_index(made, engine, encoder).retrieve(QUERIES, 2, SCOPES) == memory.retrieve(QUERIES, 2, SCOPES)


@settings(deadline=None, max_examples=15)
@given(corpus=CORPORA, query=TEXTS)
def test_any_corpus_comes_back(corpus: list[Passage], query: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("index") / "made"
    build(partial(rows, corpus), folder)
    stored = Stored(folder)
    assert [stored[place] for place in range(len(stored))] == corpus
    assert [stored.place(passage.id) for passage in corpus] == list(range(len(corpus)))
    assert stored.place("p") is None
    found, wanted = (each.retrieve([query], 9, [()]) for each in (open_index(folder, "bm25", encoder), Bm25.of(corpus)))
    assert found == wanted


def test_it_says_how_it_was_made(made: Path) -> None:
    manifest = read_manifest(made)
    assert (manifest.passages, manifest.engine, manifest.encoder, manifest.model) == (
        3,
        "hybrid",
        "hash@1",
        "somewhere",
    )
    assert manifest.reading is not None
    assert manifest.reading.stemmer == "english"
    assert "the" in manifest.reading.stop_words
    assert manifest.reading.fields == ("title", "title", "text")
    assert manifest.weighing is not None
    assert (manifest.weighing.method, manifest.weighing.k1, manifest.weighing.b) == ("lucene", 1.5, 0.75)
    assert {path.name for path in made.iterdir()} == {MANIFEST, *manifest.files}


def test_two_indexes_of_a_corpus_are_equal_to_the_byte(made: Path, tmp_path: Path) -> None:
    build(partial(rows, CORPUS), tmp_path / "again", engine="hybrid", encoder=HashEncoder(), model="somewhere")
    for path in made.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_changed_byte_anywhere_is_found(
    made: Path, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("index") / "damaged"
    shutil.copytree(made, folder)
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    if path.name == MANIFEST:
        with contextlib.suppress(RecordError):  # white space in it may be of another kind
            assert verify(folder) == read_manifest(made)
        return
    with pytest.raises(RecordError, match=f"{path.name}: its content has changed"):
        open_index(folder, "hybrid", encoder)


def test_a_file_that_is_cut_off_or_gone_is_found(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "cut")
    lines = tmp_path / "cut" / "passages.jsonl"
    lines.write_bytes(lines.read_bytes()[:-1])
    with pytest.raises(RecordError, match=r"passages\.jsonl: expected \d+ bytes, found \d+; copy or make"):
        open_index(tmp_path / "cut", "bm25", encoder)
    lines.unlink()
    with pytest.raises(RecordError, match=r"passages\.jsonl: expected \d+ bytes, found no such file"):
        open_index(tmp_path / "cut", "bm25", encoder)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"expected an index at .*, found no manifest\.json in it; make one: swirl index CORPUS --out"),
        ("{", "expected JSON, found a damaged file"),
        ('{"schema": "swirl.index/9"}', "expected a record of schema 'swirl.index/1', found another"),
        ('{"schema": "swirl.index/1"}', "missing required field"),
    ],
)
def test_what_is_no_index_of_ours_is_named(content: str | None, sentence: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(SwirlError, match=sentence):
        open_index(tmp_path, "bm25", encoder)


def test_an_index_is_searched_as_it_was_made(made: Path, tmp_path: Path) -> None:
    build(partial(rows, CORPUS), tmp_path / "words")
    with pytest.raises(ConfigError, match=r'is an index for search\.engine = "bm25", and "hybrid" was asked for'):
        open_index(tmp_path / "words", "hybrid", encoder)
    with pytest.raises(ConfigError, match="made with the encoder hash@1, and hash@2 would read the queries"):
        open_index(made, "dense", lambda model: HashEncoder("hash@2"))


def test_a_manifest_names_no_file_elsewhere(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    shutil.copytree(made, folder)
    manifest = read_manifest(folder)
    named = structs.replace(manifest, files={**manifest.files, "../secret": manifest.files["passages.jsonl"]})
    write_json(folder / MANIFEST, named.sealed())
    with pytest.raises(RecordError, match="it is not what `swirl index` wrote"):
        verify(folder)


def test_an_encoder_is_known_by_its_weights_whatever_it_is_called(made: Path) -> None:
    [found] = open_index(made, "dense", lambda model: HashEncoder("copy@1")).retrieve(["harbour"], 1, [()])
    assert found


def test_the_encoder_is_found_where_the_index_says(made: Path) -> None:
    asked: list[str] = []
    open_index(made, "dense", lambda model: asked.append(model) or HashEncoder())
    assert asked == ["somewhere"]


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ([*CORPUS, CORPUS[0]], r"corpus\.jsonl:4: field id: 'p1' stands at corpus\.jsonl:1 too; ids must differ"),
        ([*CORPUS, Passage("p4", "t", " ")], r"corpus\.jsonl:4: field text: expected a text, found ' '"),
        ([], "found none in it"),
        ([Passage("p1", "a", "b")], "expected passages with words to search for, found 1"),
    ],
)
def test_of_a_corpus_that_cannot_be_indexed_nothing_is_left(bad: list[Passage], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(SwirlError, match=sentence):
        build(partial(rows, bad), tmp_path / "made")
    assert not list(tmp_path.iterdir())


def test_what_a_killed_build_left_is_removed_and_what_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "made.part").mkdir()
    (tmp_path / "made.part" / "passages.jsonl").write_text("half")
    build(partial(rows, CORPUS), tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    with pytest.raises(RunFolderError, match="is there already; delete it, or choose another --out"):
        build(partial(rows, CORPUS), tmp_path / "made")


def test_what_somebody_else_has_put_there_stays(tmp_path: Path) -> None:
    (tmp_path / "made.part").mkdir()
    (tmp_path / "made.part" / "thesis.txt").write_text("all of it")
    with pytest.raises(RunFolderError, match=r"made\.part holds thesis\.txt, which no build has written; move it away"):
        build(partial(rows, CORPUS), tmp_path / "made")
    assert (tmp_path / "made.part" / "thesis.txt").read_text() == "all of it"


def test_two_builds_do_not_write_into_one_folder(tmp_path: Path) -> None:
    def rows_and_another_build() -> Iterator[Row]:
        yield from rows(CORPUS)
        with pytest.raises(RunFolderError, match="is being written by another process"):
            build(partial(rows, CORPUS[:1]), tmp_path / "made")

    assert build(rows_and_another_build, tmp_path / "made").passages == len(CORPUS)
    assert verify(tmp_path / "made").passages == len(CORPUS)


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(RunFolderError, match=r"cannot write .*made: No space left on device; nothing of it is left"):
        build(partial(rows, CORPUS), tmp_path / "made")
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_while_embeddings_are_written_is_said(tmp_path: Path) -> None:
    """On a small disk of its own, where the machine lets us have one."""
    script = tmp_path / "build.py"
    script.write_text(
        "from functools import partial; from pathlib import Path\n"
        "from corpora import HashEncoder, passages, rows; from swirl.errors import RunFolderError\n"
        "from swirl.retrieval.index import build\n"
        "corpus = passages([('', f'harbour{place}') for place in range(3000)])\n"
        "try:\n"
        "    build(partial(rows, corpus), Path('disk/made'), engine='dense', encoder=HashEncoder())\n"
        "except RunFolderError as error:\n"
        "    print(error, list(Path('disk').iterdir()))\n"
    )
    (tmp_path / "disk").mkdir()
    mount = "mount -t tmpfs -o size=360k tmpfs disk"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], cwd=tmp_path, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a disk")
    command = ["unshare", "-rm", "sh", "-c", f"{mount} && exec {sys.executable} build.py"]
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": path}
    )
    assert "cannot write disk/made: No space left on device; nothing of it is left" in done.stdout
    assert done.stdout.endswith("[]\n")


def test_postings_and_embeddings_are_mapped_and_not_read_into_memory(made: Path) -> None:
    def lies_in_a_file(array: np.ndarray) -> bool:
        return isinstance(array, np.memmap) or (array.base is not None and lies_in_a_file(array.base))

    words, meaning = open_index(made, "bm25", encoder), open_index(made, "dense", encoder)
    assert isinstance(words, Bm25)
    assert isinstance(meaning, Dense)
    assert isinstance(words.corpus, Stored)
    mapped = [*words.postings, meaning.embeddings_ND, *words.corpus.arrays]
    assert len(mapped) == 8
    assert all(lies_in_a_file(array) for array in mapped)


def test_the_corpus_is_read_once_and_its_words_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[str] = []
    index = bm25.index
    monkeypatch.setattr(bm25, "index", lambda *given: passes.append("words") or index(*given))
    build(lambda: passes.append("rows") or rows(CORPUS), tmp_path / "made")
    assert passes == ["rows", "words"]


def test_ids_with_equal_hashes_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swirl.retrieval.passages.hashed", lambda name: np.uint64(7))
    build(partial(rows, CORPUS), tmp_path / "made")
    stored = Stored(tmp_path / "made")
    assert [stored.place(name) for name in ("p3", "p1", "p2", "p9")] == [2, 0, 1, None]


def test_hybrid_refuses_only_what_both_refuse(made: Path) -> None:
    words, both = (
        open_index(made, engine, encoder).retrieve(["the", " "], 3, [(), ()]) for engine in ("bm25", "hybrid")
    )
    assert words == [None, None]
    assert both[1] is None
    assert sorted(names(both[0]) or []) == ["p1", "p2", "p3"]
