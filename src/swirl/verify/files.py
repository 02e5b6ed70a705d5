"""Whether the files of a run are, to the byte, what they were when their stage had ended."""

from collections.abc import Iterator
from pathlib import Path

from swirl.manifest import FILE, FILES, SETTINGS, File, changes, found, known, stage_of
from swirl.verify import Checking, Finding


def check_files(checking: Checking) -> None:
    """Hold every file against the manifest, and say which is in no manifest."""
    folder, files = checking.run.path, checking.manifest.files
    for name, then in files.items():
        sound = True
        for finding in _findings(checking, folder, name, then):
            checking.add(finding)
            sound = False
        checking.files += sound
    checking.unfinished.update(stage for stage in FILES if _begun(checking, stage))
    there = [name for stage in FILES for name in found(folder, stage)]
    if unknown := [name for name in there if name not in files and stage_of(name) not in checking.unfinished]:
        some = ", ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
        checking.notes.append(
            f"no hash of {some} is in {folder / FILE}, so whether they were changed since cannot be told; the command of their stage "
            "takes them in"
        )


def _begun(checking: Checking, stage: str) -> bool:
    """Whether parts of a stage are still to be made: their files are there, and empty."""
    files = checking.manifest.files
    own = found(checking.run.path, stage).items()
    return bool(files) and any(name not in files and not path.stat().st_size for name, path in own)


def _findings(checking: Checking, folder: Path, name: str, then: File) -> Iterator[Finding]:
    path, stage = folder / name, stage_of(name)
    again = checking.again(stage) if stage != SETTINGS else "restore it from a copy"
    if not path.is_file():
        yield Finding(str(path), "missing file", f"expected a file of {then.bytes} bytes, found none", again, stage)
        return
    now = known(path, checking.on_read)
    if (now.bytes, now.sha256) == (then.bytes, then.sha256):
        return
    named = list(changes(then.lines, now.lines)) if then.lines else []
    for change in named:
        yield Finding(
            f"{path}:{change.line}", "changed line", f"{change.what} since the file was written", again, stage
        )
    if not named:
        what = (
            f"expected {then.bytes} bytes with SHA-256 {then.sha256:.12}..., found {now.bytes} with {now.sha256:.12}..."
        )
        yield Finding(str(path), "changed file", what, again, stage)
    if path.suffix == ".jsonl" and _torn(path):
        yield Finding(str(path), "torn line", "its last line is unfinished, and is not read", again, stage)


def _torn(path: Path) -> bool:
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        if not size:
            return False
        stream.seek(size - 1)
        return stream.read(1) != b"\n"
