"""Several processes at one run's records: a shard has one writer, and readers see whole records (a minute of it: `make crash-test`)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from appending import appended, record
from swirl.errors import RunFolderError
from swirl.records import Appender, read, write_parts
from swirl.types import Trajectory


def test_readers_of_growing_shards_see_whole_records_alone_and_a_second_appender_is_refused(tmp_path: Path) -> None:
    found = appended(tmp_path, seconds=1.0)
    assert not found["problems"]
    assert found["records"] > 2
    assert found["passes"] >= 3


def test_a_writer_that_waited_for_a_file_which_was_replaced_writes_to_the_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opened = tmp_path / "trajectories.jsonl", os.open
    with Appender(path, Trajectory) as out:
        out.append([record(0, 0), record(0, 1)])

    def replaced_meanwhile(*words: object) -> int:
        file = opened(*words)  # type: ignore[arg-type]
        monkeypatch.setattr(os, "open", opened)
        lines = path.read_bytes().splitlines(keepends=True)
        write_parts(path, lines[::-1])
        return file

    monkeypatch.setattr(os, "open", replaced_meanwhile)
    with Appender(path, Trajectory) as out:
        out.append([record(0, 2)])
    assert list(read(path, Trajectory)) == [record(0, 1), record(0, 0), record(0, 2)]


def test_who_holds_a_file_may_replace_it_and_nobody_else_writes_to_it_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "trajectories.jsonl"
    code = f"from swirl.records import *; from swirl.types import *; Appender(Path({str(path)!r}), Trajectory)"
    with Appender(path, Trajectory) as out:
        out.append([record(0, 0)])
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "is being written by another process" in done.stderr
        with pytest.raises(RunFolderError):
            Appender(path, Trajectory)
    Appender(path, Trajectory).close()
