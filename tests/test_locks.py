"""The lock of a run folder: alone, or several that write a shard each."""

from collections.abc import Callable
from pathlib import Path

import pytest

from swirl import locks
from swirl.errors import RunFolderError
from swirl.locks import locked, shared


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.1)


def noting(ways: list[bool]) -> Callable[[bool], None]:
    return ways.append


def test_the_first_of_several_makes_a_folder_ready_and_the_others_find_it_so(tmp_path: Path) -> None:
    ways: list[bool] = []
    with shared(tmp_path, noting(ways)), shared(tmp_path, noting(ways)), shared(tmp_path, noting(ways)):
        assert ways == [True, False, False, False]
    with shared(tmp_path, noting(ways)):
        assert ways[4:] == [True, False]


def test_whoever_needs_a_folder_alone_waits_for_all_who_share_it_and_they_for_it(tmp_path: Path) -> None:
    with (
        shared(tmp_path, bool),
        pytest.raises(RunFolderError, match="in use by another swirl process"),
        locked(tmp_path),
    ):
        pass
    with (
        locked(tmp_path),
        pytest.raises(RunFolderError, match="in use by another swirl process"),
        shared(tmp_path, bool),
    ):
        pass
    with locked(tmp_path):
        pass


def test_nobody_comes_in_while_a_folder_is_made_ready(tmp_path: Path) -> None:
    def prepare(alone: bool) -> None:
        if not alone:
            return
        with pytest.raises(RunFolderError), shared(tmp_path, bool):
            pass

    with shared(tmp_path, prepare):
        pass


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunFolderError, match="found other files in it"), shared(tmp_path, bool):
        pass
