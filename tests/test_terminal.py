"""Progress where there is no terminal: plain lines, not too many."""

import re
from collections.abc import Iterator
from io import StringIO

import pytest
from rich.console import Console

from swirl import terminal
from swirl.terminal import busy, progress, results, say, table_of


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that is told; tests set it."""
    now = [0.0]
    monkeypatch.setattr(terminal, "monotonic", lambda: now[0])
    return now


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


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


def test_a_line_says_how_the_last_items_went(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress("train", total=3, unit="updates") as advance:
        for clock[0], note in ((10.0, "reward 0.20"), (40.0, "reward 0.50, 800 tokens/s")):
            advance(1, note)
    said = "train: 2 of 3 updates, 0:00:40 so far, about 0:00:20 to go; reward 0.50, 800 tokens/s"
    assert list(lines(capsys))[1:] == [said]


def test_a_bar_shows_how_the_last_items_went(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Console(file=StringIO(), force_terminal=True, width=160)
    monkeypatch.setattr(terminal, "console", lambda: shown)
    on_a_terminal(monkeypatch)
    with progress("train", total=2, unit="updates") as advance:
        advance(1, "reward [0.50], 800 tokens/s")
        advance(1, "reward [0.75], 900 tokens/s")
    assert "2/2" in shown.file.getvalue()
    assert "reward [0.75], 900 tokens/s" in shown.file.getvalue()


def test_on_a_narrow_terminal_the_bar_gives_way_and_every_figure_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Console(file=StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(terminal, "console", lambda: shown)
    on_a_terminal(monkeypatch)
    with progress("train (rloo)", total=1000, done=100, unit="updates") as advance:
        advance(1, "reward 0.89, 1,400 tokens/s")
    told = shown.file.getvalue()
    assert "…" not in told
    assert "101/1000" in told
    assert "reward 0.89, 1,400 tokens/s" in told


def test_on_a_very_narrow_terminal_how_far_it_is_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Console(file=StringIO(), force_terminal=True, width=44)
    monkeypatch.setattr(terminal, "console", lambda: shown)
    on_a_terminal(monkeypatch)
    with progress("evaluate (before)", total=1000, unit="answers") as advance:
        advance(100)
    told = re.sub(r"\x1b\[[\d;?]*\w", "", shown.file.getvalue())
    assert "evaluate (before)  100/1000 0:00:00" in told
    assert "…" not in told


def test_what_is_said_beside_a_bar_stands_in_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Console(file=StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(terminal, "console", lambda: shown)
    on_a_terminal(monkeypatch)
    with progress("judge", total=2, unit="verdicts") as advance:
        advance(1)
        say("3 verdicts are missing")
    told = re.sub(r"\x1b\[[\d;?]*\w", "", shown.file.getvalue())
    assert "3 verdicts are missing" in re.split(r"[\r\n]+", told)


def test_what_has_no_measure_is_shown_on_a_terminal_alone_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with busy("load the model"):
        assert not list(lines(capsys))
    shown = Console(file=StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(terminal, "console", lambda: shown)
    on_a_terminal(monkeypatch)
    for quiet in (("NO_COLOR", "1"), ("TERM", "dumb")):
        with busy("load the model"):
            assert "load the model" in shown.file.getvalue()
        shown.file.truncate(0)
        with monkeypatch.context() as patched:
            patched.setenv(*quiet)
            with busy("load the model"):
                assert "load the model" not in shown.file.getvalue()
    with busy("load the model"):
        pass
    assert shown.file.getvalue().endswith("\x1b[2K"), "its line is cleared"


def test_within_a_bar_nothing_else_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Console(file=StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(terminal, "console", lambda: shown)
    on_a_terminal(monkeypatch)
    with progress("evaluate", total=2), busy("load the model"):
        pass
    assert "load the model" not in shown.file.getvalue()


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


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_a_table_hides_no_figure_and_no_name_however_narrow_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = [("arithmetic", "24", "13.7–69.4", "100.0", "1,234,567"), ("all of these", "48", "27.0–53.7", "99.9", "7")]
    results().print(table_of(("task", "graded", "95 %", "right of kept %", "trajectories"), rows))
    said = capsys.readouterr().out
    for shown in ("arithmetic", "13.7–69.4", "100.0", "1,234,567", "99.9", "graded", "trajectories"):
        assert shown in said
    assert "…" not in said
    assert columns < 60 or "right of kept %" in said, "nothing is wrapped where there is room"
