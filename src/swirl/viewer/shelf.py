"""The runs that are looked at. A study stands for all its runs, a run of several rounds for each of them."""

import hashlib
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from swirl import rounds
from swirl.errors import RunFolderError, SwirlError
from swirl.grades import grader
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.terminal import say
from swirl.viewer.answers import Answers
from swirl.viewer.cached import stamp
from swirl.viewer.groups import Groups
from swirl.viewer.index import Index
from swirl.viewer.verdicts import Verdicts

STUDY = "study.json"
_SLICE = 0.5
"""Seconds that one run is read for before others have their turn."""
_PAUSE = 1.0
"""Seconds between two looks at files that did not change."""


class Opened:
    """One run folder that is looked at."""

    def __init__(self, path: Path, slug: str, scratch: Path) -> None:
        self.path = path
        self.slug = slug
        """Its name in addresses."""
        self._scratch = scratch
        self.beside: Mapping[str, Opened] = {}
        """All runs that are looked at, itself included."""
        self.asked_for = False
        """Whether anyone has looked for its trajectories, so that they are worth an index."""
        self._config, self._stamp = Run.open(path).config, stamp(path / "run.toml")
        self._making = threading.Lock()

    @property
    def config(self) -> RunConfig:
        """Its settings as they are now."""
        now = stamp(self.path / "run.toml")
        if now != self._stamp:
            with suppress(SwirlError):  # being written: what was known holds until it is there again
                self._config, self._stamp = Run.open(self.path).config, now
        return self._config

    @property
    def title(self) -> str:
        """What people call it."""
        return rounds.label(self.path, self.config.round)

    @cached_property
    def _index(self) -> Index:
        config = self.config
        file = self._scratch / f"{self.slug}.sqlite"
        return Index(self.path, config.judge.name, grader(config), file, config=config.filter)

    @property
    def index(self) -> Index:
        """Its trajectories and evaluation; from the first time on they are kept up with."""
        with self._making:
            index = self._index
        self.asked_for = True
        return index

    @cached_property
    def _groups(self) -> Groups:
        return Groups(self.path)

    @property
    def groups(self) -> Groups:
        """What training sampled, read on for a moment; where that was not enough, the thread that follows the runs goes on."""
        with self._making:
            groups = self._groups
        groups.refresh(budget=_SLICE)
        return groups

    def follow(self) -> bool:
        """Read what is new of whatever has been asked for; whether anything was."""
        changed = self.asked_for and self.index.refresh(budget=_SLICE)
        return ("_groups" in self.__dict__ and self._groups.refresh(budget=_SLICE)) or changed

    @cached_property
    def answers(self) -> Answers:
        """What was answered to held-out questions; whoever looks at it has it read on."""
        return Answers(self.path / "evaluation")

    @cached_property
    def verdicts(self) -> Verdicts:
        """What judges said; whoever looks at it has it read on."""
        return Verdicts(self.path)

    def version(self) -> str:
        """Another one whenever something in the run folder has changed that a page could show."""
        files = [
            path
            for pattern in ("*", "train/*.jsonl", "evaluation/*", "rounds/*/summary.json")
            for path in self.path.glob(pattern)
        ]
        stamps = sorted((path.name, stamp(path)) for path in files)
        known = self._index.state() if self.asked_for else None
        sampled = self._groups.state().version if "_groups" in self.__dict__ else 0
        read = [self.__dict__[name].version for name in ("answers", "verdicts") if name in self.__dict__]
        return hashlib.sha256(repr((stamps, known, sampled, read)).encode()).hexdigest()[:16]

    def close(self) -> None:
        """Give back what it holds."""
        if "_index" in self.__dict__:
            self._index.close()


class Shelf:
    """All of them, kept up with by one thread, and others that come to be in the same folders; a context manager."""

    def __init__(self, paths: Sequence[Path], scratch: Path) -> None:
        self._paths = paths
        self._scratch = scratch
        self.studies: Mapping[str, Path] = {}
        self.runs: Mapping[str, Opened] = {}
        """By slug; another mapping once there are more, so that whoever goes through one is not disturbed."""
        self._look()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="swirl-view", daemon=True)

    def _look(self) -> None:
        """Take in the runs and studies that there are now; raises `RunFolderError` where a path stands for none."""
        runs, studies = dict(self.runs), dict(self.studies)
        known = {run.path for run in runs.values()}
        for path in self._paths:
            for folder in _runs_of(path):
                if folder not in known:
                    slug = _slug(folder, path, runs)
                    runs[slug] = Opened(folder, slug, self._scratch)
                    known.add(folder)
            if (path / STUDY).is_file() and path not in studies.values():
                studies[_slug(path, path, studies)] = path
        if len(runs) > len(self.runs):
            for run in runs.values():
                run.beside = runs
            self.runs = runs
        self.studies = studies

    def __enter__(self) -> "Shelf":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        for run in self.runs.values():
            run.close()

    def _follow(self) -> None:
        told: set[str] = set()
        while not self._over.is_set():
            changed = False
            with suppress(SwirlError, OSError):  # a run that is being begun, moved or removed
                self._look()
            for run in self.runs.values():
                try:
                    changed = run.follow() or changed
                except Exception as error:  # one run that cannot be read keeps none of the others from being followed
                    if (sentence := f"{run.slug}: {error}") not in told:
                        told.add(sentence)
                        say(f"view: {sentence}")
                if self._over.is_set():
                    return
            if not changed:
                self._over.wait(_PAUSE)


def _runs_of(path: Path) -> Iterator[Path]:
    """The run folders that a path stands for, which is one or holds some; raises `RunFolderError` where there are none."""
    if (path / "run.toml").is_file():
        yield path
        begun = [each.parent for each in (path / rounds.ROUNDS).glob("*/run.toml")]
        yield from sorted(begun, key=lambda each: (len(each.name), each.name))
        return
    found = sorted((each.parent for each in path.glob("*/run.toml")), key=_natural)
    if not found:
        raise RunFolderError(
            f"expected a run folder (with run.toml) at {path}, or one that holds some, as a study's, found neither; "
            f"make a run with `swirl demo --out {path}`"
        )
    for folder in found:
        yield from _runs_of(folder)


def _natural(path: Path) -> list[tuple[int, str]]:
    """By name, and by numbers in it as numbers.

    >>> sorted(map(Path, ["1000-seed1", "300-seed2", "300-seed1"]), key=_natural)[0].name
    '300-seed1'
    """
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", path.name)]


def _slug(folder: Path, given: Path, taken: Mapping[str, object]) -> str:
    """A name for addresses: made of plain letters, and no two alike."""
    words = [given.resolve().name, *folder.relative_to(given).parts]
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(words)).strip("-.") or "run"
    slug, number = plain, 2
    while slug in taken:
        slug, number = f"{plain}-{number}", number + 1
    return slug
