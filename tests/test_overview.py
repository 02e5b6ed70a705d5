"""How far a run is, and what it came to, at a glance."""

from pathlib import Path

from healthy_run import make
from swirl.manifest import writing
from swirl.overview import glance, stages, tiles


def states(run: Path) -> dict[str, str]:
    return {stage.name: stage.state for stage in stages(run, glance(run))}


def test_each_stage_is_done_once_it_has_ended(tmp_path: Path) -> None:
    run = tmp_path / "run"
    make(run, stages=("generate",))
    assert states(run) == dict.fromkeys(("Judge", "Filter", "Train", "Evaluate"), "not begun") | {"Generate": "done"}
    make(run, stages=("judge", "filter"))
    found = {stage.name: stage for stage in stages(run, glance(run))}
    assert [found[name].state for name in ("Generate", "Judge", "Filter", "Train")] == [*["done"] * 3, "not begun"]
    assert found["Generate"].told == "8 trajectories"
    assert found["Judge"].told == "16 verdicts by rule"
    assert found["Filter"].told.endswith("of 8 kept by process")


def test_a_stage_at_work_has_begun(tmp_path: Path) -> None:
    run = tmp_path / "run"
    make(run, stages=("generate",))
    with writing(run, "judge"):
        assert states(run)["Judge"] == "begun"


def test_a_manifest_that_was_edited_keeps_nobody_from_looking(tmp_path: Path) -> None:
    run = tmp_path / "run"
    make(run, stages=("generate",))
    (run / "manifest.json").write_text((run / "manifest.json").read_text().replace("[]", '["judge"]'))
    assert states(run)["Generate"] == "done"


def test_tiles_tell_what_there_is(tmp_path: Path) -> None:
    run = tmp_path / "run"
    make(run)
    found = {tile.name: tile for tile in tiles(glance(run))}
    assert set(found) == {"Accuracy, arithmetic, greedy", "Trajectories kept", "Time"}
    assert found["Trajectories kept"].about.endswith("of 8, by rule process")
    assert "95 % interval [" in found["Accuracy, arithmetic, greedy"].about
