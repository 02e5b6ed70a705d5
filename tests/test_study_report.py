"""A study's page: every figure is on it, nothing of it runs, and the plots stand for what was measured."""

import re
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from plain_pages import broken_promises, elements
from swirl.statistics import Interval
from swirl.study import scale
from swirl.study_report import curve, matrix, write_study_report


def row(arm: str, task: str, after: float, mode: str = "greedy") -> dict[str, Any]:
    return {
        "arm": arm,
        "task": task,
        "mode": mode,
        "seeds": 2,
        "trajectories": [100, 101],
        "before": Interval(0.25, 0.2, 0.3),
        "after": Interval(after, after - 0.05, after + 0.05),
        "gain": Interval(after - 0.25, after - 0.35, after - 0.15),
        "against_control": None if arm == "alone" else Interval(0.01, -0.02, 0.04),
    }


def study(rows: list[dict[str, Any]], arms: dict[str, dict[str, Any]]) -> dict[str, Any]:
    head = {"recipe": "mine", "seeds": [1, 2], "control": next(iter(arms)), "arms": arms}
    return {**head, "scale": scale(arms), "rows": rows}


def page(folder: Path, found: dict[str, Any]) -> str:
    write_study_report(folder, found)
    return (folder / "report.html").read_text()


def test_every_figure_is_on_the_page(tmp_path: Path) -> None:
    rows = [row(arm, task, 0.6) for arm in ("both", "alone") for task in ("world", "arithmetic")]
    shown = page(tmp_path, study(rows, {"both": {}, "alone": {"generate.tasks": ["world"]}}))
    for told in ("0.250 [0.200, 0.300]", "0.600 [0.550, 0.650]", "+0.350 [+0.250, +0.450]", "+0.010 [-0.020, +0.040]"):
        assert told in shown
    assert "100 / 101" in shown
    assert "generate.tasks = [&#39;world&#39;]" in shown
    assert shown.count("<svg") == 1, "arms that no number tells apart have no curve"


def test_arms_of_different_sizes_have_a_curve_as_well(tmp_path: Path) -> None:
    arms = {"few": {"filter.size": 100}, "many": {"filter.size": 1000}}
    shown = page(tmp_path, study([row("few", "world", 0.4), row("many", "world", 0.6)], arms))
    assert shown.count("<svg") == 2
    assert "Over filter.size" in shown


@pytest.mark.parametrize("mode", ["sampled", "greedy"])
def test_each_way_of_decoding_has_a_matrix_of_its_own(mode: str, tmp_path: Path) -> None:
    rows = [row("both", "world", 0.6, mode) for mode in ("greedy", "sampled")]
    assert f"evaluated on: {mode}" in page(tmp_path, study(rows, {"both": {}}))


def test_nothing_on_the_page_runs(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    shown = page(tmp_path, study([row(hostile, hostile, 0.6)], {hostile: {hostile: hostile}}))
    assert "<script" not in shown
    assert "default-src 'none'" in shown
    assert not list(broken_promises(shown))


def test_headings_and_contents_of_a_study_agree(tmp_path: Path) -> None:
    arms = {"few": {"filter.size": 100}, "many": {"filter.size": 1000}}
    rows = [row(arm, "world", 0.5, mode) for arm in arms for mode in ("greedy", "sampled")]
    found = elements(page(tmp_path, study(rows, arms)))
    parts = [each.attributes["id"] for each in found if each.tag == "h2"]
    links = [each.attributes["href"].removeprefix("#") for each in found if each.tag == "a" and "nav" in each.inside]
    assert links == parts
    assert len(parts) == 7


def test_the_untrained_policy_is_the_first_row_of_the_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr("swirl.plots.heat_map", lambda *given: drawn.append(given) or "")
    matrix([row("both", "world", 0.6), row("both", "arithmetic", 0.7)])
    [(arms, tasks, cells)] = drawn
    assert (arms, tasks) == (["untrained", "both"], ["world", "arithmetic"])
    assert cells["untrained", "world"] == (0.25, "0.250")
    assert cells["both", "arithmetic"] == (0.7, "0.700\n+0.450\n[+0.350, +0.550]")


def test_a_curve_goes_through_the_arms_by_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr("swirl.plots.lines", lambda *given, **more: drawn.append((*given, more)) or "")
    rows, values = [row("many", "world", 0.6), row("few", "world", 0.4)], {"many": 8, "few": 2}
    curve(rows, {"setting": "train.actions", "values": values})
    curve(rows, {"setting": "train.actions", "values": {"many": 8, "few": 0}})
    for least, (points, across, _, more) in zip((2, 0), drawn, strict=True):
        assert across == "train.actions"
        assert [(point.x, point.y) for point in points["world"]] == [(least, 0.4), (8, 0.6)]
        assert more == {"doubling": least > 0}


def test_an_arm_stands_at_as_many_trajectories_as_it_was_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it asked for: here 3,000, of which 450 passed the filter."""
    drawn: list[Any] = []
    monkeypatch.setattr("swirl.plots.lines", lambda *given, **more: drawn.append(given) or "")
    rows = [
        {**row("many", "world", 0.6), "trajectories": [440, 460]},
        {**row("few", "world", 0.4), "trajectories": [100, 100]},
    ]
    curve(rows, {"setting": "filter.size", "values": {"many": 3000, "few": 100}})
    assert [point.x for point in drawn[0][0]["world"]] == [100, 450]


def test_a_heat_map_holds_a_patch_for_each_cell() -> None:
    svg = matrix([row("both", "world", 0.6)])
    assert len(re.findall(r'<path [^>]*stroke="#[0-9a-f]{6}"', svg)) >= 2


@pytest.mark.parametrize("columns", [1, 6, 9])
def test_captions_stay_in_their_cells(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr("swirl.plots.svg.written", lambda sketch: drawn.append(sketch.figure) or "")
    matrix([row(arm, f"mquake_hard{place}", 0.6) for arm in ("both", "hotpotqa") for place in range(columns)])
    [figure] = drawn
    figure.draw_without_rendering()
    [axes] = figure.axes
    cells = [patch.get_window_extent() for patch in axes.patches]
    captions = [text.get_window_extent() for text in axes.texts]
    assert len(cells) == len(captions) == 3 * columns
    for cell, caption in zip(cells, captions, strict=True):
        assert cell.x0 <= caption.x0 < caption.x1 <= cell.x1
        assert cell.y0 <= caption.y0 < caption.y1 <= cell.y1
