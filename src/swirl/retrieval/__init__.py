"""What finds passages: a `Retriever` answers queries in batches, over a corpus in memory, an index on disk, or a service elsewhere.

This file is what the corner is told and what it tells. Not here: what of the found passages a policy is shown (`swirl.tools.search`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from swirl.errors import ConfigError
from swirl.types import Passage

Engine = Literal["bm25", "dense", "hybrid"]
Scope = Literal["task", "corpus", "question"]
_SECRET = re.compile(r"key|token|secret|passw|auth|signature", re.IGNORECASE)
"""In the name of a parameter: its value is nobody's business."""


class Hit(NamedTuple):
    """A passage that was found, and how well it fits; scores of different retrievers have nothing in common."""

    passage: Passage
    score: float


@runtime_checkable
class Retriever(Protocol):
    """Something that finds passages."""

    def retrieve(self, queries: Sequence[str], k: int, scopes: Sequence[tuple[str, ...]]) -> list[list[Hit] | None]:
        """For each query its best `k` passages at most, best first; an empty list where nothing fits, None where the query holds nothing
        to search for. A scope of ids restricts its query to these passages; an empty one does not. Equal calls give equal results."""
        ...


@runtime_checkable
class Encoder(Protocol):
    """Texts as vectors, such that a query is close to the passages that answer it."""

    name: str
    """`<model>@<hash of its weights>`: vectors of encoders with different hashes cannot be compared."""

    def encode(self, texts: Sequence[str], *, queries: bool) -> np.ndarray:
        """One row of length 1 a text, in single precision; `queries` says that the texts are these, and not passages."""
        ...


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How the search tool finds passages, and what it shows of them."""

    engine: Engine = "bm25"
    """bm25 (words), dense (sentence embeddings), or hybrid (both, fused by their ranks)."""
    index: str = ""
    """A folder made by `swirl index`; empty: the task's own passages, indexed in memory."""
    url: str = ""
    """A running retriever that speaks Search-R1's protocol, e.g. http://127.0.0.1:8000/retrieve, in place of an index; $NAME in it is read
    from the environment, for what must not be written down."""
    encoder: str = ""
    """For dense and hybrid: a sentence-embedding model, a folder or a hub id; empty: the one that the index was made with."""
    top_k: int = 1
    """Passages a call shows at most; the paper shows one."""
    scope: Scope = "task"
    """question (a search sees the question's own passages alone, where it has some), corpus (all of them), or task (as the task says)."""
    max_tokens: int = 512
    """Most tokens of a call's result; passages are cut after a sentence, and keep their titles."""
    timeout: float = 30.0
    """Seconds to wait for the service at `search.url`."""
    retries: int = 4
    """How often the service is asked again when it fails, after longer and longer waits."""

    def __post_init__(self) -> None:
        for name in ("top_k", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"search.{name} must be at least 1, found {getattr(self, name)}")
        if self.timeout <= 0 or self.retries < 0:
            raise ConfigError(
                f"search.timeout must be above 0 and search.retries 0 or above, found {self.timeout} and {self.retries}"
            )
        if self.url:
            self._require_service()
        elif self.engine == "bm25" and self.encoder:
            raise ConfigError(
                'search.encoder is for search.engine = "dense" or "hybrid"; set one of them, or leave it out'
            )
        elif self.engine != "bm25" and not (self.encoder or self.index):
            raise ConfigError(
                f'search.engine = "{self.engine}" needs search.encoder, a sentence-embedding model (a folder or a hub id),'
                " or a search.index that was made with one"
            )

    def _require_service(self) -> None:
        """What a service decides by itself cannot be set beside it."""
        try:
            parts = urlsplit(self.url)
        except ValueError as error:
            raise ConfigError(
                f"search.url is no address ({error}); expected one such as http://127.0.0.1:8000/retrieve"
            ) from error
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ConfigError(
                "search.url must begin with http:// or https:// and a host, e.g. http://127.0.0.1:8000/retrieve"
            )
        secret = parts.password or parts.username
        if secret and not re.fullmatch(r"\$\w+", secret):
            raise ConfigError(
                "search.url holds a password or a token, which would be written into the run folder; name an environment variable instead:"
                " https://USER:$NAME@HOST/..."
            )
        told = [name for name, value in parse_qsl(parts.query) if _SECRET.search(name) and not value.startswith("$")]
        if told:
            raise ConfigError(
                f"search.url holds a value for {told[0]!r}, which would be written into the run folder; name an environment variable "
                f"instead: ?{told[0]}=$NAME"
            )
        other = [name for name in ("index", "encoder") if getattr(self, name)]
        other += ["engine"] if self.engine != "bm25" else []
        if other:
            raise ConfigError(
                f"search.url: the service decides how it searches, and in what; leave search.{other[0]} out"
            )
        if self.scope == "question":
            raise ConfigError(
                'search.scope = "question" needs a corpus at hand: a service at search.url searches all of its own'
            )
