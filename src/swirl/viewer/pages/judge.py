"""Who judged, how far that can be trusted, what was judged how, and where two judges disagree."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from swirl import plots
from swirl.calibrated import Calibration, reliability_points
from swirl.errors import ConfigError, RecordError
from swirl.known import badge, name_of
from swirl.viewer.cached import drawn
from swirl.viewer.headline import summary_of
from swirl.viewer.page import Asked, Page, page_of
from swirl.viewer.pages.evaluation import BUDGET
from swirl.viewer.shelf import Opened
from swirl.viewer.trusted import trust
from swirl.viewer.verdicts import Difference, Mean, Spot, Verdicts

_SIZE = 20
_OWN = "verdicts"
"""The file of the run's own judge, without its ending."""
_GOOD = ("judge", "against")
_KNOWING = ("solver", "reference")
"""Judges that know the solutions: beside another, they are taken as the truth."""


def view(run: Opened, asked: Asked) -> Page:
    """The page; raises `ConfigError` where the address asks for nonsense."""
    page = page_of(asked)
    verdicts = run.verdicts
    verdicts.refresh(BUDGET)
    names = {stem: name_of(stem, run.config.judge.name) for stem in verdicts.files()}
    calibration, found, problem = _calibration(run.path)
    pair = _pair(asked, _in_order(names))
    data = {
        "roles": _roles(run),
        "read": {"complete": verdicts.complete, "share": _share(*verdicts.progress), "unread": verdicts.unread},
        "judges": [_judge(verdicts, stem, name) for stem, name in names.items()],
        "calibration": calibration,
        "problem": problem,
        "names": names,
        "agreement": _agreement(verdicts, names),
        "differences": _differences(verdicts, pair, asked.get("good", ""), page) if pair else None,
    }
    plots = {**_plots(verdicts, names), "reliability": _reliability(found) if calibration and found else ""}
    return Page("Judge", data, _python(run.path, pair), plots)


def _roles(run: Opened) -> list[dict[str, str]]:
    """Who does what in the run, as far as anyone does."""
    config = run.config
    labels = (summary_of(run.path).found or {}).get("judges", {}).get("labels") or ""
    filters = ", ".join(config.filter.judges) or config.judge.name
    told = [
        ("judges each recorded step", config.judge.name),
        ("decides in the filter", f"{filters} (rule {config.filter.rule.value})"),
        ("rewards fresh actions in training", config.judge.rewarding),
        ("labels evaluated steps", labels),
        ("compares evaluated answers with the accepted ones", config.evaluate.grader),
    ]
    return [{"role": role, "judge": judge} for role, judge in told if judge]


def _judge(verdicts: Verdicts, stem: str, name: str) -> dict[str, Any]:
    tally = verdicts.tally(stem)
    missing = sum(tally.missing.values())
    return {
        "stem": stem,
        "name": name,
        "called": verdicts.judge(stem),
        "verdicts": tally.good + tally.bad + missing,
        "good": tally.good,
        "bad": tally.bad,
        "missing": missing,
        "statuses": {status.replace("_", " "): count for status, count in tally.missing.items()},
        "by_step": [_mean(each) for each in verdicts.by_step(stem)],
        "over_time": [_mean(each) for each in verdicts.over_time(stem)],
    }


def _mean(mean: Mean) -> dict[str, Any]:
    known = (
        {"mean": mean.mean.mean, "ci95": (mean.mean.low, mean.mean.high)} if mean.n else {"mean": None, "ci95": None}
    )
    return {"at": mean.at, "n": mean.n, "missing": mean.missing, **known}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _calibration(path: Path) -> tuple[dict[str, Any] | None, Calibration | None, str]:
    try:
        return *trust(path), ""
    except RecordError as error:
        return None, None, str(error)


def _agreement(verdicts: Verdicts, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Of every two judges; the second is taken as the truth."""
    stems = _in_order(names)
    found = []
    for place, one in enumerate(stems):
        for other in stems[place + 1 :]:
            agreement, alone = verdicts.agreement(one, other)
            told = {"judge": one, "against": other, "alone": alone, **to_builtins(agreement)}
            found.append(told)
    return found


def _in_order(names: Mapping[str, str]) -> list[str]:
    """The run's own judge first, those that know the solutions last."""
    return sorted(names, key=lambda stem: (names[stem] in _KNOWING, stem != _OWN, stem))


def _pair(asked: Asked, stems: Sequence[str]) -> tuple[str, str] | None:
    """The two judges that are compared: those that are asked for, or the first two; None where there are no two."""
    given = tuple(asked.get(name, "") for name in _GOOD)
    if asked.get("good", "") not in ("", *_GOOD):
        raise ConfigError(f"good: expected {' or '.join(_GOOD)}, found {asked['good']!r:.40}; choose from the menu")
    for name in filter(None, given):
        if name not in stems:
            known = f"one of {', '.join(stems)}" if stems else "no judge, because nothing is judged yet"
            raise ConfigError(f"expected {known}, found {name!r:.80}; choose from the menu")
    one = given[0] or next((stem for stem in stems if stem != given[1]), "")
    other = given[1] or next((stem for stem in stems if stem != one), "")
    if one and one == other:
        raise ConfigError(f"expected two judges, found {one} twice; choose another from the menu")
    return (one, other) if one and other else None


def _differences(verdicts: Verdicts, pair: tuple[str, str], good: str, page: int) -> dict[str, Any]:
    one, other = pair
    chosen = {"": "", "judge": one, "against": other}[good]
    _, total = verdicts.differences(one, other, 0, 0, chosen)
    pages = max(1, -(-total // _SIZE))
    page = min(page, pages)
    rows, _ = verdicts.differences(one, other, (page - 1) * _SIZE, page * _SIZE, chosen)
    return {
        "judge": one,
        "against": other,
        "good": good,
        "total": total,
        "page": page,
        "pages": pages,
        "rows": [_difference(verdicts, each) for each in rows],
    }


def _difference(verdicts: Verdicts, difference: Difference) -> dict[str, Any]:
    def said(spot: Spot) -> dict[str, Any]:
        found = verdicts.at(spot, difference.trajectory, difference.step)
        if found is None:
            return {"standing": "", "score": None, "reason": "judged anew meanwhile"}
        verdict = found.verdict
        return {"standing": badge(verdict), "score": verdict.score, "reason": verdict.reason}

    return {
        "trajectory": difference.trajectory,
        "step": difference.step + 1,
        "judge": said(difference.one),
        "against": said(difference.other),
    }


def _plots(verdicts: Verdicts, names: Mapping[str, str]) -> dict[str, str]:
    steps = {name: verdicts.by_step(stem) for stem, name in names.items()}
    own = {name: verdicts.over_time(stem) for stem, name in names.items() if stem == _OWN}
    return {
        "by_step": _lines(steps, "step", "mean score"),
        "over_time": _lines(own, "verdicts, in the order of the files", "share judged good"),
    }


def _lines(series: Mapping[str, Sequence[Mean]], across: str, up: str) -> str:
    """One point alone is no line, and the table says it."""
    points = {
        name: [plots.Point(each.at, each.mean.mean, (each.mean.low, each.mean.high)) for each in means if each.n]
        for name, means in series.items()
    }
    shown = {name: some for name, some in points.items() if len(some) > 1}
    return drawn(plots.lines, shown, across, up) if shown else ""


def _reliability(calibration: Calibration) -> str:
    return drawn(plots.reliability, reliability_points(calibration.measures))


def _python(path: Path, pair: tuple[str, str] | None) -> str:
    start = [
        "from pathlib import Path",
        "from swirl.calibrated import read_calibration",
        "from swirl.shards import judged, judges",
        f"run = Path({str(path)!r})",
        "calibration = read_calibration(run)",
        "print(judges(run))",
    ]
    if pair is None:
        return "\n".join([*start, "verdicts = [each.verdicts for each in judged(run)] if judges(run) else []"])
    one, other = pair
    return "\n".join(
        [
            *start,
            "def differ(one, other):",
            "    return None not in (one, other) and None not in (one.score, other.score) and one.good != other.good",
            f"pairs = ((each.trajectory.id, each.verdicts[{one!r}], each.verdicts[{other!r}]) for each in judged(run))",
            "found = [(id, step) for id, one, other in pairs for step in range(len(one)) if differ(one[step], other[step])]",
        ]
    )
