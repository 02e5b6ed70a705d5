"""Where the data sets that people publish come from: a folder on this machine, or the Hugging Face hub through `datasets`."""

import os
from collections.abc import Iterator
from pathlib import Path

from swirl.errors import ConfigError, MissingExtra
from swirl.rows import Row


def default_location(folder: str, hub_id: str) -> str:
    """The data set's folder in the one that the environment variable SWIRL_DATA names, where it is there; else its hub id."""
    data = os.environ.get("SWIRL_DATA")
    path = Path(data or "", folder).expanduser()
    return str(path) if data and path.is_dir() else hub_id


def is_path(location: str) -> bool:
    """Whether a location is of this machine, there or not; a hub id is not.

    >>> [is_path(location) for location in ("./mine", "/data/hotpotqa", "dev.json", "hotpotqa/hotpot_qa")]
    [True, True, True, False]
    """
    path = Path(location).expanduser()
    written = location.startswith((".", "~")) or path.is_absolute()
    return written or path.suffix in (".json", ".jsonl", ".gz", ".parquet") or path.exists()


def hub_rows(name: str, configuration: str | None, split: str, task: str) -> Iterator[Row]:
    """Rows of a split of a data set on the hub, or of a folder laid out like one there; `task` is for the complaint."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra(
            f"reading {name} from the Hugging Face hub needs the package datasets: pip install 'swirl-rl[hub]'; "
            f"or name a local folder: {task}:FOLDER"
        ) from error
    try:
        rows = datasets.load_dataset(name, configuration, split=split)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"cannot read {name} from the Hugging Face hub ({reason}); name a local folder instead: {task}:FOLDER"
        ) from error
    return (Row(f"{name}, {split}, row {place}", dict(row)) for place, row in enumerate(rows))
