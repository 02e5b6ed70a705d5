"""Verdicts in arrays: the same as those of the records, whatever their order, files and gaps."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluated import judged
from swirl.judges.agreement import agreement
from swirl.types import Verdict, VerdictStatus
from swirl.viewer.verdicts import Tally, Verdicts

GOOD, BAD, DOWN = Verdict(1.0, "fine"), Verdict(0.0, "not fine"), Verdict(None, "", VerdictStatus.JUDGE_DOWN)
KINDS = st.sampled_from([GOOD, BAD, DOWN, Verdict(0.5), Verdict(0.25)])
PLACES = st.tuples(st.sampled_from(["a/0", "b/0", 'c"/<0>']), st.integers(0, 3))


def opened(folder: Path) -> Verdicts:
    verdicts = Verdicts(folder)
    verdicts.refresh()
    return verdicts


@given(st.lists(st.tuples(PLACES, KINDS), max_size=12), st.lists(st.tuples(PLACES, KINDS), max_size=12))
@settings(deadline=None, max_examples=15)
def test_agreement_and_differences_are_those_of_the_records(
    tmp_path_factory: pytest.TempPathFactory,
    one: list[tuple[tuple[str, int], Verdict]],
    other: list[tuple[tuple[str, int], Verdict]],
) -> None:
    folder = tmp_path_factory.mktemp("run")
    judged(folder, "verdicts.jsonl", [(*place, verdict) for place, verdict in one])
    judged(folder, "verdicts-rule.jsonl", [(*place, verdict) for place, verdict in other])
    mine, theirs = dict(one), dict(other)  # of two on one step the later counts
    shared = [place for place in mine if place in theirs]
    verdicts = opened(folder)
    found, alone = verdicts.agreement("verdicts", "verdicts-rule")
    assert found == agreement([mine[place] for place in shared], [theirs[place] for place in shared])
    assert alone == len(set(mine) ^ set(theirs))
    rows, total = verdicts.differences("verdicts", "verdicts-rule", 0, 99)
    expected = {
        place
        for place in shared
        if None not in (mine[place].score, theirs[place].score) and mine[place].good != theirs[place].good
    }
    assert {(row.trajectory, row.step) for row in rows} == expected
    assert total == len(rows) == len(expected)
    for row in rows:
        place = (row.trajectory, row.step)
        said, its = verdicts.at(row.one, *place), verdicts.at(row.other, *place)
        assert said is not None
        assert its is not None
        assert (said.verdict, its.verdict) == (mine[place], theirs[place])


def test_a_judge_is_counted_by_step_over_time_and_by_why_verdicts_are_missing(tmp_path: Path) -> None:
    said = [
        (f"q{place}/0", step, DOWN if step == 2 else GOOD if step == 0 else BAD)
        for place in range(40)
        for step in range(3)
    ]
    judged(tmp_path, "verdicts.jsonl", said, "rule@1")
    verdicts = opened(tmp_path)
    assert verdicts.tally("verdicts") == Tally(40, 40, {"judge_down": 40})
    assert [(each.at, each.mean.mean, each.n, each.missing) for each in verdicts.by_step("verdicts")] == [
        (1, 1.0, 40, 0),
        (2, 0.0, 40, 0),
        (3, 0.0, 0, 40),
    ]
    assert [(each.at, each.n + each.missing) for each in verdicts.over_time("verdicts")] == [
        (50, 50),
        (100, 50),
        (120, 20),
    ]
    assert verdicts.judge("verdicts") == "rule@1"
    assert verdicts.files() == ["verdicts"]


def test_shards_are_one_judge_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    judged(tmp_path, "verdicts-00001.jsonl", [("b/0", 0, BAD)])
    judged(tmp_path, "verdicts.jsonl", [("a/0", 0, GOOD)])
    judged(tmp_path, "verdicts-rule-00001.jsonl", [("b/0", 0, GOOD)])
    judged(tmp_path, "verdicts-rule.jsonl", [("a/0", 0, GOOD)])
    verdicts = opened(tmp_path)
    assert verdicts.files() == ["verdicts", "verdicts-rule"]
    [row], total = verdicts.differences("verdicts", "verdicts-rule", 0, 5)
    assert (row.trajectory, row.one.file, row.other.file, total) == (
        "b/0",
        "verdicts-00001.jsonl",
        "verdicts-rule-00001.jsonl",
        1,
    )


def test_differences_are_paged_and_told_by_who_calls_them_good(tmp_path: Path) -> None:
    judged(tmp_path, "verdicts.jsonl", [(f"q{i}", 0, GOOD if i % 3 else BAD) for i in range(9)])
    judged(tmp_path, "verdicts-rule.jsonl", [(f"q{i}", 0, BAD if i % 3 else GOOD) for i in range(9)])
    verdicts = opened(tmp_path)
    names = ("verdicts", "verdicts-rule")
    assert [row.trajectory for row in verdicts.differences(*names, 2, 4)[0]] == ["q2", "q3"]
    rows, total = verdicts.differences(*names, 0, 9, good="verdicts-rule")
    assert ([row.trajectory for row in rows], total) == (["q0", "q3", "q6"], 3)


def test_files_are_followed_in_slices_and_forgotten_when_made_anew(tmp_path: Path) -> None:
    path = judged(tmp_path, "verdicts.jsonl", [(f"q{i}", 0, GOOD) for i in range(700)])
    verdicts = Verdicts(tmp_path)
    assert verdicts.refresh(budget=0.0)
    assert not verdicts.complete
    read, all_of_it = verdicts.progress
    assert 0 < read < all_of_it
    while verdicts.refresh(budget=0.0):
        pass
    assert verdicts.complete
    assert verdicts.tally("verdicts").good == 700
    version = verdicts.version
    path.unlink()
    judged(tmp_path, "verdicts.jsonl", [("q0", 0, BAD)])
    assert verdicts.refresh()
    assert verdicts.tally("verdicts") == Tally(0, 1, {})
    assert verdicts.version > version


def test_lines_that_hold_no_verdict_are_counted(tmp_path: Path) -> None:
    path = judged(tmp_path, "verdicts.jsonl", [("q0", 0, GOOD), ("q0", 1 << 40, GOOD)])
    with path.open("ab") as stream:
        stream.write(b"{}\n" + b'{"half')
    verdicts = opened(tmp_path)
    assert verdicts.unread == 2
    assert verdicts.tally("verdicts").good == 1


def test_a_verdict_that_is_another_by_now_is_not_shown_for_the_old_one(tmp_path: Path) -> None:
    path = judged(tmp_path, "verdicts.jsonl", [("q0", 0, GOOD)])
    judged(tmp_path, "verdicts-rule.jsonl", [("q0", 0, BAD)])
    verdicts = opened(tmp_path)
    [row], _ = verdicts.differences("verdicts", "verdicts-rule", 0, 1)
    path.unlink()
    judged(tmp_path, "verdicts.jsonl", [("q1", 0, GOOD)])
    assert verdicts.at(row.one, "q0", 0) is None
