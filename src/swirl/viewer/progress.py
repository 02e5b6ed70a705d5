"""How far a run is, stage by stage: what its files hold, and what its settings ask for."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from swirl import manifest
from swirl.decisive import STAGES
from swirl.errors import SwirlError
from swirl.manifest import Manifest
from swirl.overview import STAGE_NAMES, State, manifest_of, state_of
from swirl.records import read_document
from swirl.selection import Selection
from swirl.settings import RunConfig
from swirl.shards import number_of, shard
from swirl.survival import fell_rows, rules_kept, survival_rows, survivors
from swirl.types import JudgedStep, Trajectory
from swirl.viewer import growing
from swirl.viewer.cached import of_file, stamp


class Stage(Struct, frozen=True, kw_only=True):
    """A stage of a run."""

    name: str
    label: str
    state: State
    """begun: at work, or cut off; the file's time tells which."""
    count: int
    """What it has made so far."""
    of: int | None
    """How many it will have made, at most; None where that is not known beforehand."""
    unit: str
    note: str
    """What else is to be said."""
    seconds: float
    """Worked on it so far."""
    written: str
    """When it last wrote anything; empty where it has not."""
    command: str
    """What goes on with it, or begins it; empty where it is done."""


class Survival(Struct, frozen=True, kw_only=True):
    """What is shown of `selection.json`."""

    rule: str
    total: int
    kept: int
    rows: list[tuple[str, ...]]
    """Check by check, for every rule; the first row is the heading."""
    left: list[tuple[str, int]]
    """What is left after each check of the run's own rule."""
    fell: list[dict[str, object]]
    rules: list[tuple[str, int]]
    """How many each rule keeps, from the least strict on."""


def known_manifest(run: Path) -> Manifest | None:
    """The manifest, None where there is none, or none that can be read."""
    return of_file(run / manifest.FILE, lambda file: manifest_of(file.parent))


def survival(run: Path) -> Survival | None:
    """What the filter left, None where it has not run; raises `RecordError` where its decisions cannot be read."""
    path = run / "selection.json"
    return of_file(path, _survival) if path.exists() else None


def _survival(path: Path) -> Survival:
    found = read_document(path, Selection, f"swirl filter {path.parent}")
    return Survival(
        rule=found.rule.value,
        total=found.num_trajectories,
        kept=sum(decision.kept for decision in found.decisions),
        rows=survival_rows(found),
        left=survivors(found),
        fell=[each._asdict() for each in fell_rows(found)],
        rules=rules_kept(found),
    )


def stages(run: Path, config: RunConfig, steps: int | None = None) -> list[Stage]:
    """All stages that are part of the run, in order; `steps` is how many there are to judge, where that is known."""
    told, calls = known_manifest(run), growing.calls(run / "calls.jsonl")
    calls.refresh()
    found = []
    for name in STAGES[:-1]:
        files = manifest.found(run, name)
        if name == "warm_start" and not (config.warm_start.questions or files):
            continue
        count, of, unit, note = _MADE[name](run, config)
        of = steps if name == "judge" else of
        written = max((stamp(path)[0] for path in files.values()), default=0)
        state = state_of(name, told, begun=bool(count), complete=of is None or count >= of)
        found.append(
            Stage(
                name=name,
                label=STAGE_NAMES[name],
                state=state,
                count=count,
                of=None if state == "done" else of,
                unit=unit,
                note=note,
                seconds=round(calls.seconds.get(name, 0.0), 1),
                written=datetime.fromtimestamp(written / 1e9, UTC).isoformat(timespec="seconds") if written else "",
                command="" if state == "done" else f"swirl {name.replace('_', '-')} {run}",
            )
        )
    return found


Made = tuple[int, int | None, str, str]
"""How many there are, how many there will be, of what, and a note."""


def _updates(file: Path, most: int) -> Made:
    return growing.num_lines(iter([file])), most, "updates", ""


def _warm_start(run: Path, config: RunConfig) -> Made:
    return _updates(run / "warm_start" / "metrics.jsonl", config.warm_start.train.updates)


def _train(run: Path, config: RunConfig) -> Made:
    return _updates(run / "train" / "metrics.jsonl", config.train.updates)


def _generate(run: Path, config: RunConfig) -> Made:
    told = config.generate
    count = growing.num_lines(shards(run, Trajectory.FILE))
    imported = (run / "import.jsonl").exists()
    return count, None if imported else len(told.tasks) * told.questions * told.samples, "trajectories", ""


def _judge(run: Path, config: RunConfig) -> Made:
    files = [growing.verdicts(path) for path in shards(run, JudgedStep.FILE)]
    for file in files:
        file.refresh()
    good, bad, missing = (sum(getattr(file, kind) for file in files) for kind in ("good", "bad", "missing"))
    count = sum(file.count for file in files)
    note = f"{good:,} good, {bad:,} bad, {missing:,} missing" if count else ""
    others = sorted(_other_judges(run))
    return count, None, f"verdicts by {config.judge.name}", note + (f"; also {', '.join(others)}" if others else "")


def _filter(run: Path, config: RunConfig) -> Made:
    try:
        found = survival(run)
    except SwirlError as error:
        return 0, None, "kept", str(error)
    if found is None:
        return 0, None, "kept", f"rule {config.filter.rule.value}"
    return found.kept, None, f"of {found.total:,} trajectories kept", f"rule {found.rule}"


def _evaluate(run: Path, config: RunConfig) -> Made:
    told = config.evaluate
    answers = sum(told.samples_in(mode) for mode in told.modes) * len(told.tools) * max(1, len(told.prompts))
    policies = 2 if told.against or config.train.updates else 1
    count = growing.num_lines(iter(sorted((run / "evaluation").glob("*.jsonl"))))
    return count, len(told.tasks) * told.questions * answers * policies, "answers graded", ""


_MADE: dict[str, Callable[[Path, RunConfig], Made]] = {
    "warm_start": _warm_start,
    "generate": _generate,
    "judge": _judge,
    "filter": _filter,
    "train": _train,
    "evaluate": _evaluate,
}


def shards(run: Path, file: str) -> Iterator[Path]:
    """The shards of a file of records that are there, in order."""
    found = run.glob(f"{file.removesuffix('.jsonl')}*.jsonl")
    yield from sorted(path for path in found if path.name == shard(run / file, number_of(path)).name)


def _other_judges(run: Path) -> set[str]:
    own = set(shards(run, JudgedStep.FILE))
    names = (path.stem.removeprefix("verdicts-") for path in run.glob("verdicts-*.jsonl") if path not in own)
    return {re.sub(r"-\d{5}$", "", name) for name in names}
