"""Steps and scores are counted as the records have them, shard by shard, the later of two verdicts on one step."""

from pathlib import Path

import pytest

from swirl.records import Appender
from swirl.shards import shard
from swirl.step_scores import step_scores
from swirl.types import (
    Answer,
    JudgedStep,
    Question,
    Rules,
    Step,
    StopReason,
    Trajectory,
    Verdict,
    VerdictStatus,
)


def trajectory(name: str, steps: int) -> Trajectory:
    question = Question(id=name, task="t", text="?")
    each = Step(text="<answer>1</answer>", action=Answer("1"))
    return Trajectory(
        id=f"{name}/0", question=question, rules=Rules(), steps=(each,) * steps, stop=StopReason.ANSWERED, policy="p"
    )


def write(run: Path, number: int, lengths: dict[str, int], verdicts: list[tuple[str, int, float | None]]) -> None:
    run.mkdir(exist_ok=True)
    with Appender(shard(run / Trajectory.FILE, number), Trajectory) as out:
        out.append([trajectory(name, steps) for name, steps in lengths.items()])
    with Appender(shard(run / JudgedStep.FILE, number), JudgedStep) as out:
        out.append([judged(*verdict) for verdict in verdicts])


def judged(name: str, step: int, score: float | None) -> JudgedStep:
    status = VerdictStatus.OK if score is not None else VerdictStatus.UNREADABLE
    return JudgedStep(trajectory=f"{name}/0", step=step, judge="rule", verdict=Verdict(score, "why", status))


def test_steps_and_scores_are_counted_over_all_shards(tmp_path: Path) -> None:
    write(tmp_path / "run", 0, {"a": 2, "b": 1}, [("a", 0, 1.0), ("a", 1, 0.0), ("b", 0, 0.5)])
    write(tmp_path / "run", 1, {"c": 2}, [("c", 0, 1.0)])
    found = step_scores(tmp_path / "run")
    assert dict(found.lengths) == {2: 2, 1: 1}
    assert [(each.scores, each.judged, each.missing) for each in found.by_step] == [(2.5, 3, 0), (0.0, 1, 1)]
    [first, second] = found.points()
    assert (first[0], first[1], first[3]) == (1, pytest.approx(2.5 / 3), 3)
    assert first[2][0] < first[1] < first[2][1]
    assert (second[0], second[1], second[3]) == (2, 0.0, 1)
    assert (found.trajectories, found.judged, found.missing) == (3, 4, 1)


def test_the_later_of_two_verdicts_counts_and_a_missing_one_is_no_zero(tmp_path: Path) -> None:
    write(tmp_path / "run", 0, {"a": 1, "b": 1}, [("a", 0, 1.0), ("a", 0, 0.0), ("b", 0, None)])
    [only] = step_scores(tmp_path / "run").by_step
    assert (only.scores, only.judged, only.missing) == (0.0, 1, 1)


def test_of_steps_that_nobody_judged_there_is_no_mean(tmp_path: Path) -> None:
    write(tmp_path / "run", 0, {"a": 1}, [])
    found = step_scores(tmp_path / "run")
    assert (list(found.points()), found.missing) == ([], 1)


def test_verdicts_on_what_is_not_there_count_nowhere(tmp_path: Path) -> None:
    write(tmp_path / "run", 0, {"a": 1}, [("a", 0, 1.0), ("a", 7, 1.0), ("z", 0, 1.0)])
    found = step_scores(tmp_path / "run")
    assert (len(found.by_step), found.judged) == (1, 1)
