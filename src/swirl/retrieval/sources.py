"""Where a corpus comes from: files that people bring, and data sets of the Hugging Face hub, row by row."""

import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from swirl.errors import ConfigError, MissingExtra, RecordError
from swirl.rows import Row, read_rows
from swirl.types import Passage

_QUOTED = re.compile('"(.*)"')
_ENDINGS = (".jsonl", ".json", ".parquet", ".gz")


def passage(row: Row, position: int) -> Passage:
    """A row of a corpus: `id` (or `_id`; its position where there is none), `title` (may be left out) and `text`, or Search-R1's
    `contents` in place of both.

    >>> passage(Row("wiki.jsonl:1", {"id": "0", "contents": '"Port Lumen"\\nA harbour town.'}), 0)
    Passage(id='0', title='Port Lumen', text='A harbour town.')
    """
    fields = row.fields
    name = fields.get("id", fields.get("_id", position))
    if isinstance(name, bool) or not isinstance(name, str | int) or not str(name).strip():
        raise RecordError(f"{row.place}: field id: expected a text or a number, found {name!r:.60}")
    if fields.get("text") is None and isinstance(fields.get("contents"), str):
        return Passage(str(name).strip(), *titled(row.text("contents")))
    title = fields.get("title")
    if title is not None and not isinstance(title, str):
        raise RecordError(f"{row.place}: field title: expected a text, found {title!r:.60}")
    return Passage(str(name).strip(), (title or "").strip(), row.text("text"))


def titled(contents: str) -> tuple[str, str]:
    """The title and the text of Search-R1's `contents`: the title in quotes on the first line. Quotes of the title's own stay.

    >>> titled('"Port Lumen"\\nA harbour town.')
    ('Port Lumen', 'A harbour town.')
    """
    first, _, rest = contents.partition("\n")
    if not rest.strip():
        return "", contents.strip()
    quoted = _QUOTED.fullmatch(first.strip())
    return (quoted[1] if quoted else first).strip(), rest.strip()


def read_corpus(source: str, split: str = "train") -> Callable[[], Iterator[Row]]:
    """What gives a corpus's rows, from the first each time: a file (`swirl.rows.read_rows`), or else a data set of the hub, or a folder
    that `datasets` can read."""
    path = Path(source).expanduser()
    if path.is_file():
        return partial(read_rows, path)
    if path.is_dir():
        return partial(_data_set, str(path), split)
    if source.endswith(_ENDINGS) or source.startswith((".", "/", "~")):
        raise ConfigError(
            f"expected a corpus at {source}, found nothing there; name a file of JSON lines, JSON or Parquet, or a data set of the hub"
        )
    return partial(_data_set, source, split)


def _data_set(name: str, split: str) -> Iterator[Row]:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra(
            f"reading the data set {name} needs the package datasets: pip install 'swirl-rl[hub]'; or name a file of rows"
        ) from error
    try:
        rows = datasets.load_dataset(name, split=split, streaming=True)
        for position, row in enumerate(rows, start=1):
            yield Row(f"{name}, {split}, row {position}", dict(row))
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"cannot read the data set {name} ({reason}); name a file of rows instead") from error


def count(source: str) -> int:
    """How many rows a file of JSON lines has, for those who wait; 0 where only reading it would tell."""
    path = Path(source).expanduser()
    if not path.is_file() or not path.name.removesuffix(".gz").endswith(".jsonl"):
        return 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(partial(file.read, 1 << 20), b""))
    except (EOFError, OSError, zlib.error):  # whoever reads the rows will say what is wrong
        return 0
