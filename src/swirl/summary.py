"""`summary.json`: every headline number with n, interval and seed, and all figures; how it is made of records, and read again."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins

from swirl.evaluate import EvaluatedTrajectory, Mode, When
from swirl.figures import Figure, compare, figures, foremost, measure, recall_by_step
from swirl.records import read_document
from swirl.round_figures import Round
from swirl.spending import Spent
from swirl.statistics import McNemar
from swirl.types import PromptStyle

SCHEMA = "swirl.summary/2"


class Sheet(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All figures of a task, answered in one way."""

    task: str
    mode: Mode
    prompt: PromptStyle
    tools: bool
    by_value: bool
    """Whether accuracy compares numbers by value; else it is exact match."""
    samples: int
    before: dict[str, Figure] = {}
    after: dict[str, Figure] = {}
    difference: dict[str, Figure] = {}
    """After minus before, on the questions that both answered."""
    mcnemar: McNemar | None = None
    """Of the first answer to each question."""


class ToolsCompared(Struct, frozen=True, kw_only=True):
    """The same policy with and without tools."""

    task: str
    mode: Mode
    prompt: PromptStyle
    policy: When
    with_tools: Figure
    """Accuracy."""
    without: Figure
    difference: Figure
    """With minus without."""
    mcnemar: McNemar
    """From without to with: b were lost by having tools, c gained."""


class _Figures(Struct, frozen=True):
    accuracy: float
    accuracy_ci95: tuple[float, float]
    process_label: float | None


class _Gain(Struct, frozen=True):
    mean: float
    ci95: tuple[float, float]


class _Stand(Struct, frozen=True, kw_only=True, omit_defaults=True):
    before: _Figures | None = None
    after: _Figures | None = None
    gain: _Gain | None = None
    greedy: "_Stand | None" = None


class _Policies(Struct, frozen=True):
    before: str
    against: str


class _Judges(Struct, frozen=True):
    reward: str | None
    labels: str | None


class _Seconds(Struct, frozen=True):
    total: float
    by_stage: dict[str, float]


class _Agreement(Struct, frozen=True):
    judge: str
    against: str
    accuracy: float
    n: int
    precision: float
    recall: float
    kappa: float


class Summary(_Stand, frozen=True, kw_only=True, omit_defaults=True, tag=SCHEMA, tag_field="schema"):
    """What the page and the table need of `summary.json`."""

    seed: int
    n: int
    judges: _Judges
    tasks: dict[str, _Stand]
    seconds: _Seconds
    peak_memory_mb: float
    table: tuple[Sheet, ...]
    tools: tuple[ToolsCompared, ...]
    trained: bool
    """Whether `after` is the run's own trained model."""
    policies: _Policies
    grader: str
    """The model that compared answers with the accepted ones; empty: none did."""
    n_trained_on: int
    """How many of the questions are training questions too."""
    trained_on: dict[str, int]
    """The same by task."""
    prompts: dict[str, _Stand] = {}
    agreement: _Agreement | None = None
    services: tuple[Spent, ...] = ()
    """What was asked of services, by stage, service and model."""
    rounds: tuple[Round, ...] = ()
    """What each round came to, where there are several; all else is about the first."""


def read_summary(path: Path) -> dict[str, Any]:
    """The summary of a run folder; raises `RecordError` where it lacks what the page and the table need."""
    return dict(to_builtins(read_document(path / "summary.json", Summary, f"swirl evaluate {path}")))


def sheets(records: Iterable[EvaluatedTrajectory]) -> list[Sheet]:
    """The figures of each task, mode and prompt style, with and without tools."""
    places: dict[tuple[str, Mode, PromptStyle, bool], list[EvaluatedTrajectory]] = {}
    by_value = set()
    for record in records:
        places.setdefault((record.task, record.mode, record.prompt, record.tools), []).append(record)
        if record.grade.by_value:
            by_value.add(record.task)
    return [_sheet(own, own[0].task in by_value) for own in places.values()]


def _sheet(records: Sequence[EvaluatedTrajectory], by_value: bool) -> Sheet:
    first = records[0]
    before, after = ([record for record in records if record.policy == when] for when in ("before", "after"))
    steps = max(len(recall_by_step(record.trajectory)) for record in records)
    measured = [measure(own, steps) for own in (before, after)]
    return Sheet(
        task=first.task,
        mode=first.mode,
        prompt=first.prompt,
        tools=first.tools,
        by_value=by_value,
        samples=max(record.trajectory.sample for record in records) + 1,
        **figures(*measured)._asdict(),
        mcnemar=compare(before, after) if before and after else None,
    )


def tools_compared(records: Iterable[EvaluatedTrajectory]) -> list[ToolsCompared]:
    """Accuracy with tools against accuracy without, wherever there are both."""
    places: dict[tuple[str, Mode, PromptStyle, When], list[EvaluatedTrajectory]] = {}
    for record in records:
        places.setdefault((record.task, record.mode, record.prompt, record.policy), []).append(record)
    found = []
    for (task, mode, prompt, policy), own in places.items():
        sides = [[record for record in own if record.tools is tools] for tools in (False, True)]
        if all(sides):
            accuracy = figures(*(measure(side) for side in sides))
            found.append(
                ToolsCompared(
                    task=task,
                    mode=mode,
                    prompt=prompt,
                    policy=policy,
                    with_tools=accuracy.after["accuracy"],
                    without=accuracy.before["accuracy"],
                    difference=accuracy.difference["accuracy"],
                    mcnemar=compare(*sides),
                )
            )
    return found


def summarise(records: Iterable[EvaluatedTrajectory]) -> dict[str, Any]:
    """Accuracy before and after with intervals, overall and under `tasks`, greedy beside sampled; all figures under `table`, and with tools
    against without under `tools`. Where several prompt styles were evaluated, the accuracies are the first one's, and every style's are
    under `prompts`; where tools were on offer or not, they are those with tools."""
    everything = list(records)
    offered = [record for record in everything if record.tools] or everything
    styles = list(dict.fromkeys(record.prompt for record in offered))
    first = foremost(everything)
    tasks = dict.fromkeys(record.task for record in first)
    summary = _stands(first)
    summary["tasks"] = {task: _stands([record for record in first if record.task == task]) for task in tasks}
    if len(styles) > 1:
        summary["prompts"] = {
            style.value: _stands([record for record in offered if record.prompt is style]) for style in styles
        }
    summary["table"] = to_builtins(sheets(everything))
    summary["tools"] = to_builtins(tools_compared(everything))
    return summary


def _stands(records: Sequence[EvaluatedTrajectory]) -> dict[str, Any]:
    """Sampled figures, and the greedy ones under `greedy`."""
    summary = _stand([record for record in records if record.mode == "sampled"])
    greedy = _stand([record for record in records if record.mode == "greedy"])
    return {**summary, "greedy": greedy} if greedy else summary


def _stand(records: Sequence[EvaluatedTrajectory]) -> dict[str, Any]:
    """Before, after, and the paired gain, as far as they are there."""
    found = figures(*(measure(record for record in records if record.policy == when) for when in ("before", "after")))
    stand: dict[str, Any] = {
        when: _headline(own) for when, own in (("before", found.before), ("after", found.after)) if own
    }
    if gain := found.difference.get("accuracy"):
        stand["gain"] = {"mean": gain.mean, "ci95": list(gain.ci95)}
    return stand


def _headline(found: Mapping[str, Figure]) -> dict[str, Any]:
    accuracy, label = found["accuracy"], found.get("process_label")
    return {
        "accuracy": accuracy.mean,
        "accuracy_ci95": list(accuracy.ci95),
        "f1": found["f1"].mean,
        "process_label": label.mean if label else None,
        "n": accuracy.n,
    }
