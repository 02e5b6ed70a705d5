"""How far a run's judge can be trusted, as its calibration says, and whether that is still true of the files it was made of.

Large files are not read for a page: where the run's manifest has seen a file since it was written, its word is taken.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from swirl.calibrated import Calibration, all_rows, digest_of, read_calibration, title
from swirl.errors import RecordError
from swirl.manifest import FILE, Manifest, read_manifest

_SMALL = 32_000_000
"""Bytes of a file that is read to tell whether it has changed."""


def trust(run: Path) -> tuple[dict[str, Any] | None, Calibration | None]:
    """What a page tells of the calibration in a run folder, and the calibration; None where there is none. Of one that is out of date only
    that. Raises `RecordError` where it cannot be read."""
    found = read_calibration(run)
    if found is None:
        return None, None
    changed, unchecked = standing_of(run, found)
    told: dict[str, Any] = {
        "title": title(found),
        "truth": found.truth,
        "judge": found.judge,
        "changed": changed,
        "unchecked": unchecked,
    }
    return told if changed else told | all_rows(found), found


def standing_of(run: Path, calibration: Calibration) -> tuple[list[str], list[str]]:
    """The files that are no longer those a calibration was made of, and those of which that was not looked at, because they are large."""
    changed, unchecked = [], []
    manifest = _manifest(run)
    for name, known in calibration.made_of.items():
        same = _same(run, name, known, manifest)
        if same is None:
            unchecked.append(name)
        elif not same:
            changed.append(name)
    return changed, unchecked


def _same(run: Path, name: str, known: str, manifest: Manifest | None) -> bool | None:
    """Whether a file is what it was; None where that would take long. One of another machine that is not here is no change."""
    file = run / name
    try:
        found = file.stat()
    except OSError:
        return Path(name).is_absolute()
    if found.st_size <= _SMALL:
        try:
            return _digest(file, (found.st_mtime_ns, found.st_size, found.st_ino)) == known
        except OSError:
            return Path(name).is_absolute()
    then: Mapping[str, Any] = manifest.files if manifest and manifest.vouches(name) else {}
    if name in then and found.st_mtime_ns <= _written(run / FILE) and then[name].bytes == found.st_size:
        return bool(then[name].sha256 == known)
    return None


def _written(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=256)
def _digest(file: Path, stamp: tuple[int, int, int]) -> str:
    return digest_of(file)


def _manifest(run: Path) -> Manifest | None:
    try:
        return read_manifest(run)
    except RecordError:
        return None
