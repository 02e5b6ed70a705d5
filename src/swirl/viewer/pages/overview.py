"""A run at a glance: how far it is, what it came to, what to be warned of, and where to look."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from swirl import plots, round_tables, rounds, spending, tables
from swirl.calibrated import read_calibration
from swirl.errors import SwirlError
from swirl.evaluation_plots import headline_shares
from swirl.statistics import wilson
from swirl.train import Metrics
from swirl.types import JudgedStep
from swirl.viewer import concerns, growing, progress
from swirl.viewer.cached import drawn
from swirl.viewer.concerns import Concern
from swirl.viewer.curves import FEW, curves, drawn_up_to
from swirl.viewer.headline import Accuracy, Part, accuracies, in_a_line, metrics_of, short, summary_of
from swirl.viewer.page import Asked, Page
from swirl.viewer.progress import Survival
from swirl.viewer.shelf import Opened
from swirl.viewer.trusted import standing_of


def view(run: Opened, asked: Asked) -> Page:
    """The page."""
    summary, updates = summary_of(run.path), metrics_of(run.path / "train" / "metrics.jsonl", f"swirl train {run.path}")
    stages, survived, calls = (
        progress.stages(run.path, run.config, _steps(run)),
        _survival(run),
        growing.calls(run.path / "calls.jsonl"),
    )
    headline, by_step = accuracies(summary.found) if summary.found else [], _by_step(run)
    services = calls.services()
    data = {
        "about": _about(run),
        "warnings": list(_warnings(run, summary, updates.found)),
        "stages": stages,
        "evaluated": _evaluated(summary, headline),
        "trained": {
            "updates": len(updates.found),
            "last": updates.found[-1] if updates.found else None,
            "why_not": updates.why_not,
        },
        "survival": survived.found,
        "no_survival": survived.why_not,
        "steps": by_step,
        "seconds": round(sum(calls.seconds.values()), 1),
        "peak_memory_mb": calls.peak_memory_mb,
        "services": spending.rows(services),
        "services_total": spending.total_row(services) if services else (),
        "rounds": _rounds(summary),
        "beside": _beside(run),
    }
    shown = {
        **_plots(run, updates.found, survived.found, summary),
        **(_step_plots(by_step) if by_step else {}),
    }
    return Page("Overview", data, _python(run, summary, updates), shown)


def _steps(run: Opened) -> int | None:
    """How many recorded steps there are, once the index knows; whoever looks at a run will want that next."""
    counted = run.index.state().complete
    return sum(steps * count for steps, count in run.index.steps_distribution().items()) or None if counted else None


def _by_step(run: Opened) -> dict[str, Any] | None:
    """How many steps trajectories have, and what each step earned, once all of that is indexed."""
    lengths = run.index.steps_distribution()
    if not run.index.state().complete or not lengths:
        return None
    scores = [(each, wilson(min(each.score * each.n, each.n), each.n)) for each in run.index.score_by_step()]
    return {
        "lengths": [{"steps": steps, "trajectories": count} for steps, count in lengths.items()],
        "scores": [
            {"step": each.step + 1, "mean": mean.mean, "ci95": (mean.low, mean.high), "n": each.n}
            for each, mean in scores
        ],
    }


def _step_plots(by_step: dict[str, Any]) -> dict[str, str]:
    points = [(each["step"], each["mean"], each["ci95"], each["n"]) for each in by_step["scores"]]
    return {
        "lengths": drawn(plots.distribution, {each["steps"]: each["trajectories"] for each in by_step["lengths"]}),
        "scores": drawn(plots.by_step, points) if points else "",
    }


def _about(run: Opened) -> dict[str, Any]:
    config = run.config
    return {
        "tasks": list(config.generate.tasks),
        "policy": config.policy.model,
        "policy_name": short(config),
        "judge": config.judge.name,
        "reward": config.judge.rewarding if config.train.objective != "sft" else "",
        "rule": config.filter.rule.value,
        "objective": config.train.objective,
        "seed": config.seed,
        "folder": str(run.path),
    }


def _survival(run: Opened) -> Part:
    try:
        found = progress.survival(run.path)
    except SwirlError as error:
        return Part(why_not=str(error))
    return Part(
        found, "" if found else f"Not filtered yet: `swirl filter {run.path}` decides which trajectories are kept."
    )


def _evaluated(summary: Part, headline: Sequence[Accuracy]) -> dict[str, Any]:
    found = summary.found
    return {
        "rows": headline,
        "names": tables.headings(found) if found else (),
        "questions": tables.questions(found) if found else "",
        "remarks": tables.remarks(found) if found else [],
        "why_not": summary.why_not,
    }


def _warnings(run: Opened, summary: Part, updates: Sequence[Metrics]) -> Iterator[Concern]:
    told = progress.known_manifest(run.path)
    calibration = None
    changed: Sequence[str] = ()
    judged = [growing.verdicts(path) for path in progress.shards(run.path, JudgedStep.FILE)]
    yield from concerns.of_verdicts(
        *(sum(getattr(each, kind) for each in judged) for kind in ("good", "bad", "missing"))
    )
    try:
        calibration = read_calibration(run.path)
    except SwirlError as error:
        yield Concern(about="Calibration", sentence=str(error))
    else:
        changed = standing_of(run.path, calibration)[0] if calibration else ()
        yield from () if calibration else _uncalibrated(run)
    yield from concerns.alarming(updates, summary.found, calibration, changed)
    yield from concerns.of_files(run.path, told)


def _uncalibrated(run: Opened) -> Iterator[Concern]:
    if run.config.judge.name == "model":
        sentence = (
            f"Nobody knows how far this judge can be trusted: `swirl judge {run.path} --calibrate TRUTH` measures it."
        )
        yield Concern(about="Judge not calibrated", sentence=sentence, view="judge")


def _rounds(summary: Part) -> dict[str, Any] | None:
    found = (summary.found or {}).get("rounds")
    if not found:
        return None
    return {
        "about_accuracy": round_tables.ABOUT_ACCURACY,
        "accuracy": round_tables.accuracy_rows(found),
        "about_data": round_tables.ABOUT_DATA,
        "data": round_tables.data_rows(found),
        "legend": round_tables.LEGEND,
    }


def _beside(run: Opened) -> list[dict[str, Any]]:
    """All runs that are looked at, in a line each; nothing where this is the only one."""
    if len(run.beside) < 2:
        return []
    return [
        {**in_a_line(slug, other.title, other.path, other.config), "same_run": _home(other) == _home(run)}
        for slug, other in run.beside.items()
    ]


def _home(run: Opened) -> Path:
    return rounds.home(run.path.resolve(), run.config.round)


def _plots(run: Opened, updates: Sequence[Metrics], survived: Survival | None, summary: Part) -> dict[str, str]:
    found = {}
    if shown := headline_shares(summary.found) if summary.found else ():
        found["accuracy"] = drawn(plots.bars, shown, tables.headings(summary.found))
    if updates:
        found["curves"] = curves(updates[: drawn_up_to(len(updates), run.config.train.updates)], FEW)
    if survived:
        found["survival"] = drawn(plots.flow, survived.left)
        found["rules"] = drawn(plots.kept, survived.rules, survived.total, survived.rule)
    if rounds_found := (summary.found or {}).get("rounds"):
        found["rounds"] = drawn(plots.lines, round_tables.accuracy_curves(rounds_found), "round", "accuracy")
    return found


def _python(run: Opened, summary: Part, updates: Part) -> str:
    lines = [
        "from pathlib import Path",
        "from swirl.run import Run",
        *(["from swirl.summary import read_summary"] if summary.found else []),
        *(["from swirl.records import read", "from swirl.train import Metrics"] if updates.found else []),
        f"run = Run.open(Path({str(run.path)!r}))",
        *(["summary = read_summary(run.path)"] if summary.found else []),
        *(["updates = list(read(run.metrics, Metrics))"] if updates.found else []),
    ]
    return "\n".join(lines)
