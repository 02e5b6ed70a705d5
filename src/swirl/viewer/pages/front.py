"""All runs that are looked at, and what studies among them came to."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from swirl.errors import RecordError
from swirl.records import read_document
from swirl.statistics import Interval
from swirl.study_report import by_seed, curve, matrix
from swirl.viewer.cached import drawn, of_file
from swirl.viewer.headline import Figure, in_a_line
from swirl.viewer.page import Page
from swirl.viewer.shelf import STUDY, Shelf


class Row(Struct, frozen=True, kw_only=True):
    """An arm of a study, on a task."""

    arm: str
    task: str
    mode: str
    trajectories: list[int]
    before: Interval
    after: Interval
    gain: Interval | None
    against_control: Interval | None


class Study(Struct, frozen=True, kw_only=True, tag="swirl.study/2", tag_field="schema"):
    """What is shown of `study.json`."""

    recipe: str
    seeds: list[int]
    control: str
    arms: dict[str, dict[str, Any]]
    scale: dict[str, Any] | None
    rows: list[Row]


def front(shelf: Shelf) -> Page:
    """The page."""
    plots: dict[str, str] = {}
    studies = [_study(slug, path, plots) for slug, path in shelf.studies.items()]
    runs = [in_a_line(slug, run.title, run.path, run.config) for slug, run in shelf.runs.items()]
    return Page("Runs", {"runs": runs, "studies": studies}, _python(shelf), plots)


def read_study(file: Path) -> Study:
    """A study as it is shown; raises `RecordError` where it cannot be read."""
    return read_document(file, Study, "the study's command again")


def _study(slug: str, path: Path, plots: dict[str, str]) -> dict[str, Any]:
    try:
        found = of_file(path / STUDY, read_study)
    except RecordError as error:
        return {"slug": slug, "name": path.resolve().name, "why_not": str(error), "modes": []}
    modes = list(dict.fromkeys(row.mode for row in found.rows))
    for mode in modes:
        rows = [_plain(row) for row in found.rows if row.mode == mode]
        plots[f"{slug} {mode} matrix"] = drawn(matrix, rows)
        if found.scale:
            plots[f"{slug} {mode} curve"] = drawn(curve, rows, found.scale)
    return {
        "slug": slug,
        "name": found.recipe,
        "why_not": "",
        "arms": {arm: [f"{key} = {value}" for key, value in changes.items()] for arm, changes in found.arms.items()},
        "seeds": found.seeds,
        "control": found.control,
        "setting": found.scale["setting"] if found.scale else "",
        "modes": [{"mode": mode, "rows": list(_rows(found.rows, mode))} for mode in modes],
    }


def _plain(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}


def _rows(rows: Sequence[Row], mode: str) -> Iterator[dict[str, Any]]:
    for row in rows:
        if row.mode == mode:
            yield {
                "task": row.task,
                "arm": row.arm,
                "trajectories": by_seed(row.trajectories),
                **{
                    name: Figure(found.mean, found.low, found.high) if (found := getattr(row, name)) else None
                    for name in ("before", "after", "gain", "against_control")
                },
            }


def _python(shelf: Shelf) -> str:
    lines = ["from pathlib import Path", "from swirl.run import Run"]
    folders = ", ".join(f"Path({str(run.path)!r})" for run in list(shelf.runs.values())[:20])
    lines += [f"runs = [Run.open(path) for path in ({folders},)]"]
    if shelf.studies:
        lines += ["import json"]
        lines += [
            f"studies = [json.loads(Path(path, {STUDY!r}).read_text()) for path in {[str(p) for p in shelf.studies.values()]}]"
        ]
    return "\n".join(lines)
