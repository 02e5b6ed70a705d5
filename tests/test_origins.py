"""Every record says what made it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from healthy_run import CONFIG, Scripted, make
from swirl.catalog import open_task, open_toolbox
from swirl.errors import RecordError
from swirl.evaluate import EvaluatedTrajectory
from swirl.origins import Origin, keep, origins
from swirl.protocol import wording
from swirl.records import read
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.stages.origin import of_trajectories
from swirl.types import JudgedStep, Trajectory


def test_records_name_what_made_them(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", CONFIG)
    make(run.path)
    told = origins(run.path)
    [written] = {each.origin for each in read(run.trajectories, Trajectory)}
    assert told[written] == Origin(
        stage="generate",
        run=run.id("generate"),
        seed=7,
        swirl="0.1.0",
        task="arithmetic",
        policy="scripted@0123456789ab",
        weights="0123456789ab",
        instructions=wording(),
        tools={"calculator": "Calculator"},
    )
    [judged] = {each.origin for each in read(run.path / "verdicts.jsonl", JudgedStep)}
    assert told[judged] == Origin(stage="judge", run=run.id("judge"), seed=7, swirl="0.1.0", judge="rule")
    [file] = run.evaluation.glob("*.jsonl")
    [answered] = {each.trajectory.origin for each in read(file, EvaluatedTrajectory)}
    found = told[answered]
    assert isinstance(found, Origin)
    assert (found.stage, found.policy, found.judge) == ("evaluate", "scripted@0123456789ab", "rule")


def test_what_is_searched_is_told_by_its_contents(tmp_path: Path) -> None:
    run, task = Run.create(tmp_path, CONFIG), open_task("world")
    name = of_trajectories(run, task, Scripted(), open_toolbox(task))
    origin = origins(tmp_path)[name]
    assert isinstance(origin, Origin)
    assert origin.tools["search"].startswith("bm25 over 200 passages ")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda config: replace(config, seed=8), False),
        (lambda config: replace(config, generate=replace(config.generate, samples=3)), False),
        (lambda config: replace(config, train=replace(config.train, updates=3)), True),
        (lambda config: replace(config, policy=replace(config.policy, threads=3)), True),
    ],
)
def test_a_runs_id_is_of_the_settings_that_decide(change: Callable[[RunConfig], RunConfig], same: bool) -> None:
    before, after = (Run(Path("run"), config).id("generate") for config in (CONFIG, change(CONFIG)))
    assert (before == after) == same


def test_several_writers_of_one_origin_do_not_meet(tmp_path: Path) -> None:
    origin = Origin(stage="judge", run="5f", seed=1, swirl="0.1.0", judge="rule")
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: keep(tmp_path, origin), range(64))) == {origin.key}
    assert origins(tmp_path) == {origin.key: origin}


def test_an_origin_that_was_changed_is_known_by_its_name(tmp_path: Path) -> None:
    key = keep(tmp_path, Origin(stage="judge", run="5f", seed=1, swirl="0.1.0", judge="rule"))
    file = tmp_path / "origins" / f"{key}.json"
    file.write_text(file.read_text().replace('"rule"', '"solver"'))
    assert isinstance(origins(tmp_path)[key], RecordError)
    assert keep(tmp_path, Origin(stage="judge", run="5f", seed=1, swirl="0.1.0", judge="rule")) == key
    assert isinstance(origins(tmp_path)[key], Origin)
