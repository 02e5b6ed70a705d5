"""Before against after: figures with their intervals, every one of them, and the questions gained and lost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swirl import tables
from swirl.errors import RecordError
from swirl.evaluation_plots import accuracy_plot, growth_plot
from swirl.statistics import wilson
from swirl.summary import read_summary
from swirl.viewer.answers import KINDS, Answers, Kind, Pair, Said, Way
from swirl.viewer.cached import drawn_of
from swirl.viewer.headline import summary_of
from swirl.viewer.listing import FIELDS, Listing
from swirl.viewer.page import Asked, Page, paged
from swirl.viewer.shelf import Opened

BUDGET = 0.7
"""Seconds that a page waits for files to be read."""
_SIZE = 25


def view(run: Opened, asked: Asked) -> Page:
    """The page; raises `ConfigError` where the address asks for nonsense."""
    listing = Listing.read(asked)
    answers = run.answers
    answers.refresh(BUDGET)
    summed_up = summary_of(run.path)
    summary = summed_up.found
    names = names_of(run, any(answers.compared(way) for way in answers.ways()))
    pairs = sorted(listing.pairs(answers), key=lambda pair: KINDS.index(pair.kind))
    page, pages = paged(asked, len(pairs), _SIZE)
    data = {
        "names": names,
        "summary": _told(summary) if summary else None,
        "problem": summed_up.why_not if summed_up.unreadable else "",
        "out_of_date": summary is not None and answers.complete and _out_of_date(summary, answers),
        "complete": answers.complete,
        "unread": answers.unread,
        "ways": [_way(answers, way) for way in answers.ways()],
        "prompts": len({way.prompt for way in answers.ways()}) > 1,
        "kinds": {kind: kind_in_words(kind, names) for kind in _kinds(answers)},
        "menus": _menus(answers),
        "listing": {"kind": listing.kind or "", "q": listing.q, **dict(listing.held)},
        "rows": [row(pair, listing) for pair in pairs[(page - 1) * _SIZE : page * _SIZE]],
        "total": len(pairs),
        "page": page,
        "pages": pages,
    }
    return Page("Evaluation", data, _python(run.path, summary is not None), _plots(run.path) if summary else {})


def names_of(run: Opened, compared: bool) -> Sequence[str]:
    """What the policies are called: two where there is something to compare."""
    if not compared:
        return ("policy",)
    return ("policy", "against") if run.config.evaluate.against else ("before", "after")


def kind_in_words(kind: Kind, names: Sequence[str]) -> str:
    """What became of a question; a policy alone was right or wrong.

    >>> kind_in_words("gained", ("policy", "against")), kind_in_words("right", ("policy",))
    ('gained: wrong by policy, right by against', 'right')
    """
    if len(names) < 2:
        return kind
    first, second = (name if names[0] == "before" else f"by {name}" for name in names)
    return {
        "gained": f"gained: wrong {first}, right {second}",
        "lost": f"lost: right {first}, wrong {second}",
        "right": "right both times",
        "wrong": "wrong both times",
        "waiting": "answered by one of the two so far",
    }[kind]


def address(way: Way, id: str, listing: Listing) -> dict[str, str]:
    """What the address of a question asks for, in a list."""
    return {**way._asdict(), "id": id, "kind": listing.kind or "", "q": listing.q, "in": listing.fixed}


def row(pair: Pair, listing: Listing) -> dict[str, Any]:
    """A question of a list, as the page tells it."""
    several = max(pair.samples) > 1
    return {
        **pair.way._asdict(),
        "id": pair.id,
        "question": pair.text,
        "gold": pair.gold,
        "before": _said(pair.before),
        "after": _said(pair.after),
        "samples": [f"{right} of {n}" if n else "" for right, n in zip(pair.right, pair.samples, strict=True)]
        if several
        else [],
        "kind": pair.kind,
        "address": address(pair.way, pair.id, listing),
    }


def _said(said: Said | None) -> dict[str, Any] | None:
    return {"answer": said.answer, "right": said.correct} if said else None


def _told(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "headline": tables.headline(summary),
        "questions": tables.questions(summary),
        "seed": summary["seed"],
        "remarks": tables.remarks(summary),
        "policies": summary["policies"],
        "columns": tables.columns(summary),
        "sheets": [
            {
                "title": tables.title(sheet),
                "about": tables.about(sheet),
                "rows": tables.rows(sheet),
                "changes": tables.changes(sheet),
            }
            for sheet in summary["table"]
        ],
        "legend": tables.LEGEND,
        "grader": summary["grader"],
        "tools": tables.tool_rows(summary),
    }


def _out_of_date(summary: Mapping[str, Any], answers: Answers) -> bool:
    """Whether other questions were gained and lost, or others answered, than the summary says."""
    told = {
        (sheet["task"], sheet["mode"], sheet["prompt"], "with" if sheet["tools"] else "without"): sheet.get("mcnemar")
        for sheet in summary["table"]
    }
    if set(told) != set(answers.ways()):
        return True
    counts = ((test, answers.count(Way(*way))) for way, test in told.items())
    return any(test and (test["b"], test["c"]) != (count.lost, count.gained) for test, count in counts)


def _way(answers: Answers, way: Way) -> dict[str, Any]:
    count = answers.count(way)
    return {
        **way._asdict(),
        "address": way._asdict(),
        "before": _share(*count.before),
        "after": _share(*count.after),
        "compared": answers.compared(way),
        "kinds": {kind: getattr(count, kind) for kind in KINDS},
    }


def _share(right: int, n: int) -> dict[str, Any] | None:
    if not n:
        return None
    found = wilson(right, n)
    return {"right": right, "n": n, "share": found.mean, "ci95": (found.low, found.high)}


def _kinds(answers: Answers) -> list[Kind]:
    """The kinds that there can be: without a second policy nothing is gained or lost."""
    ways = answers.ways()
    if not any(answers.compared(way) for way in ways):
        return ["right", "wrong"]
    return [kind for kind in KINDS if kind != "waiting" or any(answers.count(way).waiting for way in ways)]


def _menus(answers: Answers) -> dict[str, list[str]]:
    """By what the list can be narrowed, where there is a choice."""
    found = {name: list(dict.fromkeys(getattr(way, name) for way in answers.ways())) for name in FIELDS}
    return {name: values for name, values in found.items() if len(values) > 1}


def _plots(path: Path) -> Mapping[str, str]:
    try:
        return drawn_of(path / "summary.json", _drawn)
    except (OSError, RecordError):
        return {}  # made anew this moment


def _drawn(file: Path) -> Mapping[str, str]:
    summary = read_summary(file.parent)
    return {
        "accuracy": accuracy_plot(summary),
        "gold": growth_plot(summary, "gold_recall", "after step"),
        "passed": growth_plot(summary, "pass", "k"),
    }


def _python(path: Path, summed_up: bool) -> str:
    lines = [
        "from pathlib import Path",
        "from swirl.samples import evaluated_pairs",
        *(["from swirl.summary import read_summary"] if summed_up else []),
        f"run = Path({str(path)!r})",
        *(["summary = read_summary(run)"] if summed_up else []),
        'pairs = [pair for pairs in evaluated_pairs(run / "evaluation") for pair in pairs]',
        "gained = [(before, after) for before, after in pairs if after.correct and not before.correct]",
        "lost = [(before, after) for before, after in pairs if before.correct and not after.correct]",
    ]
    return "\n".join(lines)
