"""Whatever a run folder knows of each trajectory, side by side: what judges said, what the filter decided, whether the answer is right.

A stream, for whoever looks at a run: one shard's verdicts and one trajectory are held at a time, beside the filter's decisions. No lock is
taken, and a run may go on meanwhile.

Not here: which of them are wanted (`swirl.where`), how they are shown (`swirl.transcript`), and what they come to (`swirl.counts`).
"""

import difflib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from swirl.errors import RunFolderError
from swirl.evaluate import EvaluatedTrajectory
from swirl.filters import Decision
from swirl.records import read, read_document
from swirl.selection import Selection
from swirl.shards import Named, ids, judged
from swirl.types import Trajectory, Verdict

Standing = Literal["good", "bad", "missing"]
"""What a verdict comes to."""
LABELS = "labels"
"""What the judge of evaluated steps is called here."""
_NAMED = 5
"""Ids named where one was not clear."""


class Known(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A trajectory, and what is known of it."""

    trajectory: Trajectory
    judge: str = ""
    """Name of the run's own judge."""
    verdicts: Mapping[str, tuple[Verdict | None, ...]] = {}
    """Judge -> one entry a step, None where there is none."""
    kept: bool | None = None
    """Whether the filter keeps it; None where it has not decided."""
    reason: str = ""
    """Why it does, or not."""
    correct: bool | None = None
    """Whether its answer is right; None where that is not known."""
    file: str = ""
    """Name of the file it stands in."""
    line: int = 0
    """Its line there, from 1."""

    def said(self, judge: str) -> tuple[Verdict | None, ...]:
        """A judge's verdicts, one entry a step, also where it gave none."""
        return self.verdicts.get(judge, (None,) * len(self.trajectory.steps))


def standing(verdict: Verdict | None) -> Standing:
    """What a verdict comes to; one that was never given is missing too.

    >>> standing(Verdict(1.0)), standing(Verdict(0.0)), standing(None)
    ('good', 'bad', 'missing')
    """
    if verdict is None or verdict.score is None:
        return "missing"
    return "good" if verdict.good else "bad"


def badge(verdict: Verdict | None) -> str:
    """GOOD, BAD or MISSING.

    >>> badge(Verdict(0.0)), badge(None)
    ('BAD', 'MISSING')
    """
    return standing(verdict).upper()


def known(folder: Path, judge: str, right: Callable[[Trajectory], bool | None]) -> Iterator[Known]:
    """The trajectories of a run folder whose own judge has this name; `right` says whether an answer is, as far as that can be said."""
    decisions = _decisions(folder)
    for each in judged(folder):
        trajectory, (path, line) = each.trajectory, each.place
        decision = decisions.get(trajectory.id)
        yield Known(
            trajectory=trajectory,
            judge=judge,
            verdicts={name_of(stem, judge): said for stem, said in each.verdicts.items()},
            kept=decision.kept if decision else None,
            reason=decision.reason if decision else "",
            correct=right(trajectory),
            file=path.name,
            line=line,
        )


def name_of(stem: str, judge: str) -> str:
    """Whose verdicts a file holds, by its name without shard and ending.

    >>> name_of("verdicts", "rule"), name_of("verdicts-solver", "rule")
    ('rule', 'solver')
    """
    return stem.removeprefix("verdicts-") if stem != "verdicts" else judge


def named(path: Path, name: str, flag: str) -> Named:
    """The trajectory of a run folder whose id is a name, or alone begins with it; raises `RunFolderError`, in the words of the flag that
    named it, where there is none or several."""
    known, beginning = [], []
    for each in ids(path):
        if each.id == name:
            return each
        known.append(each.id)
        if each.id.startswith(name):
            beginning.append(each)
    if len(beginning) == 1:
        return beginning[0]
    if beginning:
        some = ", ".join(each.id for each in beginning[:_NAMED])
        raise RunFolderError(
            f"{flag}: {len(beginning)} trajectories of {path} have ids that begin with {name!r}: {some}"
            f"{', ...' if len(beginning) > _NAMED else ''}; name one of them"
        )
    near = difflib.get_close_matches(name, known, n=_NAMED, cutoff=0.5)
    hint = (
        f"the nearest are {', '.join(near)}"
        if near
        else f"they are named like {known[0]}"
        if known
        else "it has none yet"
    )
    raise RunFolderError(
        f"{flag}: expected the id of a trajectory of {path}, or how one begins, found {name!r}; {hint}"
    )


def _decisions(folder: Path) -> Mapping[str, Decision]:
    """What the filter decided, by trajectory; nothing where it has not run."""
    path = folder / "selection.json"
    if not path.exists():
        return {}
    selection = read_document(path, Selection, f"swirl filter {folder}")
    return {decision.trajectory: decision for decision in selection.decisions}


def evaluated(folder: Path) -> Iterator[Known]:
    """The trajectories of a run folder's evaluation, file by file, graded, with the labels on their steps."""
    for path in sorted((folder / "evaluation").glob("*.jsonl")):
        for line, record in enumerate(read(path, EvaluatedTrajectory), start=1):
            yield Known(
                trajectory=record.trajectory,
                judge=LABELS,
                verdicts={LABELS: record.verdicts} if record.verdicts else {},
                correct=record.correct,
                file=path.name,
                line=line,
            )
