"""What a search tool searches, told by its contents: two corpora are one where their passages are equal, wherever they lie."""

from urllib.parse import urlsplit

from swirl.retrieval import Retriever
from swirl.retrieval.bm25 import Bm25
from swirl.retrieval.dense import Dense
from swirl.retrieval.hybrid import Hybrid
from swirl.retrieval.index import read_manifest
from swirl.retrieval.passages import Corpus, Listed, Stored
from swirl.retrieval.remote import Remote


def contents(retriever: Retriever) -> str:
    """How a retriever searches, and the first digits of a SHA-256 of what; of a service only where it is.

    >>> from swirl.types import Passage
    >>> contents(Bm25.of([Passage("p1", "Port Lumen", "A harbour town.")]))
    'bm25 over 1 passages 30beef4d8a47'
    """
    match retriever:
        case Bm25():
            return f"bm25 over {_digest(retriever.corpus)}"
        case Dense():
            return f"embeddings by {retriever.encoder.name} over {_digest(retriever.corpus)}"
        case Hybrid():
            return " and ".join(map(contents, retriever.retrievers))
        case Remote():
            return f"a service at {urlsplit(retriever.name).hostname}, contents unknown"
    return f"{type(retriever).__name__}, contents unknown"


def _digest(corpus: Corpus) -> str:
    """Of an index on disk the hash that it knows; of passages in memory one over them all."""
    match corpus:
        case Stored():
            return f"{len(corpus)} passages, index {read_manifest(corpus.folder).digest[:12]}"
        case Listed():
            return f"{len(corpus)} passages {corpus.digest[:12]}"
    return f"{len(corpus)} passages, contents unknown"
