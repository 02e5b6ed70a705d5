"""One update of a training: what it measured, its states, and what was sampled at each."""

import math
from collections.abc import Callable, Mapping, Sequence

from swirl.errors import ConfigError
from swirl.train import Metrics
from swirl.viewer import baselines, growing
from swirl.viewer.groups import Measured
from swirl.viewer.headline import metrics_of
from swirl.viewer.page import Asked, NotThere, Page, paged
from swirl.viewer.pages.training import why_not_recorded
from swirl.viewer.sampled import Seen, seen
from swirl.viewer.shelf import Opened

SIZE = 32
"""States on a page."""
SORTS: Mapping[str, tuple[str, Callable[[Measured], float]]] = {
    "place": ("as they were drawn", lambda one: one.place),
    "advantage": ("largest advantage first", lambda one: -one.advantage),
    "disagreement": ("most disagreement first", lambda one: -(one.disagreement + one.contradicted)),
    "kl": ("farthest from the initial policy first", lambda one: -one.kl if math.isfinite(one.kl) else math.inf),
    "reward": ("lowest mean reward first", lambda one: one.reward if math.isfinite(one.reward) else math.inf),
}
"""How states can be ordered: in words, and what decides."""


def view(run: Opened, asked: Asked) -> Page:
    """The page."""
    trained = metrics_of(run.path / "train" / "metrics.jsonl", f"swirl train {run.path}")
    updates: list[Metrics] = trained.found
    recorded = run.groups.updates()
    number = _number(run, asked, [each.update for each in updates], recorded)
    sort, calls = asked.get("sort", "place"), growing.calls(run.path / "calls.jsonl")
    if sort not in SORTS:
        raise ConfigError(f"sort: expected one of {', '.join(SORTS)}, found {sort[:40]!r}")
    calls.refresh()
    measured = sorted(run.groups.measured(number), key=SORTS[sort][1])
    page, pages = paged(asked, len(measured), SIZE)
    before, after = _neighbours(number, recorded or [each.update for each in updates])
    took = calls.updates.get(("train", number))
    data = {
        "number": number,
        "metrics": next((each for each in reversed(updates) if each.update == number), None),
        "took": took._asdict() if took else None,
        "of": run.config.train.updates,
        "objective": run.config.train.objective,
        "baseline": baselines.about(run.config.train),
        "advantages": run.config.train.objective != "dpo",
        "why_not": "" if measured else _why_not(run, number, recorded),
        "total": len(measured),
        "sort": sort,
        "sorts": {name: words for name, (words, _) in SORTS.items()},
        "page": page,
        "pages": pages,
        "previous": before,
        "next": after,
        "states": _states(run, number, measured[(page - 1) * SIZE : page * SIZE]),
    }
    return Page(f"Update {number}", data, _python(run, number, bool(updates), bool(measured)))


def _number(run: Opened, asked: Asked, done: Sequence[int], recorded: Sequence[int]) -> int:
    text = asked["update"]
    there = {*done, *recorded}
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ConfigError(f"update: expected a number from 1 on, found {text[:40]!r}")
    if int(text) in there:
        return int(text)
    if not there:
        raise NotThere(f"no update is on record: `swirl train {run.path}` begins training")
    raise NotThere(f"no update {int(text)} is on record; there are updates {min(there)} to {max(there)}")


def _neighbours(number: int, there: Sequence[int]) -> tuple[int | None, int | None]:
    """The last update before one and the first after it, of those that are there.

    >>> _neighbours(5, [1, 4, 8]), _neighbours(1, [1])
    ((4, 8), (None, None))
    """
    before, after = ([each for each in there if each < number], [each for each in there if each > number])
    return max(before, default=None), min(after, default=None)


def _why_not(run: Opened, number: int, recorded: Sequence[int]) -> str:
    if not recorded:
        return why_not_recorded(run, trained=True)
    every = run.config.train.record_every
    return f"The samples of update {number} are not on record (`train.record_every = {every}`); those of the updates beside it are."


def _states(run: Opened, number: int, measured: Sequence[Measured]) -> list[Seen]:
    """The states of a page, in its order; those that are gone meanwhile are left out."""
    groups = run.groups
    everywhere = baselines.of_update(groups, number, run.config.train)
    found = {state.place: state for state in groups.of_update(number, {each.place for each in measured})}
    return [seen(run, groups, found[each.place], each, everywhere) for each in measured if each.place in found]


def _python(run: Opened, number: int, trained: bool, recorded: bool) -> str:
    lines = [
        "from pathlib import Path",
        "from swirl.records import read",
        "from swirl.train import Metrics",
        *(["from swirl.train.recorded import SampledState"] if recorded else []),
        f"folder = Path({str(run.path)!r}) / 'train'",
    ]
    if trained:
        lines += [f"metrics = next(each for each in read(folder / Metrics.FILE, Metrics) if each.update == {number})"]
    if recorded:
        lines += [
            f"states = [each for each in read(folder / SampledState.FILE, SampledState) if each.update == {number}]"
        ]
    return "\n".join(lines)
