"""A judge's calibration as it stands in a run folder: the record, whether it is still true of what it was made of, and its rows of text for
terminal and page.

Not here: how the figures are reckoned (`swirl.judges.calibration`, `swirl.judges.adversarial`).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from msgspec import Struct
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from swirl.judges.adversarial import Acceptance
from swirl.judges.calibration import Errors, Interval95, Measures, Rate
from swirl.records import read_document

Rows = Sequence[Sequence[str]]
"""A table: its headings, then its rows."""

LEGEND = (
    "False positives (FPR) are bad steps called good, of all bad ones; false negatives (FNR) good steps called bad, of all good ones. "
    "Missing verdicts count in no figure. Shares have Wilson's interval, as if steps were independent; AUROC and kappa that of a bootstrap "
    "over questions."
)
"""How to read the figures."""
ACCEPTED = (
    "Accepted: the share called good, of the verdicts on well-formed actions that can be read. Malformed actions are BAD without asking. "
    "The question as the query may be fair now and then."
)
"""How to read what was accepted of the adversarial set."""


class Calibration(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="swirl.calibration/1", tag_field="schema"
):
    """A judge against the truth, as it is written to disk."""

    judge: str
    """The judge, with the version of its prompt where it has one."""
    truth: str
    """Who knows: reference, solver, or the file of labels."""
    seed: int
    made_of: dict[str, str]
    """File, in the run folder unless its path is absolute -> its digest."""
    measures: Measures
    left_out: dict[str, int]
    """Task -> steps of which the truth is not known."""
    states: int
    """States that the adversarial set was played at."""
    families: tuple[Acceptance, ...]
    actions: tuple[Acceptance, ...]

    FILE: ClassVar[str] = "calibration.json"


def read_calibration(run: Path) -> Calibration | None:
    """The calibration in a run folder, None where there is none; raises `RecordError` where it cannot be read."""
    path = run / Calibration.FILE
    return read_document(path, Calibration, f"swirl judge {run} --calibrate TRUTH") if path.exists() else None


def digest_of(file: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def changed(run: Path, calibration: Calibration) -> list[str]:
    """The files that are no longer those the calibration was made of. Labels that lie elsewhere and are gone are no change: a run folder
    may be read on another machine."""
    return [name for name, known in calibration.made_of.items() if not _same(run, name, known)]


def _same(run: Path, name: str, known: str) -> bool:
    file = run / name
    return digest_of(file) == known if file.is_file() else Path(name).is_absolute()


def interval(ci95: Interval95 | None) -> str:
    """An interval as text; empty where there is none.

    >>> interval((0.25, 0.5))
    '[0.25, 0.50]'
    """
    return f"[{ci95[0]:.2f}, {ci95[1]:.2f}]" if ci95 else ""


def told(rate: Rate) -> str:
    """A share and its interval as text, a dash of nothing.

    >>> told(Rate(1, 4, 0.25, (0.05, 0.70)))
    '0.25 [0.05, 0.70]'
    """
    return "-" if rate.share is None else f"{rate.share:.2f} {interval(rate.ci95)}"


def figure_rows(measures: Measures) -> Rows:
    """The figures over all steps."""
    agreement, errors = measures.agreement, measures.errors
    bad, good = errors.false_positive.n, errors.false_negative.n
    accuracy = Rate(round(agreement.accuracy * agreement.n), agreement.n, agreement.accuracy, agreement.accuracy_ci95)
    return [
        ("figure", "n", "value [95 %]"),
        ("accuracy", str(agreement.n), told(accuracy) if agreement.n else "-"),
        ("Cohen's kappa", str(agreement.n), _value(agreement.kappa if agreement.n else None, measures.kappa_ci95)),
        ("AUROC", str(agreement.n), _value(measures.auroc, measures.auroc_ci95)),
        ("false-positive rate", str(bad), told(errors.false_positive)),
        ("false-negative rate", str(good), told(errors.false_negative)),
        ("Brier score", str(agreement.n), _value(measures.brier, None)),
    ]


def _value(value: float | None, ci95: Interval95 | None) -> str:
    return "-" if value is None else f"{value:.2f} {interval(ci95)}".rstrip()


def bin_rows(measures: Measures) -> Rows:
    """The reliability diagram as numbers."""
    rows = [(f"{each.score:.2f}", str(each.good.n), told(each.good)) for each in measures.bins]
    return [("mean score", "n", "share that is good [95 %]"), *rows]


def reliability_points(measures: Measures) -> list[tuple[float, float, Interval95, int]]:
    """The same for `swirl.plots.reliability`: mean score, the share that is good, its interval and n."""
    return [(each.score, each.good.count / each.good.n, each.good.ci95, each.good.n) for each in measures.bins]


def bias_rows(measures: Measures) -> Rows:
    """Errors by the position of the step, and by the length of its action."""
    return [
        ("", "bad", "FPR [95 %]", "good", "FNR [95 %]"),
        *_error_rows("step ", measures.by_step, ""),
        *_error_rows("", measures.by_length, " characters"),
    ]


def _error_rows(before: str, groups: Mapping[str, Errors], after: str) -> Iterator[Sequence[str]]:
    for name, errors in groups.items():
        wrong, missed = errors.false_positive, errors.false_negative
        yield f"{before}{name}{after}", str(wrong.n), told(wrong), str(missed.n), told(missed)


def missing_rows(measures: Measures) -> Rows:
    """Verdicts that are missing, by kind of action."""
    rows = [(kind, str(each.n), str(each.missing)) for kind, each in measures.missing.items()]
    return [("kind of action", "steps", "missing"), *rows]


def acceptance_rows(acceptances: Sequence[Acceptance]) -> Rows:
    """What was accepted of the adversarial set."""
    rows = [
        (
            each.name,
            str(each.accepted.n),
            told(each.accepted),
            _part(each.missing),
            f"{each.malformed.n - each.malformed.count} of {each.malformed.n}" if each.malformed.n else "-",
        )
        for each in acceptances
    ]
    return [("", "n", "accepted [95 %]", "missing", "malformed: BAD"), *rows]


def _part(rate: Rate) -> str:
    return f"{rate.count} of {rate.n}" if rate.n else "-"


def notes(calibration: Calibration) -> list[str]:
    """What was left out."""
    return [
        f"Left out: {count} steps of {task}, of which {calibration.truth} does not tell the truth."
        for task, count in calibration.left_out.items()
    ]


def title(calibration: Calibration) -> str:
    """What was measured against what."""
    return f"{calibration.judge} against {calibration.truth}, which is taken as the truth"


def all_rows(calibration: Calibration) -> dict[str, Any]:
    """All figures as rows of text, with how to read them, by the names that pages show them under."""
    measures = calibration.measures
    return {
        "figures": figure_rows(measures),
        "bins": bin_rows(measures),
        "biases": bias_rows(measures),
        "missing": missing_rows(measures),
        "notes": notes(calibration),
        "legend": LEGEND,
        "states": calibration.states,
        "families": acceptance_rows(calibration.families),
        "actions": acceptance_rows(calibration.actions),
        "about": ACCEPTED,
    }


def print_calibration(calibration: Calibration) -> None:
    """All figures, on standard output."""
    measures, console = calibration.measures, Console(highlight=False, markup=False)
    adversarial = f"Adversarial actions at {calibration.states} states, accepted by {calibration.judge}"
    tables = {
        title(calibration): figure_rows(measures),
        "Reliability: what scores are worth": bin_rows(measures),
        "Errors by position and by length": bias_rows(measures),
        "Missing verdicts": missing_rows(measures),
        adversarial: acceptance_rows(calibration.families),
    }
    for heading, rows in tables.items():
        console.print(heading)
        console.print(_table(rows))
    for line in (*notes(calibration), LEGEND, ACCEPTED):
        console.print(line)


def _table(rows: Rows) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
    for heading in rows[0]:
        table.add_column(heading, no_wrap=True, justify="right" if heading in ("n", "bad", "good") else "left")
    for row in rows[1:]:
        table.add_row(*row)
    return table
