"""Counts in one pass are those of a count by hand, whatever comes."""

import io
from collections import Counter
from itertools import groupby

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from known_ones import example, known_ones
from swirl.count_tables import terminal_counts
from swirl.counts import MOST_NAMES, OTHERS, Counts, count
from swirl.judges.agreement import agreement, kind_of
from swirl.known import Known, standing
from swirl.statistics import distribution
from swirl.types import Step, ToolCall, Trajectory, Verdict, VerdictStatus

SEVERAL = st.lists(known_ones(), max_size=5).map(
    lambda found: sorted(found, key=lambda known: (known.trajectory.question.task, known.trajectory.question.id))
)


@settings(deadline=None, max_examples=20)
@given(SEVERAL)
def test_counts_are_those_of_a_count_by_hand(found: list[Known]) -> None:
    counts = count(iter(found))
    steps = [step for known in found for step in known.trajectory.steps]
    assert counts.trajectories == len(found)
    assert counts.steps.counts == Counter(len(known.trajectory.steps) for known in found)
    assert {name: each.steps for name, each in counts.actions.items()} == Counter(map(kind_of, steps))
    assert counts.steps_without_tokens == sum(not step.token_ids for step in steps)
    assert sum(each.refused for each in counts.actions.values()) == sum(
        step.observation is not None and step.observation.refused for step in steps
    )
    for name, task in counts.tasks.items():
        own = [known for known in found if known.trajectory.question.task == name]
        assert sum(task.endings.values()) == task.trajectories == len(own)
        assert (task.graded, task.correct) == (
            sum(known.correct is not None for known in own),
            sum(known.correct is True for known in own),
        )
        assert task.kept_correct == sum(known.correct is True and known.kept is True for known in own)


@settings(deadline=None, max_examples=20)
@given(SEVERAL)
def test_verdicts_are_counted_by_step_and_by_kind(found: list[Known]) -> None:
    counts = count(iter(found))
    for judge, own in counts.verdicts.items():
        said = [
            (place, kind_of(step), standing(verdict))
            for known in found
            for place, (step, verdict) in enumerate(
                zip(known.trajectory.steps, known.verdicts.get(judge, ()), strict=False)
            )
        ]
        by_step = Counter((place, stand) for place, _, stand in said)
        by_kind = Counter((kind, stand) for _, kind, stand in said)
        for stand in ("good", "bad", "missing"):
            assert [getattr(tally, stand) for tally in own.by_step] == [
                by_step[place, stand] for place in range(len(own.by_step))
            ]
            assert {kind: getattr(tally, stand) for kind, tally in own.by_kind.items()} == {
                kind: by_kind[kind, stand] for kind in own.by_kind
            }
        assert sum(own.missing.values()) == sum(stand == "missing" for _, _, stand in said)


@settings(deadline=None, max_examples=20)
@given(SEVERAL)
def test_agreement_is_that_of_the_judges_themselves(found: list[Known]) -> None:
    none = Verdict(None, status=VerdictStatus.REFUSED)
    both = [known for known in found if len(known.verdicts) == 2]
    one, other = (
        [verdict or none for known in both for verdict in known.verdicts[judge]] for judge in ("rule", "solver")
    )
    expected = agreement(one, other)
    assert [each.agreement for each in count(iter(found)).agreement] == ([expected] if expected.n else [])


@settings(deadline=None, max_examples=20)
@given(SEVERAL)
def test_duplicates_are_equal_samples_of_one_question(found: list[Known]) -> None:
    def likeness(known: Known) -> str:
        steps = [
            (step.thinking, step.text, step.observation and step.observation.text) for step in known.trajectory.steps
        ]
        return repr((steps, known.trajectory.stop))

    questions = [
        [likeness(known) for known in own]
        for _, own in groupby(found, lambda known: (known.trajectory.question.task, known.trajectory.question.id))
    ]
    duplicates = count(iter(found)).duplicates
    assert duplicates.trajectories == sum(len(own) - len(set(own)) for own in questions)
    assert duplicates.questions == sum(len(own) > 1 for own in questions)
    assert duplicates.all_equal == sum(len(own) > 1 and len(set(own)) == 1 for own in questions)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 20), min_size=1))
def test_a_distribution_is_of_the_numbers_themselves(numbers: list[int]) -> None:
    found, ordered = distribution(Counter(numbers)), sorted(numbers)
    assert (found.n, found.least, found.most) == (len(numbers), ordered[0], ordered[-1])
    assert found.mean == pytest.approx(sum(numbers) / len(numbers))
    assert found.median == ordered[(len(numbers) + 1) // 2 - 1]
    assert found.p90 == ordered[-(-9 * len(numbers) // 10) - 1]


def test_names_that_a_model_made_up_do_not_fill_the_memory() -> None:
    step = [Step(text="", action=ToolCall(f"tool {number}", "x")) for number in range(3 * MOST_NAMES)]
    first = example().trajectory
    found = [Known(trajectory=msgspec.structs.replace(first, steps=(each,))) for each in step]
    actions = count(found).actions
    assert len(actions) == MOST_NAMES + 1
    assert actions[OTHERS].steps == 2 * MOST_NAMES


def test_a_call_that_was_not_made_has_no_result() -> None:
    whole = example().trajectory
    cut = msgspec.structs.replace(whole, steps=(msgspec.structs.replace(whole.steps[0], observation=None),))
    assert count([Known(trajectory=cut)]).actions["searches"].no_result == 1


@settings(deadline=None, max_examples=20)
@given(SEVERAL)
def test_counts_are_one_json_object(found: list[Known]) -> None:
    counts = count(iter(found))
    assert msgspec.json.decode(msgspec.json.encode(counts), type=Counts) == counts


def told(found: list[Known]) -> str:
    console = Console(width=80, file=io.StringIO(), record=True, color_system=None)
    console.print(terminal_counts(count(iter(found))))
    return " ".join(console.export_text().split())


def test_tables_tell_what_was_counted() -> None:
    said = told([example("p"), example("q"), example("q", sample=1, answer="1844", correct=False)])
    assert "3 trajectories of 2 questions, 6 steps" in said
    assert "world answered 3 100.0" in said
    assert "world 3 66.7 20.8–93.9 0 0.0" in said
    assert "searches 3 50.0 0 0.0" in said
    assert "step 2 0 3 0 0.0" in said
    assert "rule, solver 6 50.0" in said
    assert (
        "equal an earlier sample of their question: 0; questions with several samples, all of them equal: 0 of 1"
        in said
    )


@settings(deadline=None, max_examples=10)
@given(SEVERAL)
def test_tables_can_be_printed_of_anything(found: list[Known]) -> None:
    assert "\x1b" not in told(found)
    assert f"{len(found)} trajectories" in told(found)


def test_samples_of_different_files_of_an_evaluation_are_no_duplicates() -> None:
    trajectory: Trajectory = example().trajectory
    files = [Known(trajectory=trajectory, judge="labels", file=name) for name in ("after-world", "before-world")]
    assert count(files).duplicates.trajectories == 0
