"""Work spread over processes: the same results in the same order, and how it ends when it does not go well."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import active_children
from pathlib import Path

import pytest

from killing import hear_ctrl_c
from swirl.errors import ConfigError, ServiceFailure, WorkerError
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.workers import Advance, cores, spread

Work = Callable[[int, Advance], int]


def square(task: int, advance: Advance) -> int:
    time.sleep(0.02 * (task % 3))
    advance(1)
    return task * task


def here(task: int, advance: Advance) -> int:
    return os.getpid()


def fail(folder: Path, task: int, advance: Advance) -> int:
    if task == 1:
        raise ConfigError("no such thing")
    time.sleep(60)
    (folder / "it went on").touch()
    return task


def fail_as_a_service(task: int, advance: Advance) -> int:
    raise ServiceFailure(f"no answer to {task}", "timed_out")


def die(task: int, advance: Advance) -> int:
    os._exit(9)


def all_of(work: Work, count: int, workers: int) -> tuple[list[int], list[int]]:
    told: list[int] = []
    found = list(spread(work, list(range(count)), workers, advance=told.append, size=lambda task: 1))
    return found, told


def test_results_come_in_order_however_many_processes_there_are() -> None:
    one, two = all_of(square, 7, 1), all_of(square, 7, 2)
    assert one == two == ([0, 1, 4, 9, 16, 25, 36], [1] * 7)


def test_one_process_or_one_task_is_worked_on_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all_of(here, 1, 8)[0] == all_of(here, 1, 0)[0] == [os.getpid()]
    assert set(all_of(here, 3, 1)[0]) == {os.getpid()}
    assert all_of(here, 0, 2) == ([], [])
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert set(all_of(here, 3, 2)[0]) == {os.getpid()}, "each of torchrun's processes has a core of its own already"


def test_several_processes_are_others_than_this_one_and_end_with_the_work() -> None:
    others = set(active_children())
    found = all_of(here, 4, 2)[0]
    assert os.getpid() not in found
    assert len(set(found)) <= 2
    assert set(active_children()) <= others


def test_an_error_of_a_worker_is_raised_as_it_is_and_ends_the_others(tmp_path: Path) -> None:
    start, others = time.monotonic(), set(active_children())
    with pytest.raises(ConfigError, match="no such thing"):
        all_of(partial(fail, tmp_path), 3, 2)
    assert set(active_children()) <= others
    assert time.monotonic() - start < 55, "the other was not waited for"
    with pytest.raises(ServiceFailure, match=r"no answer to [01]") as caught:
        all_of(fail_as_a_service, 2, 2)
    assert caught.value.fault == "timed_out"


def test_a_worker_that_is_killed_is_one_sentence() -> None:
    with pytest.raises(WorkerError, match=r"a worker process ended before its work was done: .*--workers"):
        all_of(die, 2, 2)


def test_a_number_of_cores_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    assert cores() == 8


SLOW = """
import sys, time
from swirl.cli import main
from swirl.workers import spread
from swirl import stages

def work(task, advance):
    print("begun", flush=True)
    time.sleep(60)

def stage(*args, **kwargs):
    list(spread(work, [1, 2, 3], 2, advance=lambda count: None, size=lambda task: 1))

if __name__ == "__main__":
    stages.run_stage = stage
    sys.exit(main(["judge", sys.argv[1]]))
"""


def begun(folder: Path) -> "subprocess.Popen[str]":
    """A stage with two processes at work."""
    Run.create(folder / "run", RunConfig())
    (folder / "slow.py").write_text(SLOW)
    process = subprocess.Popen(
        [sys.executable, str(folder / "slow.py"), str(folder / "run")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_ctrl_c,
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["begun\n"] * 2
    return process


def test_ctrl_c_ends_all_processes_with_one_sentence(tmp_path: Path) -> None:
    process = begun(tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    complaint = process.communicate(timeout=50)[1]
    assert complaint == "stopped; everything finished so far is kept, and the same command goes on from there\n"
    assert process.returncode == 130
    assert gone(process.pid)


def test_no_process_outlives_the_one_that_started_it(tmp_path: Path) -> None:
    process = begun(tmp_path)
    process.kill()
    process.wait(timeout=50)
    ended = gone(process.pid)
    if not ended:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=50)
    assert ended, "it would hold its shard against the command that goes on"


def gone(group: int) -> bool:
    """Whether all processes of a group have ended, which takes the last of them a moment."""
    for _ in range(500):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False
