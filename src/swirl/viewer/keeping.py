"""Keeping the viewer's index up with a run folder, in slices, each of which is seen whole or not at all.

Not here: how a file is followed (`swirl.viewer.following`), what is written of it (`swirl.viewer.writing`).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path

from msgspec import Struct

from swirl.errors import RecordError
from swirl.evaluate import EvaluatedTrajectory
from swirl.filters import FilterConfig
from swirl.records import read_document
from swirl.selection import Selection
from swirl.types import JudgedStep, Trajectory
from swirl.viewer.database import Database
from swirl.viewer.entries import evaluated, generated
from swirl.viewer.following import Line
from swirl.viewer.sources import Source, listed
from swirl.viewer.writing import Writer

_MOST_LINES, _MOST_BYTES, _MOST_SECONDS = 1000, 8_000_000, 0.5
"""Of one change."""


class Indexed(Struct, frozen=True, kw_only=True):
    """How far the index is."""

    trajectories: int = 0
    of: int | None = None
    """How many are there, judged by the bytes that were not read yet; None where none was read."""
    evaluated: int = 0
    verdicts: int = 0
    complete: bool = False
    """Whether all that was there at the last look is in it."""
    version: int = 0
    """Grows with each change."""
    remarks: tuple[str, ...] = ()
    """What could not be read, a sentence a file."""


class Keeping:
    """The one that writes."""

    def __init__(
        self,
        run: Path,
        judge: str,
        right: Callable[[Trajectory], bool | None],
        database: Database,
        config: FilterConfig,
    ) -> None:
        self.state = Indexed()
        self._run, self._judge, self._right, self._database, self._config = run, judge, right, database, config
        self._writer = Writer(database.writer, judge, config)
        self._sources: dict[Path, Source] = {}
        self._selection: tuple[int, ...] | None = None
        self._remark = ""

    def go_on(self, end: float) -> bool:
        """Read what is new, until this moment of the clock or until there is nothing; whether anything changed."""
        before = self.state
        self._list()
        self._decide()
        complete = all(self._read(source, end) for source in sorted(self._sources.values(), key=lambda s: s.order))
        complete = complete and self._sum_up(end)
        self._tell(complete=complete)
        return self.state != before

    def _list(self) -> None:
        """Look which files are there, and which of them are not what they were."""
        there = dict(listed(self._run))
        for path, source in list(self._sources.items()):
            if source.torn or path not in there or (source.followed.offset and not source.followed.stands()):
                with self._change():
                    self._writer.forget(source, gone=path not in there)
                source.begin()
            if path not in there:
                del self._sources[path]
        new = [Source(path, kind, self._judge) for path, kind in there.items() if path not in self._sources]
        if new:
            with self._change():
                for source in new:
                    self._writer.follow(source)
                    self._sources[source.path] = source
                self._rank()

    def _rank(self) -> None:
        """Give each file its place: shards by their number, the evaluation's by name."""
        for kind, own in groupby(sorted(self._sources.values(), key=lambda s: s.order), key=lambda s: s.kind):
            for place, source in enumerate(own):
                rank = place if kind == "evaluation" else source.shard
                if rank != source.rank:
                    self._writer.rank(source, rank)

    def _decide(self) -> None:
        """Take the filter's decisions where they are others than before."""
        path = self._run / "selection.json"
        try:
            found = path.stat()
            signature: tuple[int, ...] | None = (found.st_ino, found.st_size, found.st_mtime_ns)
        except OSError:
            signature = None
        if signature == self._selection:
            return
        self._remark = ""
        try:
            decisions = read_document(path, Selection, f"swirl filter {self._run}").decisions if signature else ()
        except RecordError as error:
            decisions, self._remark = (), str(error)
        with self._change():
            self._writer.decide(decisions)
        self._selection = signature

    def _read(self, source: Source, end: float) -> bool:
        """Take what is new in a file; False where time ran out first."""
        with closing(source.followed.lines()) as lines:
            more = True
            while more:
                try:
                    with self._change():
                        more = self._take(source, lines, min(end, time.monotonic() + _MOST_SECONDS))
                except BaseException:
                    source.torn = True
                    raise
                if more and time.monotonic() >= end:
                    return False
        return True

    def _take(self, source: Source, lines: Iterator[Line], end: float) -> bool:
        """Take as many lines as one change may; whether there may be more."""
        count = size = 0
        more = False
        for line in lines:
            self._take_one(source, line)
            count, size = count + 1, size + len(line.data)
            more = count >= _MOST_LINES or size >= _MOST_BYTES or time.monotonic() >= end
            if more:
                break
        if source.kind != "evaluation" and count:
            self._writer.sum_up(_MOST_LINES)
        return more

    def _take_one(self, source: Source, line: Line) -> None:
        try:
            match source.record(line):
                case JudgedStep() as record:
                    self._writer.judged(source, line, record)
                case EvaluatedTrajectory() as record:
                    self._writer.add(source, line, evaluated(record, self._config))
                case Trajectory() as record:
                    self._writer.add(source, line, generated(record, self._right, self._config))
        except RecordError as error:
            source.records -= 1
            source.remark(str(error))

    def _sum_up(self, end: float) -> bool:
        """Say anew what comes of verdicts where that is still to be done; False where time ran out first."""
        while self._database.writer.execute("SELECT 1 FROM entries WHERE stale LIMIT 1").fetchall():
            with self._change():
                self._writer.sum_up(_MOST_LINES)
            if time.monotonic() >= end:
                return False
        return True

    @contextmanager
    def _change(self) -> Iterator[None]:
        """A change, which is told of once it can be seen."""
        self._writer.begin()
        changes = self._database.writer.total_changes
        with self._database.writing():
            yield
            self._writer.end()
        self._tell(complete=False, grown=self._database.writer.total_changes > changes)

    def _tell(self, *, complete: bool, grown: bool = False) -> None:
        sources = list(self._sources.values())
        counts = {kind: sum(s.records for s in sources if s.kind == kind) for kind in ("trajectories", "evaluation")}
        generated = [source for source in sources if source.kind == "trajectories"]
        read = sum(source.followed.offset for source in generated)
        there = max(read, sum(source.followed.size() for source in generated))
        self.state = Indexed(
            trajectories=counts["trajectories"],
            of=counts["trajectories"] if complete else round(counts["trajectories"] * there / read) if read else None,
            evaluated=counts["evaluation"],
            verdicts=sum(source.records for source in sources if source.kind == "verdicts"),
            complete=complete,
            version=self.state.version + grown,
            remarks=tuple(
                [remark for source in sources for remark in source.remarks()] + [self._remark] * bool(self._remark)
            ),
        )
