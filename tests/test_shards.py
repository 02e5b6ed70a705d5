"""A file of records as several."""

from pathlib import Path

import pytest

from swirl.errors import RecordError
from swirl.records import Appender
from swirl.shards import expect, judged, judges, shard, shards, trajectories
from swirl.types import Answer, JudgedStep, Question, Rules, Step, StopReason, Trajectory, Verdict


def trajectory(name: str) -> Trajectory:
    question = Question(id=name, task="t", text=f"What is {name}?")
    steps = (Step(text="<answer>1</answer>", action=Answer("1")),)
    return Trajectory(id=f"{name}/0", question=question, rules=Rules(), steps=steps, stop=StopReason.ANSWERED)


def verdict(name: str, score: float, judge: str = "rule") -> JudgedStep:
    return JudgedStep(trajectory=f"{name}/0", step=0, judge=judge, verdict=Verdict(score))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three shards; the first is judged twice, the second once by another judge, the third not at all."""
    for number, names in enumerate(["ab", "c", "d"]):
        with Appender(shard(tmp_path / "trajectories.jsonl", number), Trajectory) as out:
            out.append([trajectory(name) for name in names])
    with Appender(tmp_path / "verdicts.jsonl", JudgedStep) as verdicts:
        verdicts.append([verdict("b", 0.0), verdict("a", 1.0), verdict("b", 1.0)])
    with Appender(tmp_path / "verdicts-solver-00001.jsonl", JudgedStep) as verdicts:
        verdicts.append([verdict("c", 0.0, "solver")])
    return tmp_path


def test_all_shards_are_read_in_order(folder: Path) -> None:
    assert [each.id for each in trajectories(folder)] == ["a/0", "b/0", "c/0", "d/0"]


def test_verdicts_find_their_trajectory_and_the_later_counts(folder: Path) -> None:
    assert judges(folder) == ["verdicts", "verdicts-solver"]
    found = {each.trajectory.id: each for each in judged(folder)}
    assert found["b/0"].verdicts == {"verdicts": (Verdict(1.0),), "verdicts-solver": (None,)}
    assert found["c/0"].verdicts == {"verdicts": (None,), "verdicts-solver": (Verdict(0.0),)}
    assert found["d/0"].place == (folder / "trajectories-00002.jsonl", 1)
    assert next(each.verdicts for each in judged(folder, ["verdicts"])) == {"verdicts": (Verdict(1.0),)}


def test_a_shard_that_is_missing_is_named(folder: Path) -> None:
    (folder / "trajectories-00001.jsonl").unlink()
    with pytest.raises(RecordError, match=r"expected .*trajectories-00001\.jsonl, because trajectories-00002\.jsonl"):
        shards(folder / "trajectories.jsonl")


def test_a_shard_that_is_made_while_the_folder_is_listed_is_not_missed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = shards(folder / "trajectories.jsonl")
    listed = [path for path in folder.iterdir() if path != whole[1]]
    monkeypatch.setattr(Path, "iterdir", lambda path: iter(listed))
    assert shards(folder / "trajectories.jsonl") == whole


def test_empty_shards_of_other_settings_go_and_written_ones_stay(tmp_path: Path) -> None:
    first = tmp_path / "trajectories.jsonl"
    expect(first, 4)
    assert len(shards(first)) == 4
    expect(first, 2)
    assert [path.name for path in shards(first)] == ["trajectories.jsonl", "trajectories-00001.jsonl"]
    expect(first, 1)
    assert [path.name for path in shards(first)] == ["trajectories.jsonl"]
    first.unlink()
    expect(first, 1)
    assert not shards(first), "one shard is made by whoever writes it"
    expect(first, 2)
    shard(first, 1).write_text("{}\n")
    expect(first, 1)
    assert len(shards(first)) == 2


def test_other_files_are_no_shards(folder: Path) -> None:
    (folder / "trajectories-old.jsonl").touch()
    (folder / "trajectories-00003.jsonl.part").touch()
    assert len(shards(folder / "trajectories.jsonl")) == 3
    assert shards(folder / "nothing.jsonl") == []
