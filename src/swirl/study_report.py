"""A study as one page: what was trained on against what was evaluated (the paper's Table 2), and a curve where one number tells the arms
apart. Like `swirl.report`, the page needs no network and runs no script, and everything but our own plots is escaped.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swirl.page import rendered
from swirl.records import write_atomically
from swirl.statistics import Interval

UNTRAINED = "untrained"


def write_study_report(path: Path, study: Mapping[str, Any]) -> None:
    """Write `report.html` beside `study.json`, whose content is given."""
    rows, scale = study["rows"], study["scale"]
    modes = list(dict.fromkeys(row["mode"] for row in rows))
    page = rendered(
        "report/study.html.jinja",
        study=study,
        contents=_contents(modes, scale is not None),
        tables=[(mode, [[*_names(row), *_figures(row)] for row in rows if row["mode"] == mode]) for mode in modes],
        matrices=[(mode, matrix([row for row in rows if row["mode"] == mode])) for mode in modes],
        curves=[(mode, curve([row for row in rows if row["mode"] == mode], scale)) for mode in modes] if scale else [],
    )
    write_atomically(path / "report.html", page)


def _contents(modes: Sequence[str], scaled: bool) -> list[tuple[str, str]]:
    parts = {"scale": "Curve", "matrix": "Matrix", "figures": "All figures"}
    if not scaled:
        del parts["scale"]
    return [(f"{id}-{mode}", f"{name}, {mode}") for id, name in parts.items() for mode in modes] + [
        ("run", "What was run")
    ]


def _names(row: Mapping[str, Any]) -> list[str]:
    return [row["task"], row["arm"], by_seed(row["trajectories"])]


def by_seed(numbers: Sequence[int]) -> str:
    """A number for each seed; one where it was the same for all.

    >>> by_seed([100, 100]), by_seed([1279, 1355])
    ('100', '1279 / 1355')
    """
    return " / ".join(map(str, dict.fromkeys(numbers) if len(set(numbers)) == 1 else numbers))


def _figures(row: Mapping[str, Any]) -> list[str]:
    return [_share(row["before"]), _share(row["after"]), *map(_difference, (row["gain"], row["against_control"]))]


def _share(interval: Interval) -> str:
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _difference(interval: Interval | None) -> str:
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]" if interval else ""


def matrix(rows: Sequence[Mapping[str, Any]]) -> str:
    """Accuracy after training, by arm and task, with the gain and its interval; the untrained policy is the first row."""
    from swirl.plots import heat_map

    cells: dict[tuple[str, str], tuple[float, str]] = {}
    for row in rows:
        before, after, gain = row["before"].mean, row["after"].mean, row["gain"]
        cells.setdefault((UNTRAINED, row["task"]), (before, f"{before:.3f}"))
        caption = [f"{after:.3f}", *_difference(gain).split(" ", 1)]
        cells[row["arm"], row["task"]] = (after, "\n".join(caption))
    arms, tasks = (list(dict.fromkeys(names)) for names in zip(*cells, strict=True))
    return heat_map(arms, tasks, cells)


def curve(rows: Sequence[Mapping[str, Any]], scale: Mapping[str, Any]) -> str:
    """Accuracy after training over the number that tells the arms apart, a line a task. An arm stands where it was trained: where fewer
    trajectories passed the filter than `filter.size` asked for, at so many, a mean over seeds."""
    from swirl.plots import Point, lines

    points: dict[str, list[Point]] = {}
    for row in rows:
        interval, is_size = row["after"], scale["setting"] == "filter.size"
        across = sum(row["trajectories"]) / len(row["trajectories"]) if is_size else float(scale["values"][row["arm"]])
        points.setdefault(row["task"], []).append(Point(across, interval.mean, (interval.low, interval.high)))
    ordered = {task: sorted(own) for task, own in points.items()}
    doubling = all(point.x > 0 for own in ordered.values() for point in own)
    return lines(ordered, scale["setting"], "accuracy after training", doubling=doubling)
