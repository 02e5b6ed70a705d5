"""Progress where there is no terminal: plain lines, not too many."""

from collections.abc import Iterator

import pytest

from swirl import terminal
from swirl.terminal import progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that is told; tests set it."""
    now = [0.0]
    monkeypatch.setattr(terminal, "monotonic", lambda: now[0])
    return now


def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[str]:
    yield from capsys.readouterr().err.splitlines()


def test_a_line_now_and_then_says_how_far_it_is(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress("generate", total=10, done=2, unit="trajectories") as advance:
        for clock[0], count in ((10.0, 1), (40.0, 1), (50.0, 0), (80.0, 0), (90.0, 1)):
            advance(count)
    assert list(lines(capsys)) == [
        "generate: 8 trajectories, 2 were there already",
        "generate: 4 of 10 trajectories, 0:00:40 so far, about 0:02:00 to go",
        "generate: 5 of 10 trajectories, 0:01:30 so far, about 0:02:30 to go",
    ]


def test_nothing_is_said_before_the_first_is_done_or_after_the_last(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("train", total=1, unit="updates") as advance:
        for clock[0], count in ((100.0, 0), (200.0, 1)):
            advance(count)
    assert list(lines(capsys)) == ["train: 1 updates"]


def test_what_is_there_already_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("train", total=3, done=3) as advance:
        advance(1)
    assert not list(lines(capsys))
