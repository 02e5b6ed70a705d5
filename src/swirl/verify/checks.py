"""All checks of a run folder, one after the other."""

from collections.abc import Callable
from pathlib import Path

from swirl.errors import RecordError, SwirlError
from swirl.manifest import FILE, FILES, Manifest, Megabytes, found, read_manifest
from swirl.origins import Origin, origins
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.tasks import Task
from swirl.terminal import progress
from swirl.verify import Checking, Finding, Report, parts
from swirl.verify.answers import check_answers
from swirl.verify.decisions import check_selection
from swirl.verify.files import check_files
from swirl.verify.records import check_records
from swirl.verify.training import check_training


def verify(folder: Path, open_task: Callable[[str], Task]) -> Report:
    """Check a run folder; `open_task` opens a task that a recipe names. Raises `RunFolderError` where it is none."""
    run, problem = _opened(folder)
    names = {name: path for stage in FILES for name, path in found(folder, stage).items()}
    megabytes = Megabytes(sum(path.stat().st_size for path in names.values()) + _to_read(names))
    with progress("verify", megabytes.total, unit="MB") as advance:
        manifest, complaint = _manifest(folder)
        known = origins(folder)
        sound = {name: origin for name, origin in known.items() if isinstance(origin, Origin)}
        checking = Checking(run, manifest, sound, open_task, lambda count: megabytes.read(count, advance))
        for finding in (problem, complaint, *map(_of_origin, known.values())):
            if finding:
                checking.add(finding)
        check_files(checking)
        if problem is None:
            _check_settings(checking)
            met = check_records(checking)
            check_training(checking, met, check_selection(checking, met.ids, met.damaged))
            check_answers(checking)
    later, _ = _manifest(folder)
    return checking.report(later)


def _to_read(names: dict[str, Path]) -> int:
    """Bytes that are read a second time, as records."""
    return sum(path.stat().st_size for name, path in names.items() if path.suffix == ".jsonl" and "metrics" not in name)


def _opened(folder: Path) -> tuple[Run, Finding | None]:
    """The run; where its settings cannot be read, what is wrong, and a run without them."""
    try:
        return Run.open(folder), None
    except SwirlError as error:
        if not (folder / "run.toml").is_file():
            raise
        problem = str(error).removeprefix(f"{folder / 'run.toml'}: ")
        remedy = (
            "restore it from a copy; until then only files are compared with the manifest, and no records are looked at"
        )
        return Run(folder, RunConfig()), Finding(str(folder / "run.toml"), "settings", problem, remedy)


def _manifest(folder: Path) -> tuple[Manifest, Finding | None]:
    try:
        return read_manifest(folder), None
    except RecordError as error:
        place, problem, remedy = parts(error)
        return Manifest(), Finding(place, "manifest", problem, remedy)


def _of_origin(origin: Origin | RecordError) -> Finding | None:
    if isinstance(origin, Origin):
        return None
    place, problem, remedy = parts(origin)
    return Finding(place, "origin", problem, remedy)


def _check_settings(checking: Checking) -> None:
    """Whether the settings are still those that the records were made with."""
    run = checking.run
    for name, origin in checking.origins.items():
        now = run.id(origin.stage)
        if (origin.run, origin.seed) != (now, run.config.seed):
            problem = (
                f"its settings for `{origin.stage}` are not those that records were made with ({now} with seed {run.config.seed}, and "
                f"{name} tells of {origin.run} with seed {origin.seed})"
            )
            remedy = f"restore it from a copy, or run `swirl {origin.stage} {run.path} --redo` to make them anew"
            checking.add(Finding(str(run.path / "run.toml"), "settings", problem, remedy))
    if not (run.path / FILE).exists():
        checking.notes.append(
            f"{run.path} has no {FILE}, so no file could be compared with what it was: an older version wrote it, or it was removed"
        )
