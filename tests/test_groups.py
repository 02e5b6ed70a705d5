"""Records written in groups: all of them, in order, however the writer is left, and no faster than the disk."""

from collections.abc import Iterable, Sequence
from itertools import repeat
from pathlib import Path
from threading import Event

import pytest

from swirl.errors import RunFolderError
from swirl.records import Appender, read
from swirl.stages.groups import Groups
from swirl.types import JudgedStep, Verdict

STEPS = [JudgedStep(trajectory="q/0", step=step, judge="rule", verdict=Verdict(1.0)) for step in range(200)]


class Gated(Appender[JudgedStep]):
    """An appender whose disk is slow, or full."""

    def __init__(self, path: Path, full_after: int = 1000) -> None:
        super().__init__(path, JudgedStep)
        self.gate = Event()
        self.sizes: list[int] = []
        self._full_after = full_after

    def append(self, records: Sequence[JudgedStep]) -> None:
        assert self.gate.wait(timeout=60)
        if len(self.sizes) >= self._full_after:
            raise RunFolderError("no space left")
        super().append(records)
        self.sizes.append(len(records))


def test_what_comes_while_the_disk_is_busy_is_one_group(tmp_path: Path) -> None:
    with Gated(tmp_path / "verdicts.jsonl") as out:
        with Groups(out) as groups:
            for step in STEPS:
                groups.put(step)
            out.gate.set()
        assert list(read(out.path, JudgedStep)) == STEPS
        assert sum(out.sizes) == len(STEPS)
        assert len(out.sizes) <= 3, "what was taken first, what came meanwhile, and nothing at the end"


def put(out: Appender[JudgedStep], steps: Iterable[JudgedStep], error: type[BaseException] | None = None) -> None:
    with Groups(out) as groups:
        for step in steps:
            groups.put(step)
        if error:
            raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_was_put_is_written_when_the_work_is_broken_off(error: type[BaseException], tmp_path: Path) -> None:
    with Appender(tmp_path / "verdicts.jsonl", JudgedStep) as out, pytest.raises(error):
        put(out, STEPS, error)
    assert list(read(out.path, JudgedStep)) == STEPS


def test_ctrl_c_while_the_last_group_is_written_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the file would be closed, and its number go to another file, under the thread that writes."""
    with Gated(tmp_path / "verdicts.jsonl") as out:
        groups = Groups(out)
        join, pressed = groups._thread.join, []

        def interrupted() -> None:
            if not pressed:
                pressed.append(True)
                raise KeyboardInterrupt
            out.gate.set()
            join()

        monkeypatch.setattr(groups._thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt), groups:
            groups.put(STEPS[0])
        assert list(read(out.path, JudgedStep)) == STEPS[:1]
        out.gate.set()


@pytest.mark.parametrize("steps", [STEPS[:1], repeat(STEPS[0])], ids=["at the end", "while more comes"])
def test_a_full_disk_is_told(steps: Iterable[JudgedStep], tmp_path: Path) -> None:
    with Gated(tmp_path / "verdicts.jsonl", full_after=0) as out:
        out.gate.set()
        with pytest.raises(RunFolderError, match="no space left"):
            put(out, steps)
