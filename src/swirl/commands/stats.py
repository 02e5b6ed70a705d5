"""`swirl stats`: what trajectories come to."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from swirl.commands.looking import Conditions, Of, looked_at, told
from swirl.commands.words import Command
from swirl.count_tables import terminal_counts
from swirl.counts import count
from swirl.terminal import results


@dataclass(frozen=True, kw_only=True)
class StatsCommand:
    """Count trajectories: endings, right answers, steps, tools and their errors, verdicts by step and action, lengths, tokens, duplicates.

    One pass over the files, however large. Nothing is written, and a run may go on meanwhile.

    Example: swirl stats runs/mine --where task=world
    """

    where: Conditions = ()
    """Conditions on what is counted, as in `swirl show`."""
    of: Of = "trajectories"
    """trajectories, or evaluation: the answers to held-out questions."""
    json: bool = False
    """Print the counts as one JSON object."""


def _stats(name: str, words: Sequence[str]) -> None:
    path, command = told(f"{name} RUN", words, StatsCommand())
    counts = count(looked_at(path, command.of, command.where))
    if command.json:
        print(json.dumps(msgspec.to_builtins(counts, str_keys=True), indent=2, ensure_ascii=False))
    else:
        results().print(terminal_counts(counts))


COMMANDS = {"stats": Command(StatsCommand, _stats)}
