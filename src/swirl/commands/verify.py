"""`swirl verify`: whether a run folder is what it was."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swirl import rounds
from swirl.catalog import open_task
from swirl.commands.words import Command, parse, take
from swirl.terminal import say
from swirl.verify.checks import verify


@dataclass(frozen=True, kw_only=True)
class VerifyCommand:
    """Check that a run's files are what they were, and that its records fit together; names what is wrong.

    Every file is compared with its hash in manifest.json, every record with its schema, every action, result, state, verdict, decision and
    grade with what it is about, in each of its rounds. Nothing is written, and a run may go on meanwhile. The exit status is 1 where
    something is wrong.

    Example: swirl verify runs/mine
    """


def _verify(name: str, words: Sequence[str]) -> int:
    usage = f"{name} RUN"
    first, flags = take(words, usage)
    parse(usage, flags, VerifyCommand())
    return max([_checked(folder) for folder in _folders(Path(first))])


def _folders(path: Path) -> list[Path]:
    """The run's, and after it those of its further rounds; of a further round, its own alone."""
    return [path] if rounds.number_of(path) > 1 else list(rounds.everything(path, 1))


def _checked(folder: Path) -> int:
    report = verify(folder, open_task)
    for finding in report.wrong:
        print(finding)
    for kind, count in report.further.items():
        print(f"{kind}: {count} more")
    for note in report.notes:
        say(f"note: {note}")
    looked_at = f"{report.records:,} records and {report.files:,} files"
    if report.num_wrong:
        print(
            f"{folder}: {report.num_wrong:,} thing{' is' if report.num_wrong == 1 else 's are'} wrong; {looked_at} were looked at"
        )
        return 1
    print(f"{folder}: {looked_at}, nothing wrong")
    return 0


COMMANDS = {"verify": Command(VerifyCommand, _verify)}
