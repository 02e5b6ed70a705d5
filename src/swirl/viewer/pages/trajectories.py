"""The table of all trajectories: searched, filtered, sorted, a page at a time. What is asked for is all in the address."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from swirl.run import Run
from swirl.viewer.census import Facets
from swirl.viewer.page import Asked, Page
from swirl.viewer.search import EVALUATION, TRAJECTORIES, Query, Row
from swirl.viewer.shelf import Opened

_SHOWN: Mapping[str, str] = {
    "file": "Question",
    "answer": "Answer",
    "task": "Task",
    "stop": "Ending",
    "steps": "Steps",
    "calls": "Calls",
    "errors": "Refused",
    "tokens": "Tokens",
    "good": "Good",
    "bad": "Bad",
    "missing": "Missing",
    "kept": "Kept",
    "correct": "Correct",
}
"""Column -> its heading; those that can be sorted by bear the name of that order."""
_SORTED = ("file", "steps", "calls", "errors", "tokens", "good", "bad", "missing")
_MOST_RANGES = 12
_FILTERS = ("q", "task", "stop", "verdict", "steps", "kept", "rule", "correct", "tool")
_LABELS = {
    "q": "search",
    "stop": "ending",
    "verdict": "some step judged",
    "rule": "passes the rule",
    "tool": "asks the tool",
}


def view(run: Opened, asked: Asked) -> Page:
    """The page."""
    query = Query.read(asked)
    index = run.index
    state, found, facets = index.state(), index.find(query), index.facets(query.of)
    there = state.trajectories if query.of == TRAJECTORIES else state.evaluated
    data = {
        "query": query.address(),
        "of": query.of,
        "q": query.q,
        "sort": query.sort,
        "total": found.total,
        "there": there,
        "page": found.page,
        "pages": found.pages,
        "first": (found.page - 1) * query.size + 1,
        "next": query.address(page=found.page + 1) if found.page < found.pages else None,
        "previous": query.address(page=found.page - 1) if found.page > 1 else None,
        "last": query.address(page=found.pages),
        "rows": [_row(row, query, found.page) for row in found.rows],
        "headings": list(_headings(query)),
        "menus": list(_menus(query, facets, index.steps_distribution() if query.of == TRAJECTORIES else {})),
        "filters": [
            {"name": _LABELS.get(name, name), "value": value, "without": query.address(**{name: ""}, page=1)}
            for name in _FILTERS
            if (value := getattr(query, name))
        ],
        "indexing": None
        if state.complete
        else {"done": state.trajectories, "of": max(state.of or 0, state.trajectories) or None},
        "missing": _missing(run.path, query.of) if there == 0 and state.complete else "",
        "remarks": list(state.remarks),
    }
    return Page("Trajectories", data, _python(run, query))


def _row(row: Row, query: Query, page: int) -> dict[str, Any]:
    return {**msgspec.to_builtins(row), "query": query.address(of=row.of, page=page)}


def _headings(query: Query) -> Iterator[dict[str, str]]:
    """Columns; those that can be sorted by lead to that, the most first, and then the other way round."""
    for name, label in _SHOWN.items():
        numbers = name in _SORTED and name != "file"
        heading: dict[str, Any] = {"label": label, "class": "number" if numbers else ""}
        if name in _SORTED:
            chosen = query.sort.removeprefix("-") == name
            falling = query.sort.startswith("-")
            first = "file" if name == "file" else f"-{name}"
            after = first.removeprefix("-") if first.startswith("-") else f"-{first}"
            heading["sort"] = query.address(sort=after if chosen and query.sort == first else first, page=1)
            heading["aria"] = ("descending" if falling else "ascending") if chosen else "none"
        yield heading


def _menus(query: Query, facets: Facets, steps: Mapping[int, int]) -> Iterator[dict[str, Any]]:
    """The filters, each with what can be chosen and how many there are of it."""
    shown = [
        ("of", "From", {TRAJECTORIES: "for training", EVALUATION: "the whole evaluation"}, facets.files),
        ("task", "Task", {}, facets.tasks),
        ("stop", "Ending", {}, facets.stops),
        ("verdict", "Some step judged", {}, facets.verdicts),
        ("steps", "Steps", {}, _ranges(steps)),
        ("kept", "Kept by the filter", {}, facets.kept),
        ("rule", "Passes the rule", {}, facets.rules),
        ("correct", "Answer right", {}, facets.correct),
        ("tool", "Asks the tool", {}, facets.tools),
    ]
    for name, label, always, counts in shown:
        value = getattr(query, name)
        options: list[dict[str, Any]] = [{"value": each, "label": text, "count": None} for each, text in always.items()]
        options += [{"value": each, "label": _words(each), "count": count} for each, count in counts.items()]
        if value and value not in [option["value"] for option in options]:
            options.append({"value": value, "label": _words(value), "count": None})
        yield {"name": name, "label": label, "value": value, "all": name != "of", "options": options}


def _ranges(steps: Mapping[int, int]) -> dict[str, int]:
    """So many steps, and so many or more."""
    exact = {str(number): count for number, count in list(steps.items())[:_MOST_RANGES]}
    beyond = {
        f">={number}": sum(count for other, count in steps.items() if other >= number)
        for number in list(steps)[1:_MOST_RANGES]
    }
    return exact | beyond


def _words(value: str) -> str:
    return value.replace("_", " ").replace(">=", "at least ")


def _missing(path: object, of: str) -> str:
    """What to do where there is nothing to look at."""
    stage = "generate" if of == TRAJECTORIES else "evaluate"
    return f"None yet: swirl {stage} {path}"


def _python(run: Opened, query: Query) -> str:
    told = ", ".join(
        f"{name}={getattr(query, name)!r}" for name in (*_FILTERS, "of", "sort", "page") if name in query.address()
    )
    return (
        "import tempfile\n"
        "from pathlib import Path\n"
        f"from {Run.__module__} import Run\n"
        "from swirl.grades import grader\n"
        "from swirl.viewer.index import Index\n"
        "from swirl.viewer.search import Query\n"
        f"run = Run.open(Path({str(run.path)!r}))\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        '    file = Path(folder, "index.sqlite")\n'
        "    index = Index(run.path, run.config.judge.name, grader(run.config), file, config=run.config.filter)\n"
        "    index.refresh()\n"
        f"    found = index.find(Query({told}))\n"
        "    index.close()\n"
    )
