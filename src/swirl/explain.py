"""Why a filter keeps a trajectory or drops it: step by step what judges said, what each rule makes of it, and what was decided.

Reads the run folder as it is, while a run goes on too; takes no lock, filters nothing, judges nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from swirl.filters import Check, Fault, FilterConfig, Rule, decided, faults, is_good
from swirl.grades import grader
from swirl.known import named
from swirl.records import read, read_document
from swirl.selection import AMONG_ALL, Selection
from swirl.settings import RunConfig
from swirl.shards import judges, shard, shards
from swirl.terminal import harmless
from swirl.types import JudgedStep, Trajectory, Verdict

_MOST = 240
"""Characters shown of a text; `swirl show` has all of them."""


def explain(path: Path, config: RunConfig, name: str) -> RenderableType:
    """What there is to say of one trajectory of a run folder, named by its id or by how that begins, as it is to be printed. The filter's
    settings are those of `config`. Raises `RunFolderError` where no trajectory, or several, are meant."""
    trajectory, said = _found(path, config, name)
    counted = config.filter.judges or (config.judge.name,)
    none = (None,) * len(trajectory.steps)
    correct = grader(config)(trajectory)
    found = faults(trajectory, {judge: said.get(judge, none) for judge in counted}, correct, config.filter)
    return Group(
        *_head(trajectory),
        *(part for i in range(len(trajectory.steps)) for part in _step(trajectory, i, said, config.filter)),
        Text(f"ended      {_ending(trajectory, correct)}\n"),
        Text(_counting(counted, config.filter)),
        _rules(trajectory.id, found, config.filter),
        Text(f"\n{harmless(_decision(path, trajectory.id))}"),
    )


def _found(path: Path, config: RunConfig, name: str) -> tuple[Trajectory, dict[str, list[Verdict | None]]]:
    """The trajectory that is meant, and what each judge said of its steps."""
    wanted, (file, _) = named(path, name, "--explain")
    trajectory = next(each for each in read(file, Trajectory) if each.id == wanted)
    number = shards(path / Trajectory.FILE).index(file)
    said: dict[str, list[Verdict | None]] = {}
    for stem in judges(path):
        own: list[Verdict | None] = [None] * len(trajectory.steps)
        verdicts = shard(path / f"{stem}.jsonl", number)
        for record in read(verdicts, JudgedStep) if verdicts.exists() else ():
            if record.trajectory == wanted and 0 <= record.step < len(own):
                own[record.step] = record.verdict
        said[config.judge.name if stem == "verdicts" else stem.removeprefix("verdicts-")] = own
    return trajectory, said


def _head(trajectory: Trajectory) -> Iterator[Text]:
    yield Text(harmless(f"{trajectory.id} ({trajectory.question.task})"), style="bold")
    yield Text(f"question   {_short(trajectory.question.text)}")
    if trajectory.question.answers:
        yield Text(f"accepted   {_short(' or '.join(trajectory.question.answers))}")


def _step(
    trajectory: Trajectory, index: int, said: Mapping[str, Sequence[Verdict | None]], config: FilterConfig
) -> Iterator[RenderableType]:
    step = trajectory.steps[index]
    yield Text(f"\nstep {index + 1:<6}{_short(step.text)}")
    if step.observation is not None:
        refused = "refused: " if step.observation.refused else ""
        yield Text(f"           → {refused}{_short(step.observation.text)}", style="dim")
    table = Table.grid(padding=(0, 2, 0, 0))
    for judge, verdicts in said.items():
        table.add_row(*(Text(harmless(cell)) for cell in (judge, *_verdict(verdicts[index], config.threshold))))
    yield Padding(table, (0, 0, 0, 11))


def _verdict(verdict: Verdict | None, threshold: float) -> tuple[str, str]:
    if verdict is None:
        return "none", "not judged"
    if verdict.score is None:
        return "missing", f"{verdict.status.value}: {_short(verdict.reason)}"
    return f"{'good' if is_good(verdict, threshold) else 'bad'} {verdict.score:g}", _short(verdict.reason)


def _ending(trajectory: Trajectory, correct: bool | None) -> str:
    ending = trajectory.stop.value.replace("_", " ") if trajectory.stop else "unfinished"
    if trajectory.answer is None:
        return ending
    return f"{ending}, {'not graded' if correct is None else 'right' if correct else 'wrong'}"


def _counting(counted: Sequence[str], config: FilterConfig) -> str:
    """Whose verdicts count, and how."""
    who = counted[0] if len(counted) == 1 else f"{config.agree or len(counted)} of {', '.join(counted)}"
    return harmless(f"A step is good where {who} says so, from a score of {config.threshold:g} on.")


def _rules(name: str, found: Mapping[Check, Fault], config: FilterConfig) -> Table:
    """What each rule makes of it, as far as that depends on no other trajectory."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("rule", "", "by", "because"):
        table.add_column(heading)
    for rule in Rule:
        checks = [check for check in config.checks(rule) if check not in AMONG_ALL]
        decision = decided(name, found, checks)
        fell = (decision.check.value, decision.reason) if decision.check else ("", "")
        cells = (rule.value, "keeps" if decision.kept else "drops", *fell)
        table.add_row(*(Text(harmless(cell), style="bold" if rule is config.rule else "") for cell in cells))
    return table


def _decision(path: Path, name: str) -> str:
    """What stands in `selection.json`."""
    file = path / "selection.json"
    if not file.exists():
        return f"Not decided yet: run `swirl filter {path}`."
    selection = read_document(file, Selection, f"swirl filter {path}")
    decision = next((each for each in selection.decisions if each.trajectory == name), None)
    by = f"selection.json (rule {selection.rule}, judged by {', '.join(selection.judges)})"
    if decision is None:
        return f"Not in {by}: run `swirl filter {path}`."
    if decision.kept:
        return f"Kept, says {by}."
    return f"Dropped by {decision.check}, says {by}: {decision.reason}"


def _short(text: str) -> str:
    shown = harmless(" ".join(text.split()))
    return shown if len(shown) <= _MOST else f"{shown[:_MOST]}..."
