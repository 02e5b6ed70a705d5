"""The last of an evaluation: every headline number with n, interval and seed, and all figures, in `summary.json`; and what came to be spent
after it."""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec

from swirl import rounds
from swirl.calls import peak_memory_mb
from swirl.evaluate import EvaluatedTrajectory
from swirl.records import read, write_json
from swirl.round_figures import round_figures
from swirl.run import Run
from swirl.spending import spent
from swirl.summary import SCHEMA, summarise


def write_summary(
    run: Run,
    files: Sequence[Path],
    labelling: str | None,
    agreement: Mapping[str, Any] | None,
    overlap: Mapping[str, int],
) -> None:
    """Write `summary.json` from the answers in `files`. `labelling` is the judge of their steps, `overlap` how many of the questions were
    trained on, by task."""
    config = run.config
    records = [record for file in files if file.exists() for record in read(file, EvaluatedTrajectory)]
    head = {
        "schema": SCHEMA,
        "seed": config.seed,
        "draw": config.evaluate.draw,
        "judges": {
            "filter": config.judge.name,
            "reward": _reward(run),
            "labels": labelling,
        },
        "filter": config.filter.rule.value,
        "objective": config.train.objective,
        "n": len({(record.task, record.trajectory.question.id) for record in records}),
        "n_trained_on": sum(overlap.values()),
        "trained_on": overlap,
        "trained": run.model.exists() and not config.evaluate.against,
        "policies": {"before": config.policy.model, "against": config.evaluate.against},
        "grader": config.evaluate.grader,
    }
    found = {"agreement": agreement} if agreement else {}
    write_json(run.summary, {**head, **summarise(records), **found, **_spending(run), **_rounds(run)})


def update_summary(run: Run) -> None:
    """Bring what `summary.json` says of services, times, memory and further rounds up to date, where there is one: what was asked after an
    evaluation, for a calibration, was spent on the run too. One that cannot be read stays as it is; whoever needs it says so."""
    try:
        old = msgspec.json.decode(run.summary.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return
    write_json(run.summary, {**old, **_spending(run), **_rounds(run)})


def _spending(run: Run) -> dict[str, Any]:
    calls = list(run.laps())
    stages: dict[str, float] = {}
    for call in calls:
        stages[call.stage] = round(stages.get(call.stage, 0.0) + call.seconds, 3)
    return {
        "services": msgspec.to_builtins(spent(run.requests())),
        "seconds": {"total": round(run.seconds(), 1), "by_stage": stages},
        "peak_memory_mb": max([call.peak_memory_mb for call in calls] + [peak_memory_mb()]),
    }


def _rounds(run: Run) -> dict[str, Any]:
    """What each round came to, as far as they have been evaluated; nothing where there is one alone."""
    if run.config.rounds == 1:
        return {}
    folders = [rounds.folder(run.path, number) for number in range(1, run.config.rounds + 1)]
    evaluated = takewhile(lambda folder: (folder / run.summary.name).exists(), folders[1:])
    return {"rounds": msgspec.to_builtins(round_figures([run.path, *evaluated]))}


def _reward(run: Run) -> str | None:
    """The judge that rewards training; None where nothing is rewarded."""
    if run.config.train.objective == "sft":
        return None
    return run.config.judge.rewarding
