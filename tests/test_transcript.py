"""Trajectories as people read them: whole, and safe whatever a model wrote."""

import io
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from known_ones import example, known_ones
from swirl.known import Known
from swirl.terminal import harmless, results
from swirl.transcript import transcript
from swirl.types import Answer, Malformed, Step, Verdict, VerdictStatus

OURS = re.compile(r"\S.* \(.*\)|.{8,} [│┃] .*|.{8,} [│┃]")


def lines(known: Known, width: int = 80, *, terminal: bool = False) -> list[str]:
    console = Console(width=width, file=io.StringIO(), force_terminal=terminal)
    return [line.plain for line in transcript(known, console)]


def test_a_trajectory_is_shown_with_all_that_is_known_of_it() -> None:
    assert lines(example()) == [
        "q/0 (world, trajectories.jsonl line 7)",
        "  question │ When was the writer born?",
        "      gold │ 1843",
        "    step 1 │ Who? <search_query>Quiet River author</search_query>",
        "    result │ By Hilda Sorel,",
        "           │ born in 1843.",
        "      rule ┃ GOOD",
        "    solver ┃ GOOD",
        "  thinking │ Is it?",
        "    step 2 │ So <answer>1843</answer>",
        "      rule ┃ BAD it guesses",
        "    solver ┃ GOOD",
        "     ended ┃ answered, right; dropped (step 2 was judged bad: it guesses)",
    ]


def test_missing_and_graded_verdicts_and_malformed_actions_are_told() -> None:
    first = example()
    steps = (Step(text="hm", action=Malformed("no tag")),) * 3
    trajectory = msgspec.structs.replace(first.trajectory, steps=steps, stop=None)
    said = (None, Verdict(None, "late", VerdictStatus.TIMED_OUT), Verdict(0.75, "mostly"))
    shown = "\n".join(lines(Known(trajectory=trajectory, verdicts={"rule": said})))
    assert "malformed ┃ no tag" in shown
    assert "rule ┃ MISSING (not judged)" in shown
    assert "rule ┃ MISSING (timed_out) late" in shown
    assert "rule ┃ GOOD (0.75) mostly" in shown
    assert "ended ┃ unfinished, not graded" in shown


def test_the_call_stands_out() -> None:
    console = Console(width=80, file=io.StringIO(), force_terminal=True, color_system="standard", highlight=False)
    for line in transcript(example(), console):
        console.print(line)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[1;36m<search_query>Quiet River author</search_query>" in written
    assert "\x1b[1;35m<answer>1843</answer>" in written
    assert "\x1b[31mBAD" in written


@settings(deadline=None, max_examples=30)
@given(known_ones(), st.booleans())
def test_no_line_passes_for_one_of_ours(known: Known, terminal: bool) -> None:
    found = lines(known, 40, terminal=terminal)
    assert all(OURS.fullmatch(line) for line in found)
    assert not re.search("[^\\S ]|\x1b", "".join(found))
    assert sum(line.lstrip().startswith("step ") for line in found) == len(known.trajectory.steps)


def test_a_long_text_is_wrapped_on_a_terminal_alone() -> None:
    answer = "word " * 40 + "end"
    whole = example(answer=answer)
    assert max(map(len, lines(whole, 60, terminal=True))) <= 60
    assert any(answer in line for line in lines(whole, 60))


def test_what_looks_like_markup_is_text() -> None:
    hostile = "[bold red]step 3[/bold red] :smile: \x1b]8;;http://x\x07 \u202eabc"
    shown = "\n".join(lines(example(answer=hostile)))
    assert r"[bold red]step 3[/bold red] :smile: \x1b]8;;http://x\x07 \u202eabc" in shown


@settings(deadline=None, max_examples=30)
@given(st.text())
def test_harmless_text_is_printable_and_harmless_text_stays(text: str) -> None:
    shown = harmless(text)
    assert all(each.isprintable() or each in "\n\u200c\u200d" for each in shown)
    assert harmless(shown) == shown
    if text.isprintable():
        assert shown == text


def test_results_are_plain_where_colours_are_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert results().color_system
    monkeypatch.setenv("NO_COLOR", "1")
    assert not results().color_system


def test_an_answer_in_no_tag_is_shown_as_it_is() -> None:
    whole = example()
    steps = (Step(text="1843", action=Answer("1843")),)
    bare = Known(trajectory=msgspec.structs.replace(whole.trajectory, steps=steps))
    assert "    step 1 │ 1843" in lines(bare)
