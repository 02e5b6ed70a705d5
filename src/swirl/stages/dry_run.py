"""A dry run: what a run would ask of services from where its folder stands. Nothing is sent to a service, and nothing is written."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from msgspec import structs
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from swirl.catalog import open_task
from swirl.decisive import STAGES
from swirl.estimate import Estimate, Known, estimate, rows, total
from swirl.evaluate import EvaluatedTrajectory
from swirl.judges.missing import PASSING
from swirl.records import read
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.shards import shards, trajectories
from swirl.stages.check import check
from swirl.stages.rounds import check_rounds, planned
from swirl.stages.start import rules_of
from swirl.tasks import Task
from swirl.types import JudgedStep, Question, Rules, Trajectory


def dry_run(runs: Iterable[tuple[Path, RunConfig]]) -> None:
    """Print what these runs would ask of services, all together."""
    asked = list(runs)
    everything = [each for path, config in asked for each in planned(path, config)]
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for heading in ("stage", "service", "requests", "tokens in", "tokens out", "US dollars"):
        named = heading in ("stage", "service")
        table.add_column(heading, no_wrap=named, justify="left" if named else "right")
    for row in rows(total(estimated(path, config) for path, config in everything), STAGES):
        table.add_row(*row)
    console = Console(highlight=False)
    console.print(table)
    several = f"{len(asked)} runs together, which may share what their settings allow. " if len(asked) > 1 else ""
    if len(everything) > len(asked):
        several += f"{len(everything)} rounds in all. "
    console.print(
        f"{several}Estimates, as `about / at most`, of what is not in the run folder yet; 4 characters are taken for a token. About: "
        "3 steps a trajectory (or as those recorded go), texts half as long as they may be. Attempts that fail and are billed all the "
        "same come on top; replies that are stored already cost nothing. Nothing was sent, and nothing was written."
    )


def estimated(path: Path, config: RunConfig) -> list[Estimate]:
    """The same of one run; raises where it is bound to fail, or its folder holds another run."""
    check_rounds(config)
    check(config, STAGES)
    run = Run(path, config)
    if (path / "run.toml").is_file():
        Run.open(path).changes(config)
    return estimate(config, _known(run))


def _known(run: Run) -> Known:
    config = run.config
    count = max(config.generate.questions, config.warm_start.questions)
    return Known(
        training=[
            (rules_of(run, task), list(islice(task.questions("train", config.seed), count)))
            for task in map(open_task, config.generate.tasks)
        ],
        held_out=[_held_out(run, task) for task in map(open_task, config.evaluate.tasks)],
        trajectories=_Recorded(run.path),
        judged=_judged(run.verdicts(config.judge.name)),
        warm=run.warm_model.exists(),
        updates=_updates(run),
        evaluated=[
            record for file in sorted(run.evaluation.glob("*.jsonl")) for record in read(file, EvaluatedTrajectory)
        ],
    )


def _held_out(run: Run, task: Task) -> tuple[Rules, list[Question]]:
    own, config = rules_of(run, task), run.config.evaluate
    rules = structs.replace(own, max_calls=config.max_calls or own.max_calls)
    return rules, list(islice(task.questions("test", config.draw), config.questions))


class _Recorded:
    """The trajectories of a run folder, read anew whenever they are gone through."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __iter__(self) -> Iterator[Trajectory]:
        return trajectories(self._folder)


def _judged(first: Path) -> set[tuple[str, int]]:
    there = (one for file in shards(first) for one in read(file, JudgedStep))
    return {(one.trajectory, one.step) for one in there if one.verdict.status not in PASSING}


def _updates(run: Run) -> int:
    """Updates of training that its newest checkpoint has."""
    if run.model.exists():
        return run.config.train.updates
    names = [path.name.removeprefix("update-") for path in run.path.glob("train/checkpoints/update-*")]
    return max((int(name) for name in names if name.isdigit()), default=0)
