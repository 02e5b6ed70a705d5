"""The stages of a run, each a function of the run folder: what it reads, what it writes, where it resumes.

Work is cut into fixed chunks that are committed whole; a stage that was killed goes on after the last whole chunk, and the result is the
same as if it had never been disturbed. Commands and studies call these; the method itself is in the files named after it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from swirl import processes
from swirl.engine import require_extra
from swirl.errors import ConfigError
from swirl.judges import JudgeName
from swirl.locks import locked, shared
from swirl.manifest import writing
from swirl.report import write_report
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.shards import Part, number_of
from swirl.spending import line, spent
from swirl.stages.calibrate import calibrate_judge, require_truth
from swirl.stages.check import check
from swirl.stages.compare import print_agreement
from swirl.stages.evaluate import evaluate
from swirl.stages.filter import select
from swirl.stages.generate import generate
from swirl.stages.judge import judge
from swirl.stages.rounds import check_rounds, planned, require_start, take_over
from swirl.stages.summing_up import update_summary
from swirl.stages.train import train
from swirl.stages.warm_start import warm_start
from swirl.terminal import busy, say


def report(run: Run) -> None:
    """Write `report.html`."""
    with busy("report"):
        write_report(run.path)


STAGES: Mapping[str, Callable[[Run], object]] = {
    "warm_start": warm_start,
    "generate": generate,
    "judge": judge,
    "filter": select,
    "train": train,
    "evaluate": evaluate,
    "report": report,
}
"""In the order in which they depend on one another."""


def run_all(path: Path, config: RunConfig) -> Run:
    """The whole method in one run folder, in as many rounds as its settings say; goes on where an earlier call was stopped."""
    check_rounds(config)
    with busy("look at the settings and the questions"):
        check(config, STAGES)
    with locked(path):
        run = Run.create(path, config)
        with _totalled(run):
            _all_stages(run)
            before = run
            for folder, own in planned(path, config)[1:]:
                say(f"round {own.round} of {config.rounds}: {folder}")
                before = _next_round(before, folder, own)
                update_summary(run)
                report(run)
    return run


def _all_stages(run: Run) -> None:
    for name, stage in STAGES.items():
        with _accounted(run, name):
            stage(run)


def _next_round(before: Run, path: Path, config: RunConfig) -> Run:
    with locked(path):
        run = Run.create(path, config)
        require_start(run)
        take_over(before, run)
        _all_stages(run)
    return run


def run_stage(
    name: str,
    path: Path,
    config: RunConfig,
    *,
    redo: bool = False,
    compare: Sequence[JudgeName] = (),
    calibrate: str = "",
) -> None:
    """One stage over a run folder, which is made where it is not there. Nothing is removed by `redo` for a stage that is bound to fail.
    With `compare`, which only judging knows, two judges judge in place of the run's own, and their agreement is printed; with `calibrate`,
    the run's own judge is measured against that truth."""
    if compare and calibrate:
        raise ConfigError(
            "expected --compare or --calibrate, found both: run `swirl judge` once with each, nothing is judged twice"
        )
    with busy("look at the settings and the questions"):
        check(config, [name])
    if calibrate:
        require_truth(calibrate, config.judge.name)
    if name == "filter" and redo:
        return _filter_again(path, config)
    with locked(path), _prepared(lambda: _prepare(name, path, config, redo)) as run, _accounted(run, name):
        if compare:
            print_agreement(run, compare)
        elif calibrate:
            calibrate_judge(run, calibrate)
        else:
            STAGES[name](run)


PARTED: Mapping[str, Callable[[Run, Part], object]] = {
    "generate": generate,
    "judge": lambda run, part: judge(run, part=part),
}
"""Stages of which several processes, or machines that share a disk, may each do a part."""


def run_part(name: str, path: Path, config: RunConfig, part: Part, *, redo: bool = False) -> None:
    """A part of a stage's shards, beside other processes that do other parts. The first one makes the run folder where it is not there;
    while several are at work, all have the same settings."""
    if redo:
        raise ConfigError(
            f"--part: expected no --redo beside it, which would remove what other parts have written; run `swirl {name} {path} --redo` "
            "without a part first, stop it once it has begun, and then start the parts"
        )
    check(config, [name])

    def prepare(alone: bool) -> Run:
        if alone:
            return _prepare(name, path, config, redo)
        run = Run.open(path)
        run.join(config)
        return run

    def owns(file: str) -> bool:
        return part.has(number_of(Path(file)))

    with shared(path, prepare) as run, _totalled(run), writing(path, name, f"{part.number}/{part.of}", owns):
        PARTED[name](run, part)


def _filter_again(path: Path, config: RunConfig) -> None:
    """What follows from the selection of before is removed, and settings change, once there is another: verdicts may be missing."""
    with locked(path):
        run = Run.open(path)
        run.allowed("filter", config, redo=True)
        with _accounted(run, "filter"):
            select(Run(path, config), lambda: run.reconfigure("filter", config, redo=True))


@contextmanager
def _accounted(run: Run, stage: str) -> Iterator[None]:
    """Have the manifest know what the stage has written, and say what was asked of services meanwhile; a summary that is there already
    counts that too, also where it came to nothing."""
    before, stored = sum(1 for _ in run.requests()), sum(ledger.num_stored for ledger in run.ledgers)
    try:
        with writing(run.path, stage):
            yield
    finally:
        asked = spent(islice(run.requests(), before, None))
        if said := line(asked, sum(ledger.num_stored for ledger in run.ledgers) - stored):
            say(f"{stage.replace('_', ' ')}: {said}")
        if asked:
            update_summary(run)


@contextmanager
def _totalled(run: Run) -> Iterator[None]:
    """Say in the end what the run has asked of services in all, also in earlier calls and where it came to nothing."""
    try:
        yield
    finally:
        if said := line(spent(run.requests_of_all_rounds())):
            say(f"all stages so far: {said}")


def _prepare(name: str, path: Path, config: RunConfig, redo: bool) -> Run:
    run = Run.open(path) if (path / "run.toml").exists() else Run.create(path, config)
    run.reconfigure(name, config, redo)
    return run


@contextmanager
def _prepared(prepare: Callable[[], Run]) -> Iterator[Run]:
    """A run that is ready for a stage; where several processes work on it, the first has made it so for all."""
    if processes.count() == 1:
        yield prepare()
        return
    require_extra()
    from swirl.train.ranks import joined, leading

    with joined():
        yield leading(prepare)
