"""One trajectory, step by step: its context, action, result and verdicts, and what training sampled at the same state."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import structs

from swirl.errors import ConfigError, RecordError
from swirl.evaluate import EvaluatedTrajectory
from swirl.known import Known
from swirl.origins import Origin, origins
from swirl.train import Metrics
from swirl.train.recorded import SampledState
from swirl.viewer.page import Asked, NotThere, Page
from swirl.viewer.reading import record_at
from swirl.viewer.search import TRAJECTORIES, Query
from swirl.viewer.shelf import Opened
from swirl.viewer.steps import steps
from swirl.viewer.tokens import group, share_out

_DIGITS = 9


def view(run: Opened, asked: Asked) -> Page:
    """The page."""
    query, name = Query.read(asked), asked.get("id", "")
    step, update = _number(asked, "step"), _number(asked, "update")
    known = run.index.trajectory(name, query.of)
    if known is None:
        raise NotThere(_nowhere(run, name, query.of))
    previous, following = run.index.neighbours(name, query)
    record = _record(run, name, query.of)
    told = steps(known, step)
    for each in told:
        each |= _group(run, known, each["number"], update) if record is None else {"visits": [], "group": None}
    share_out(told, step)
    data = {
        "id": name,
        "query": query.address(),
        "of": query.of,
        "question": known.trajectory.question.text,
        "gold": list(known.trajectory.question.answers),
        "answer": known.trajectory.answer,
        "correct": known.correct,
        "kept": known.kept,
        "facts": [{"name": label, "value": value} for label, value in _facts(run, known) if value],
        "grade": _grade(record),
        "pair": _pair(record),
        "steps": told,
        "first_bad": next((each["number"] for each in told if each["bad"]), None),
        "untrained": _untrained(run, known) if record is None else "",
        "previous": previous,
        "next": following,
    }
    return Page(f"Trajectory {name}", data, _python(run, known, record is not None))


def _number(asked: Asked, name: str) -> int:
    text = asked.get(name, "")
    if text and not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise ConfigError(f"{name}: expected a whole number, found {text[:40]!r}; change it")
    return int(text or 0)


def _nowhere(run: Opened, name: str, of: str) -> str:
    state = run.index.state()
    if not name:
        return "expected ?id=, the id of a trajectory, found none; open one from the table"
    more = "" if state.complete else "; the run is still being indexed, so it may come"
    return f"expected a trajectory of {of} in {run.title}, found none with the id {name!r}{more}"


def _record(run: Opened, name: str, of: str) -> EvaluatedTrajectory | None:
    place = run.index.locate(name, of) if of != TRAJECTORIES else None
    return record_at(place, EvaluatedTrajectory) if place else None


def _group(run: Opened, known: Known, number: int, update: int) -> dict[str, Any]:
    trajectory = known.trajectory
    state = (trajectory.question.task, trajectory.id, number - 1)
    return group(run.groups, state, known.judge, run.config.train.objective, update)


def _facts(run: Opened, known: Known) -> Iterator[tuple[str, str]]:
    trajectory, rules = known.trajectory, known.trajectory.rules
    yield "Task", trajectory.question.task
    yield "Ending", trajectory.stop.value.replace("_", " ") if trajectory.stop else "unfinished"
    yield "Grade", {True: "right", False: "wrong", None: "not graded"}[known.correct]
    yield "Filter", "" if known.kept is None else f"{'kept' if known.kept else 'dropped'}: {known.reason}"
    yield "Policy", trajectory.policy
    yield "Tools", f"{', '.join(rules.tools)}, at most {rules.max_calls} calls" if rules.tools else "none"
    yield "Prompt", rules.prompt.value
    yield "Sample", str(trajectory.sample)
    yield "Seed", str(trajectory.seed)
    yield "Tokens", f"{trajectory.num_tokens:,}" if trajectory.num_tokens else ""
    yield "File", f"{known.file}, line {known.line}" if known.line else known.file
    yield "Origin", _origin(run.path, trajectory.origin)


def _origin(folder: Path, name: str) -> str:
    found = origins(folder).get(name) if name else None
    if found is None or isinstance(found, RecordError):
        return name
    assert isinstance(found, Origin)
    told = {
        key: value for key, value in structs.asdict(found).items() if value and key in ("weights", "judge", "swirl")
    }
    return f"{name} ({', '.join(f'{key} {value}' for key, value in told.items())})"


def _grade(record: EvaluatedTrajectory | None) -> list[dict[str, str]]:
    if record is None:
        return []
    grade = record.grade
    judged = {True: "right", False: "wrong", None: (record.grading or "not asked")}[record.judged]
    told = {
        "Policy": f"{record.policy} training",
        "Decoding": record.mode,
        "Tools": "with" if record.tools else "without",
        "Correct": f"{'yes' if grade.correct else 'no'}{', compared by value' if grade.by_value else ''}",
        "Exact match": "yes" if grade.exact_match else "no",
        "F1": f"{grade.f1:.2f}",
        "Precision": f"{grade.precision:.2f}",
        "Recall": f"{grade.recall:.2f}",
        "A model's word": str(judged).replace("_", " "),
    }
    return [{"name": name, "value": value} for name, value in told.items()]


def _pair(record: EvaluatedTrajectory | None) -> dict[str, str] | None:
    """What the page of its question is asked with."""
    if record is None:
        return None
    tools = "with" if record.tools else "without"
    name = record.trajectory.question.id
    return {"task": record.task, "mode": record.mode, "prompt": record.prompt.value, "tools": tools, "id": name}


def _untrained(run: Opened, known: Known) -> str:
    """Why a state of the trajectory has no group, where it has none."""
    state, config = run.groups.state(), run.config.train
    if known.kept is False:
        return f"Not trained on: the filter dropped this trajectory ({known.reason})."
    if known.kept is None:
        return f"Not filtered yet, so not trained on: swirl filter {run.path}"
    if not (run.path / "train" / Metrics.FILE).exists():
        return f"Not trained yet: swirl train {run.path}"
    if config.objective == "sft":
        return "Supervised training imitates this action, and samples none."
    if not (run.path / "train" / SampledState.FILE).exists():
        return "Training put no sampled actions on record (train.record_every = 0, or an older version of swirl)."
    if not state.complete:
        return f"Not found so far: {state.read / 1e6:,.0f} of {state.of / 1e6:,.0f} MB of samples are indexed."
    return "No update that is on record has drawn this state."


def _python(run: Opened, known: Known, evaluated: bool) -> str:
    name, folder = known.trajectory.id, str(run.path)
    if evaluated:
        return (
            "from pathlib import Path\n"
            "from swirl.evaluate import EvaluatedTrajectory\n"
            "from swirl.records import read\n"
            f'records = read(Path({folder!r}) / "evaluation" / {known.file!r}, EvaluatedTrajectory)\n'
            f"record = next(each for each in records if each.trajectory.id == {name!r})\n"
        )
    lines = [
        "from pathlib import Path",
        "from swirl.grades import grader",
        "from swirl.known import known",
        "from swirl.run import Run",
        f"run = Run.open(Path({folder!r}))",
        "everything = known(run.path, run.config.judge.name, grader(run.config))",
        f"found = next(each for each in everything if each.trajectory.id == {name!r})",
    ]
    if (run.path / "train" / SampledState.FILE).exists():
        lines += [
            "from swirl.records import read",
            "from swirl.train.recorded import SampledState",
            'states = read(run.path / "train" / SampledState.FILE, SampledState)',
            f"sampled = [each for each in states if each.trajectory == {name!r}]",
        ]
    return "\n".join(lines) + "\n"
