"""A run folder whose training is made up, beside stages that were run: what pages about whole runs and their training show."""

from pathlib import Path

from msgspec import structs

import healthy_run
from sampled import put_on_record, sampled_action, sampled_state
from swirl import shards
from swirl.evaluate import EvaluatedTrajectory
from swirl.records import Appender, log, read, write_json
from swirl.summary import SCHEMA, summarise
from swirl.train import ByAction, Metrics


def metrics(update: int, **changed: object) -> Metrics:
    """What an update measured."""
    told = Metrics(
        update=update,
        num_samples=8,
        loss=-0.25,
        grad_norm=1.5,
        learning_rate=1e-5,
        mean_tokens=5.0,
        reward=0.5,
        good=0.5,
        kl=0.01,
        entropy=0.4,
        malformed=0.0,
        truncated=0.0,
        signal=1.0,
        sampled=ByAction(tool_call=6, answer=2),
    )
    return structs.replace(told, **changed)


def recorded_run(folder: Path, updates: int = 3, stages: tuple[str, ...] = healthy_run.ALL_STAGES) -> Path:
    """A run with a training of so many updates, of which every second is on record, at states of its own trajectories."""
    healthy_run.make(folder, stages=stages)
    (folder / "train").mkdir()
    with Appender(folder / "train" / Metrics.FILE, Metrics) as file:
        file.append([metrics(update) for update in range(1, updates + 1)])
    ids = [each.id for each in shards.trajectories(folder)]
    for update in range(1, updates + 1, 2):
        put_on_record(
            folder,
            *(
                sampled_state(update, place, *_actions(update, place), task="arithmetic", trajectory=id, step=place % 2)
                for place, id in enumerate(ids[:2])
            ),
        )
    return folder


def _actions(update: int, place: int) -> tuple:
    """Two of three right at the first state, equal ones judged otherwise at the second; weights are those of `rloo`, at two states."""
    if place == 0:
        texts, scores, weights = ("right", "right too", "wrong"), (1.0, 1.0, 0.0), (0.5, 0.5, -1.0)
    else:
        texts, scores, weights = ("same", "same", f"lost {update}"), (1.0, 0.0, None), (1.0, -1.0, 0.0)
    count = sum(score is not None for score in scores)
    return tuple(
        sampled_action(text, score, weight / count / 2, seed=update)
        for text, score, weight in zip(texts, scores, weights, strict=True)
    )


def answer_after(run: Path) -> None:
    """An evaluation of a second policy, which answers as the first did, and the summary of both."""
    records = [
        each for path in sorted((run / "evaluation").glob("before-*")) for each in read(path, EvaluatedTrajectory)
    ]
    after = [structs.replace(each, policy="after") for each in records]
    log(run / "evaluation" / "after-arithmetic-greedy.jsonl", after)
    write_json(
        run / "summary.json",
        {
            "schema": SCHEMA,
            "seed": 7,
            "n": len(records),
            "judges": {"reward": "rule", "labels": "rule"},
            "n_trained_on": 0,
            "trained_on": {},
            "trained": True,
            "policies": {"before": "first", "against": ""},
            "grader": "",
            "seconds": {"total": 1.0, "by_stage": {}},
            "peak_memory_mb": 1.0,
            **summarise([*records, *after]),
        },
    )
