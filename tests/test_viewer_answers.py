"""The answers of an evaluation by byte offset: pairs as McNemar's test has them, files that grow, go back, break or vanish."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluated import HOSTILE, answered, four, write
from swirl.errors import ConfigError
from swirl.evaluate import EvaluatedTrajectory
from swirl.figures import compare
from swirl.records import read
from swirl.samples import evaluated_pairs
from swirl.viewer.answers import KINDS, Answers, Count, Kind, Way
from swirl.viewer.listing import Listing, neighbours
from swirl.viewer.page import page_of

GREEDY = Way("t", "greedy", "bare", "with")


def opened(folder: Path) -> Answers:
    answers = Answers(folder / "evaluation")
    answers.refresh()
    return answers


def test_a_question_is_gained_lost_right_or_wrong(tmp_path: Path) -> None:
    four(tmp_path)
    answers = opened(tmp_path)
    kinds: list[tuple[str, Kind]] = [("q0", "right"), ("q1", "lost"), ("q2", "gained"), ("q3", "wrong")]
    assert [(pair.id, pair.kind) for pair in answers.questions(GREEDY)] == kinds
    assert answers.count(GREEDY) == Count(gained=1, lost=1, right=1, wrong=1, before=(2, 4), after=(2, 4))
    assert [pair.id for pair in answers.questions(GREEDY, "lost")] == ["q1"]


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, 3)), max_size=8))
@settings(deadline=None, max_examples=12)
def test_counts_are_those_of_the_test_and_of_the_report(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[bool, bool, int]]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    records = {
        "before": [answered(f"q{i}", "before", b, sample=s) for i, (b, _, n) in enumerate(drawn) for s in range(n)],
        "after": [answered(f"q{i}", "after", a, sample=s) for i, (_, a, n) in enumerate(drawn) for s in range(n)],
    }
    for when, own in records.items():
        write(folder, f"{when}-t-greedy.jsonl", own)
    count = opened(folder).count(GREEDY)
    if drawn:
        test = compare(records["before"], records["after"])
        assert (count.gained, count.lost) == (test.c, test.b)
    pairs = [pair for own in evaluated_pairs(folder / "evaluation") for pair in own]
    assert sum(count[: len(KINDS)]) == len(pairs) == len(drawn)


def test_all_samples_are_read_by_their_offsets_and_are_the_records(tmp_path: Path) -> None:
    records = [answered(f"q{i}", "before", s == 1, sample=s) for i in range(3) for s in (1, 0)]
    path = write(tmp_path, "before-t-greedy.jsonl", records)
    write(tmp_path, "after-t-greedy.jsonl", [answered("q1", "after", True)])
    answers = opened(tmp_path)
    found = answers.of(GREEDY, "q1")
    assert list(found.before) == sorted(
        (each for each in read(path, EvaluatedTrajectory) if each.trajectory.question.id == "q1"),
        key=lambda each: each.trajectory.sample,
    )
    pair = answers.pair(GREEDY, "q1")
    assert pair is not None
    assert (pair.kind, pair.right, pair.samples) == ("gained", (1, 1), (2, 1))
    assert answers.pair(GREEDY, "q9") is None
    assert answers.of(GREEDY, "q9") == ((), ())


def test_a_policy_alone_gains_nothing_and_a_second_at_work_is_waited_for(tmp_path: Path) -> None:
    write(tmp_path, "before-t-greedy.jsonl", [answered("q0", "before", True), answered("q1", "before", False)])
    answers = opened(tmp_path)
    assert not answers.compared(GREEDY)
    assert answers.count(GREEDY)[: len(KINDS)] == (0, 0, 1, 1, 0)
    write(tmp_path, "after-t-greedy.jsonl", [answered("q0", "after", True)])
    assert answers.refresh()
    assert answers.compared(GREEDY)
    assert answers.count(GREEDY)[: len(KINDS)] == (0, 0, 1, 0, 1)


def test_a_file_that_grows_byte_by_byte_gives_whole_records_alone(tmp_path: Path) -> None:
    whole = write(tmp_path, "before-t-greedy.jsonl", [answered(f"q{i}", "before", True) for i in range(2)]).read_bytes()
    path = tmp_path / "growing" / "evaluation" / "before-t-greedy.jsonl"
    path.parent.mkdir(parents=True)
    answers = Answers(path.parent)
    seen = []
    for end in range(0, len(whole) + 1, 13):
        with path.open("ab") as stream:
            stream.write(whole[max(0, end - 13) : end])
        answers.refresh()
        seen.append(len(answers.questions(GREEDY)))
    with path.open("ab") as stream:
        stream.write(whole[end:])
    answers.refresh()
    assert seen == sorted(seen)
    assert {0, 1} <= set(seen)
    assert [pair.id for pair in answers.questions(GREEDY)] == ["q0", "q1"]
    assert not answers.unread


def test_what_is_made_anew_or_removed_is_forgotten(tmp_path: Path) -> None:
    four(tmp_path)
    answers = opened(tmp_path)
    version = answers.version
    assert not answers.refresh()
    assert answers.version == version
    (tmp_path / "evaluation" / "after-t-greedy.jsonl").unlink()
    assert answers.refresh()
    assert answers.version > version
    assert not answers.compared(GREEDY)
    path = tmp_path / "evaluation" / "before-t-greedy.jsonl"
    path.unlink()
    write(tmp_path, path.name, [answered("other", "before", True)])
    assert answers.refresh()
    assert [pair.id for pair in answers.questions(GREEDY)] == ["other"]


def test_a_record_that_is_another_by_now_is_not_shown_for_the_old_one(tmp_path: Path) -> None:
    path = write(tmp_path, "before-t-greedy.jsonl", [answered("q0", "before", True)])
    answers = opened(tmp_path)
    path.unlink()
    write(tmp_path, path.name, [answered("q1", "before", True)])
    assert answers.of(GREEDY, "q0").before == ()


def test_a_line_that_holds_no_record_is_counted_and_breaks_nothing(tmp_path: Path) -> None:
    four(tmp_path)
    with (tmp_path / "evaluation" / "before-t-greedy.jsonl").open("ab") as stream:
        stream.write(b'{"schema": "swirl.evaluation/1"}\n\xff\n')
    answers = opened(tmp_path)
    assert answers.unread == 2
    assert len(answers.questions(GREEDY)) == 4


def test_reading_in_slices_comes_to_the_same(tmp_path: Path) -> None:
    write(tmp_path, "before-t-greedy.jsonl", [answered(f"q{i}", "before", True) for i in range(200)])
    write(tmp_path, "after-t-greedy.jsonl", [answered(f"q{i}", "after", False) for i in range(200)])
    answers, slices = Answers(tmp_path / "evaluation"), 0
    while answers.refresh(budget=0.0) or not answers.complete:
        slices += 1
    assert slices > 1
    assert answers.count(GREEDY).lost == 200


def test_a_list_is_narrowed_by_what_was_asked_how_and_by_words(tmp_path: Path) -> None:
    four(tmp_path)
    four(tmp_path, "sampled")
    answers = opened(tmp_path)

    def found(**asked: str) -> list[tuple[str, str]]:
        return [(pair.way.mode, pair.id) for pair in Listing.read(asked).pairs(answers)]

    assert found(kind="gained") == [("greedy", "q2"), ("sampled", "q2")]
    assert found(kind="gained", mode="sampled") == [("sampled", "q2")]
    assert found(q="IT q3", mode="greedy") == [("greedy", "q3")]
    assert found(q="yes no", mode="greedy", kind="lost") == [("greedy", "q1")]
    assert found(task="elsewhere") == []


def test_a_question_knows_its_neighbours_in_the_list_it_was_reached_from(tmp_path: Path) -> None:
    four(tmp_path)
    answers = opened(tmp_path)
    listing = Listing.around({"in": "mode.task"}, GREEDY)
    assert listing.held == (("task", "t"), ("mode", "greedy"))
    assert listing.fixed == "task.mode"
    pairs = list(listing.pairs(answers))
    previous, following, place = neighbours(pairs, GREEDY, "q0")
    assert previous is None
    assert following is not None
    assert (following.id, place) == ("q1", 1)
    assert neighbours(pairs, GREEDY, "q9") == (None, None, 0)


@pytest.mark.parametrize("asked", [{"kind": HOSTILE}, {"mode": "loud"}, {"tools": "yes"}])
def test_a_list_that_is_nonsense_is_told_so(asked: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"expected .* found"):
        Listing.read(asked)


@pytest.mark.parametrize("page", ["0", "-1", "1.5", "two", "²", "1" * 30])
def test_a_page_that_is_none_is_told_so(page: str) -> None:
    with pytest.raises(ConfigError, match="page: expected a number from 1"):
        page_of({"page": page})


def test_in_names_fields_alone() -> None:
    with pytest.raises(ConfigError, match="in: expected task"):
        Listing.around({"in": "task.colour"}, GREEDY)
