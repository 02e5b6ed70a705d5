"""Whether a run folder is what it was, and whether its records fit together: `swirl verify`.

`files` compares every file with the manifest, `trajectory` looks at one trajectory, `records` at those of a run with their verdicts,
`decisions` at what was made of them (selection, states), `training` at what it put on record, `answers` at the evaluation. All are
streams: what is kept in memory is a few bytes a trajectory, and one shard's verdicts. Nothing is written, and a run may go on meanwhile.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from swirl.manifest import Manifest
from swirl.origins import Origin
from swirl.run import Run
from swirl.tasks import Task

MOST = 10
"""Findings of one kind in one file that are told one by one."""


class Finding(NamedTuple):
    """Something that is wrong."""

    place: str
    """File and line."""
    kind: str
    """The same for all that are of one kind, so that they can be counted."""
    problem: str
    """What was expected, and what was found."""
    remedy: str
    """What to do."""
    stage: str = ""
    """The stage which has to be unfinished for it to be nothing to wonder at; empty where it is wrong whatever is under way."""

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}; {self.remedy}"


class Report(NamedTuple):
    """What came of it."""

    wrong: tuple[Finding, ...]
    further: dict[str, int]
    """File and kind -> how many more of them there are than are told one by one."""
    notes: tuple[str, ...]
    """What could not be checked, or is unfinished."""
    records: int
    """Records that were looked at."""
    files: int
    """Files that are what the manifest says."""

    @property
    def num_wrong(self) -> int:
        """How many things are wrong."""
        return len(self.wrong) + sum(self.further.values())


class Checking:
    """A run that is being checked, and what was found so far."""

    def __init__(
        self,
        run: Run,
        manifest: Manifest,
        origins: dict[str, Origin],
        open_task: Callable[[str], Task],
        on_read: Callable[[int], None],
    ) -> None:
        self.run = run
        self.manifest = manifest
        self.origins = origins
        self.open_task = open_task
        self.on_read = on_read
        """Hears how many bytes were read."""
        self.unfinished = set(manifest.unfinished)
        """Stages that have more to write."""
        self.records = 0
        self.files = 0
        self.notes: list[str] = []
        self._found: list[Finding] = []
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, finding: Finding) -> None:
        """Note something that is wrong."""
        key = _file(finding), finding.kind
        self._counts[key] += 1
        if self._counts[key] <= MOST:
            self._found.append(finding)

    def again(self, stage: str) -> str:
        """The remedy for what a stage wrote and is no more what it was."""
        command = f"swirl {stage.replace('_', '-')} {self.run.path} --redo"
        return f"restore it from a copy, or make it again with `{command}`"

    def report(self, later: Manifest) -> Report:
        """What was found. What an unfinished stage explains, one of the manifest before or after, is a note."""
        unfinished = self.unfinished | later.unfinished
        wrong = [each for each in self._found if each.stage not in unfinished]
        left: defaultdict[str, int] = defaultdict(int)
        told = {(_file(each), each.kind) for each in wrong}
        for (file, kind), count in self._counts.items():
            if count > MOST and (file, kind) in told:
                left[f"{file}: {kind}"] = count - MOST
        going = [
            f"`{stage}` is unfinished: what it has written so far was not held against it"
            for stage in sorted(unfinished)
        ]
        return Report(tuple(wrong), dict(left), (*self.notes, *going), self.records, self.files)


def _file(finding: Finding) -> str:
    return finding.place.rpartition(":")[0] if ":" in Path(finding.place).name else finding.place


def parts(error: Exception) -> tuple[str, str, str]:
    """The place, the problem and the remedy that an error names.

    >>> parts(ValueError("runs/mine/run.toml:3: expected a number, found none; mend it"))
    ('runs/mine/run.toml:3', 'expected a number, found none', 'mend it')
    """
    place, _, rest = str(error).partition(": ")
    problem, _, remedy = rest.rpartition("; ")
    return place, problem, remedy
