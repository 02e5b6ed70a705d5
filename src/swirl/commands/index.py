"""`swirl index`: a corpus on disk, for search."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from swirl.catalog import open_encoder
from swirl.commands.words import Command, parse, take
from swirl.errors import ConfigError
from swirl.retrieval import Engine
from swirl.retrieval.sources import count, read_corpus

if TYPE_CHECKING:
    from swirl.retrieval.index import Manifest


@dataclass(frozen=True, kw_only=True)
class IndexCommand:
    """Make an index of a corpus on disk, for search.index; or check one.

    CORPUS is a file of passages with id, title and text (JSON lines, JSON or Parquet; gzip is read too), or a data set of the hub. The
    index is mapped into memory, and every byte of it is checked when it is opened.

    Example: swirl index passages.jsonl.gz --out indexes/mine
    """

    out: Path = Path("CORPUS.index")
    """The folder to make."""
    engine: Engine = "bm25"
    """bm25, dense, or hybrid, which can be searched by both."""
    encoder: str = ""
    """For dense and hybrid: a sentence-embedding model, a folder or a hub id."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the encoder runs."""
    split: str = "train"
    """Of a data set of the hub: the split that holds the passages."""
    verify: bool = False
    """CORPUS is an index: check every byte of it, and say what is in it."""

    def __post_init__(self) -> None:
        if self.engine == "bm25" and self.encoder:
            raise ConfigError("--encoder is for --engine dense or hybrid; add one of them, or leave it out")
        if self.engine != "bm25" and not self.encoder:
            raise ConfigError(
                f"--engine {self.engine} needs --encoder, a sentence-embedding model: a folder or a hub id"
            )


def _index(name: str, words: Sequence[str]) -> None:
    usage = "index CORPUS"
    source, flags = take(words, usage)
    out = Path(f"{Path(source).name.split('.')[0] or 'CORPUS'}.index")
    command = parse(usage, flags, IndexCommand(out=out))
    from swirl.retrieval import index

    if command.verify:
        return _whole(Path(source).expanduser(), index.verify(Path(source).expanduser()))
    made = index.build(
        read_corpus(source, command.split),
        command.out,
        engine=command.engine,
        encoder=open_encoder(command.encoder, command.device) if command.encoder else None,
        model=command.encoder,
        expected=count(source),
    )
    _whole(command.out, made)


def _whole(folder: Path, made: "Manifest") -> None:
    print(f"{folder}: {made.passages:,} passages, {made.bytes / 1e6:,.1f} MB, for search.engine {made.engine}; whole")


COMMANDS = {"index": Command(IndexCommand, _index)}
