"""An index on disk, made by `swirl index`: mapped into memory, so that a large corpus takes little of it, and opens at once.

    DIR/
      manifest.json        what is in it, how it was made, and the hash of every file
      passages.jsonl, starts.npy, id_hashes.npy, id_places.npy            the corpus (`swirl.retrieval.passages`)
      bm25_shares.npy, bm25_places.npy, bm25_starts.npy, bm25_stems.json  for bm25 and hybrid
      dense.npy, dense.faiss                                              for dense and hybrid; the graph where there is one

A folder is written whole or not at all. Opening it hashes every byte: over a gigabyte a second, without keeping any of it.
"""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from itertools import chain
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from swirl.errors import ConfigError, RecordError, RunFolderError
from swirl.folders import whole
from swirl.records import read_document, write_json
from swirl.retrieval import Encoder, Engine, Retriever, bm25, dense
from swirl.retrieval.bm25 import Bm25, Postings
from swirl.retrieval.dense import Dense
from swirl.retrieval.hybrid import Hybrid
from swirl.retrieval.passages import FILES, Stored, mapped, write
from swirl.retrieval.words import Reading, Words
from swirl.rows import Row
from swirl.terminal import Advance, progress, say
from swirl.types import Passage

MANIFEST = "manifest.json"
_SHARES, _PLACES, _STARTS, _STEMS = "bm25_shares.npy", "bm25_places.npy", "bm25_starts.npy", "bm25_stems.json"
_EMBEDDINGS, _GRAPH = "dense.npy", "dense.faiss"
_WRITTEN = {*FILES, _SHARES, _PLACES, _STARTS, _STEMS, _EMBEDDINGS, _GRAPH, MANIFEST, f"{MANIFEST}.part"}


class File(Struct, frozen=True, forbid_unknown_fields=True):
    """What a file of an index has to be."""

    bytes: int
    sha256: str


class Weighing(Struct, frozen=True, forbid_unknown_fields=True):
    """How BM25 weighs words."""

    method: str = bm25.METHOD
    k1: float = bm25.K1
    b: float = bm25.B


class Manifest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="swirl.index/1", tag_field="schema"):
    """What an index is, and how it was made."""

    passages: int
    engine: Engine
    """What it can be searched by; hybrid: by either alone as well."""
    reading: Reading | None = None
    """How texts become words: the tokeniser, stemmer, stop words and fields of bm25."""
    weighing: Weighing | None = None
    encoder: str = ""
    """Name of what made the embeddings, with a hash of its weights."""
    model: str = ""
    """Where that was found: a folder or a hub id."""
    versions: dict[str, str]
    files: dict[str, File]
    digest: str = ""
    """SHA-256 of all the above."""

    def sealed(self) -> "Manifest":
        """With its digest."""
        bare = msgspec.structs.replace(self, digest="")
        return msgspec.structs.replace(self, digest=hashlib.sha256(msgspec.json.encode(bare)).hexdigest())

    @property
    def bytes(self) -> int:
        """The size of the files."""
        return sum(file.bytes for file in self.files.values())


def build(
    rows: Callable[[], Iterator[Row]],
    out: Path,
    *,
    engine: Engine = "bm25",
    encoder: Encoder | None = None,
    model: str = "",
    expected: int = 0,
) -> Manifest:
    """Make the index of a corpus. `expected` rows are waited for, where it is known. Raises as `swirl.retrieval.passages.write` does,
    and `RunFolderError` where `out` is there already, or cannot be written."""
    if out.exists():
        raise RunFolderError(f"{out} is there already; delete it, or choose another --out")
    with whole(out, _WRITTEN.__contains__) as part:
        with progress("read", expected, unit="passages") as advance:
            num_passages = write(rows, part, advance)
        if engine != "dense":
            _index_words(part)
        if engine != "bm25":
            assert encoder is not None, "dense and hybrid need an encoder"
            _index_meaning(part, encoder)
        files = {path.name: _file(path) for path in sorted(part.iterdir())}
        manifest = Manifest(
            passages=num_passages,
            engine=engine,
            reading=None if engine == "dense" else Reading(),
            weighing=None if engine == "dense" else Weighing(),
            encoder=encoder.name if encoder and engine != "bm25" else "",
            model=model if engine != "bm25" else "",
            versions={name: metadata.version(name) for name in ("swirl-rl", "bm25s", "PyStemmer", "numpy")},
            files=files,
        ).sealed()
        write_json(part / MANIFEST, manifest)
    return manifest


def _index_words(part: Path) -> None:
    corpus, words = Stored(part), Words(Reading())
    with progress("words", len(corpus), unit="passages") as advance:
        passages = _told(corpus, advance)
        postings = bm25.index(passages, words)
    for name, array in zip((_SHARES, _PLACES, _STARTS), postings, strict=True):
        np.save(part / name, array)
    (part / _STEMS).write_bytes(msgspec.json.encode(list(words.numbers)))


def _told(corpus: Stored, advance: Advance) -> Iterator[Passage]:
    for place in range(len(corpus)):
        yield corpus[place]
        advance(1)


def _index_meaning(part: Path, encoder: Encoder) -> None:
    corpus = Stored(part)
    with progress("embed", len(corpus), unit="passages") as advance, (part / _EMBEDDINGS).open("wb") as file:
        batches = dense.embedded(corpus, encoder, advance)
        first_BD = next(batches)
        shape = (len(corpus), first_BD.shape[1])
        # written, not mapped: a disk that fills up is an error here, and would be a signal there
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for batch_BD in chain([first_BD], batches):
            file.write(batch_BD.astype("<f4").tobytes())
    if len(corpus) > dense.EXACT and dense.has_faiss():
        say(f"graph: faiss reads {len(corpus):,} embeddings; this may take a while")
        dense.make_graph(mapped(part / _EMBEDDINGS), part / _GRAPH)


def _file(path: Path) -> File:
    with path.open("rb") as file:
        return File(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def read_manifest(folder: Path) -> Manifest:
    """What an index says of itself."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ConfigError(
            f"expected an index at {folder}, found no {MANIFEST} in it; make one: swirl index CORPUS --out {folder}"
        )
    manifest = read_document(path, Manifest, f"swirl index CORPUS --out {folder}")
    if manifest != manifest.sealed() or not _needed(manifest) <= set(manifest.files) <= _WRITTEN:
        raise RecordError(f"{path}: it is not what `swirl index` wrote (its digest differs); make the index again")
    return manifest


def _needed(manifest: Manifest) -> set[str]:
    """The files without which an index cannot be opened."""
    words = () if manifest.engine == "dense" else (_SHARES, _PLACES, _STARTS, _STEMS)
    return {*FILES, *words, *(() if manifest.engine == "bm25" else (_EMBEDDINGS,))}


def verify(folder: Path) -> Manifest:
    """Raise `RecordError` where a file of an index is not, to the byte, what it was when it was made."""
    manifest = read_manifest(folder)
    for name, file in manifest.files.items():
        size = (folder / name).stat().st_size if (folder / name).is_file() else None
        if size != file.bytes:
            found = "no such file" if size is None else f"{size:,}"
            raise RecordError(
                f"{folder / name}: expected {file.bytes:,} bytes, found {found}; copy or make the index again"
            )
    with ThreadPoolExecutor(2) as pool:
        read = pool.map(lambda name: _file(folder / name), manifest.files)
        changed = [name for name, now in zip(manifest.files, read, strict=True) if now != manifest.files[name]]
    if changed:
        raise RecordError(
            f"{folder / changed[0]}: its content has changed since the index was made; copy or make it again"
        )
    return manifest


def open_index(folder: Path, engine: Engine, encoder: Callable[[str], Encoder]) -> Retriever:
    """The retriever over an index, every byte of it checked. `encoder` makes the one whose name or place it is given.

    Raises `ConfigError` for what is no index, or not one for this engine; `RecordError` for one that is damaged.
    """
    manifest = read_manifest(folder)
    if manifest.engine not in (engine, "hybrid"):
        raise ConfigError(
            f'{folder} is an index for search.engine = "{manifest.engine}", and "{engine}" was asked for; make another: '
            f"swirl index CORPUS --engine {engine} --out DIR"
        )
    verify(folder)
    corpus = Stored(folder)
    parts: dict[str, Callable[[], Retriever]] = {
        "bm25": lambda: _bm25(folder, corpus, manifest),
        "dense": lambda: _dense(folder, corpus, manifest, encoder),
    }
    if engine == "hybrid":
        return Hybrid([make() for make in parts.values()])
    return parts[engine]()


def _bm25(folder: Path, corpus: Stored, manifest: Manifest) -> Bm25:
    assert manifest.reading is not None
    stems = msgspec.json.decode((folder / _STEMS).read_bytes(), type=list[str])
    words = Words(manifest.reading, {stem: number for number, stem in enumerate(stems)})
    return Bm25(corpus, words, Postings(*(mapped(folder / name) for name in (_SHARES, _PLACES, _STARTS))))


def _dense(folder: Path, corpus: Stored, manifest: Manifest, encoder: Callable[[str], Encoder]) -> Dense:
    made = encoder(manifest.model)
    if made.name.rpartition("@")[2] != manifest.encoder.rpartition("@")[2]:  # a copy may have another name
        raise ConfigError(
            f"{folder} was made with the encoder {manifest.encoder}, and {made.name} would read the queries: their embeddings cannot be"
            " compared; set search.encoder to the one that made it, or make the index again"
        )
    graph = dense.open_graph(folder / _GRAPH) if _GRAPH in manifest.files else None
    return Dense(corpus, mapped(folder / _EMBEDDINGS), made, graph)
