"""Records open in Hugging Face's datasets, whatever they lack."""

import re
import sys
from pathlib import Path

import datasets
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from known_ones import known_ones
from swirl.errors import MissingExtra
from swirl.evaluate import EvaluatedTrajectory
from swirl.features import features
from swirl.records import Appender
from swirl.types import JudgedStep, Question, Rules, Step, ToolCall, Trajectory, Verdict, VerdictStatus

pytestmark = pytest.mark.usefixtures("own_cache")


def late_fields() -> list[JudgedStep]:
    """Many lines alike, then one with fields that none before it has."""
    alike = [JudgedStep(trajectory="q/0", step=step, judge="rule", verdict=Verdict(1.0)) for step in range(50)]
    missing = Verdict(None, "late", VerdictStatus.TIMED_OUT)
    return [*alike, JudgedStep(trajectory="q/0", step=50, judge="rule", verdict=missing, view="hindsight")]


def load(path: Path, **options: object) -> datasets.Dataset:
    """With blocks of a few lines, as 10 MB are few of a large file."""
    return datasets.load_dataset("json", data_files=str(path), split="train", chunksize=2000, **options)


def test_a_field_that_comes_late_needs_the_columns_told(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    with Appender(path, JudgedStep) as out:
        out.append(late_fields())
    with pytest.raises(datasets.exceptions.DatasetGenerationError):
        load(path)
    data = load(path, features=features(JudgedStep))
    assert data[-1]["verdict"] == {"score": None, "reason": "late", "status": "timed_out"}
    assert data[0]["view"] is None


def test_trajectories_of_tasks_with_other_meta_load_together(tmp_path: Path) -> None:
    path = tmp_path / "trajectories.jsonl"
    found = [
        Trajectory(
            id=f"{number}/0",
            question=Question(id=str(number), task=task, text="?", meta=meta),
            rules=Rules(),
            steps=(Step(text="?", action=ToolCall("search", "?")),) * (number % 3),
        )
        for task, meta in (("a", {"start": 3}), ("b", {"start": ["x", 1], "gold": {"w": None}}))
        for number in range(20)
    ]
    with Appender(path, Trajectory) as out:
        out.append(found)
    data = load(path, features=features(Trajectory))
    assert [row["question"]["meta"] for row in data] == [each.question.meta for each in found]
    assert [len(row["steps"] or []) for row in data] == [len(each.steps) for each in found]


def without_none(value: object) -> object:
    if isinstance(value, dict):
        return {name: without_none(each) for name, each in value.items() if each is not None}
    return [without_none(each) for each in value] if isinstance(value, list) else value


@settings(deadline=None, max_examples=10)
@given(known=st.lists(known_ones(), min_size=1, max_size=5))
def test_any_trajectory_comes_back(known: list[object], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "trajectories.jsonl"
    found = [each.trajectory for each in known]  # type: ignore[attr-defined]
    with Appender(path, Trajectory) as out:
        out.append(found)
    rows = [without_none(row) for row in load(path, features=features(Trajectory))]
    assert msgspec.convert(rows, list[Trajectory]) == found


def test_the_columns_of_a_record_are_its_fields() -> None:
    columns = features(EvaluatedTrajectory)
    assert list(columns) == ["schema", *EvaluatedTrajectory.__struct_fields__]
    assert set(columns["trajectory"]["steps"].feature["action"]) >= {"kind", "tool", "arguments", "text", "reason"}


def test_where_datasets_is_not_installed_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=re.escape("pip install 'swirl-rl[hub]'")):
        features(JudgedStep)
