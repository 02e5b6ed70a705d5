"""Fifty strings that would run in a browser, planted in everything that is not ours: none runs, in no view and not in the report."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from msgspec import Struct

from browsing import needs_chromium, viewer, window
from finished_run import finished_run
from hostile import INJECTIONS, plant
from swirl.evaluate import EvaluatedTrajectory
from swirl.records import read
from swirl.report import write_report
from swirl.train.recorded import SampledState
from swirl.types import JudgedStep, Trajectory

pytestmark = [needs_chromium, pytest.mark.slow]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = finished_run(tmp_path_factory.mktemp("hostile") / "mine")
    plant(folder)
    return folder


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def records(run: Path) -> Iterator[tuple[type[Struct], Path]]:
    yield Trajectory, run / Trajectory.FILE
    yield JudgedStep, run / JudgedStep.FILE
    yield SampledState, run / "train" / SampledState.FILE
    yield from ((EvaluatedTrajectory, path) for path in (run / "evaluation").glob("*.jsonl"))


def test_all_of_them_are_planted(run: Path) -> None:
    text = "".join(
        json.dumps(row) for path in sorted(run.rglob("*.jsonl")) if path.name != "calls.jsonl" for row in rows(path)
    )
    assert len(set(INJECTIONS)) == 50
    assert [each for each in INJECTIONS if json.dumps(each)[1:-1] not in text] == []
    assert all(list(read(path, kind)) for kind, path in records(run))  # and it is a run that we can read


def test_the_viewer_runs_none_of_them(run: Path, browser: Any) -> None:
    trajectories = [row["id"] for row in rows(run / "trajectories.jsonl")]
    updates = len(rows(run / "train" / "metrics.jsonl"))
    paths = ["", "/training", "/evaluation", "/judge", *(f"/training/{number + 1}" for number in range(updates))]
    paths += [f"/trajectories?{urlencode({'q': each})}" for each in ("", *INJECTIONS[::10])]
    paths += [f"/trajectory?{urlencode({'id': each})}" for each in trajectories]
    with viewer(run) as address, window(browser, address) as seen:
        seen.open("/")
        for path in paths:
            answer = seen.page.goto(f"{address}/runs/mine{path}")
            assert answer.status == 200, path
            seen.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            assert seen.page.url.startswith(address)
        links = seen.page.evaluate("[...document.links].map((link) => link.href)")
        assert [each for each in links if not each.startswith(address)] == []


def test_every_question_of_the_evaluation_is_harmless(run: Path, browser: Any) -> None:
    with viewer(run) as address, window(browser, address) as seen:
        page = seen.open("/runs/mine/evaluation")
        found = set(
            page.evaluate("[...document.links].map((link) => link.href).filter((href) => href.includes('/question?'))")
        )
        assert found
        for href in sorted(found)[:20]:
            assert page.goto(href).status == 200


def test_the_report_runs_none_of_them(run: Path, browser: Any) -> None:
    write_report(run)
    with window(browser) as seen:
        seen.page.goto((run / "report.html").as_uri())
        seen.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert seen.page.url.startswith("file:")
        assert seen.page.title().endswith("swirl")
