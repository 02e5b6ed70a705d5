"""Which trajectories the report shows, chosen by rule: first of each kind, in the order of the files; long texts are cut, and say so."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, repeat
from pathlib import Path

from swirl.evaluate import EvaluatedTrajectory
from swirl.known import badge
from swirl.records import read
from swirl.selection import Selection
from swirl.shards import judged
from swirl.types import JudgedStep, Malformed, Step, Trajectory, Verdict

LONGEST, MOST_STEPS = 1500, 12
"""Characters of a text, and steps of a trajectory, that are shown."""
_OWN = Path(JudgedStep.FILE).stem
"""The file of the run's own judge."""


@dataclass(frozen=True)
class ShownStep:
    """A step as the page tells it."""

    text: str
    observation: str
    badge: str
    """GOOD, BAD or MISSING; empty where nobody judged."""
    reason: str


@dataclass(frozen=True)
class Shown:
    """A trajectory as the page tells it."""

    title: str
    question: str
    gold: str
    steps: Sequence[ShownStep]
    ending: str
    right: bool | None = None
    """Whether its answer is right; None where that was not looked at."""
    more: int = 0
    """Steps that are not shown."""


@dataclass(frozen=True)
class Changed:
    """A question that one policy answered right and the other wrong."""

    question: str
    gold: str
    before: str
    after: str


def evaluated_pairs(folder: Path) -> Iterator[list[tuple[EvaluatedTrajectory, EvaluatedTrajectory]]]:
    """The first answers to the questions that both policies answered, file by file."""
    for path in sorted(folder.glob("before-*.jsonl")) if folder.is_dir() else ():
        later = path.with_name(path.name.replace("before-", "after-", 1))
        if not later.exists():
            continue
        answered = {one.trajectory.question.id: one for one in read(later, EvaluatedTrajectory) if _is_first(one)}
        firsts = (record for record in read(path, EvaluatedTrajectory) if _is_first(record))
        found = ((record, answered.get(record.trajectory.question.id)) for record in firsts)
        yield [(before, after) for before, after in found if after is not None]


def _is_first(record: EvaluatedTrajectory) -> bool:
    return record.trajectory.sample == 0


def evaluated_samples(
    folder: Path, names: Sequence[str] = ("before", "after"), each: int = 2
) -> list[tuple[str, Shown, Shown]]:
    """Pairs of both policies, by their names, on one question, answered greedily with tools: wrong by the first alone, right by the first
    alone, and wrong by both."""
    first, second = (name if names[0] == "before" else f"by {name}" for name in names)
    kinds = {(False, True): f"wrong {first}, right {second}", (True, False): f"right {first}, wrong {second}"}
    kinds[False, False] = "wrong both times"
    pairs: dict[str, list[tuple[str, Shown, Shown]]] = {kind: [] for kind in kinds.values()}
    for both in evaluated_pairs(folder):
        taken = dict.fromkeys(pairs, 0)
        for before, after in both:
            kind = kinds.get((before.correct, after.correct), "")
            if kind and taken[kind] < each and _is_shown(before):
                taken[kind] += 1
                pairs[kind].append((kind, _evaluated(before, names[0]), _evaluated(after, names[1])))
    return [pair for kind in pairs.values() for pair in kind]


def samples_of_one(folder: Path, each: int = 2) -> list[Shown]:
    """Of a policy that was evaluated on its own: the first right answers and the first wrong ones, file by file, greedy and with tools."""
    found = []
    for path in sorted(folder.glob("before-*.jsonl")) if folder.is_dir() else ():
        taken = {True: 0, False: 0}
        for record in filter(_is_shown, read(path, EvaluatedTrajectory)):
            taken[record.correct] += 1
            if taken[record.correct] <= each:
                found.append(_evaluated(record, "policy"))
    return found


def _is_shown(record: EvaluatedTrajectory) -> bool:
    return record.mode == "greedy" and record.tools


def changed_questions(folder: Path, most: int = 10) -> list[tuple[str, str, int, list[Changed]]]:
    """Questions gained and lost by file, the first of them: what was answered how, gained or lost, how many there are, and some."""
    found = []
    for both in evaluated_pairs(folder):
        for kind, right in (("gained", True), ("lost", False)):
            own = [(b, a) for b, a in both if b.correct is not a.correct and a.correct is right]
            if own:
                found.append((_way(own[0][0]), kind, len(own), [_changed(*pair) for pair in own[:most]]))
    return found


def _way(record: EvaluatedTrajectory) -> str:
    """How a record's question was answered."""
    tools = "with" if record.tools else "without"
    return f"{record.task}, {record.mode}, {tools} tools, prompt {record.prompt.value}"


def _changed(before: EvaluatedTrajectory, after: EvaluatedTrajectory) -> Changed:
    question = before.trajectory.question
    texts = (question.text, " or ".join(question.answers), _answer(before), _answer(after))
    return Changed(*(cut(text, LONGEST // 4) for text in texts))


def _answer(record: EvaluatedTrajectory) -> str:
    trajectory = record.trajectory
    ending = trajectory.stop.value.replace("_", " ") if trajectory.stop else "unfinished"
    return trajectory.answer if trajectory.answer is not None else f"no answer ({ending})"


def _evaluated(record: EvaluatedTrajectory, name: str) -> Shown:
    title = f"{record.task}, {record.mode}, {name}: {'right' if record.correct else 'wrong'}"
    return replace(shown(record.trajectory, record.verdicts, title), right=record.correct)


def training_samples(path: Path, selection: Selection | None, each: int = 2) -> list[Shown]:
    """The first kept and the first dropped training trajectories, with their verdicts."""
    if selection is None or not (path / Trajectory.FILE).exists():
        return []
    wanted: dict[str, str] = {}
    for kept in (True, False):
        some = [decision for decision in selection.decisions if decision.kept is kept][:each]
        wanted |= {d.trajectory: "kept" if kept else f"dropped: {d.reason}" for d in some}
    found = (each for each in judged(path, [_OWN]) if each.trajectory.id in wanted)
    return [
        shown(each.trajectory, each.verdicts[_OWN], wanted[each.trajectory.id]) for each in islice(found, len(wanted))
    ]


def shown(trajectory: Trajectory, verdicts: Sequence[Verdict | None], title: str) -> Shown:
    """A trajectory with what was said of its steps, as far as anything was."""
    said = chain(verdicts, repeat(None))
    steps = [_step(step, verdict) for step, verdict in zip(trajectory.steps[:MOST_STEPS], said, strict=False)]
    gold = cut(" or ".join(trajectory.question.answers), LONGEST // 4)
    ending = trajectory.stop.value.replace("_", " ") if trajectory.stop else "unfinished"
    more = len(trajectory.steps) - len(steps)
    return Shown(cut(title, LONGEST // 4), cut(trajectory.question.text), gold, steps, ending, more=more)


def cut(text: str, most: int = LONGEST) -> str:
    """As much of a text as a page shows.

    >>> cut("abcdef", most=4)
    'abcd … (2 more characters)'
    """
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} more characters)"


def _step(step: Step, verdict: Verdict | None) -> ShownStep:
    observation = step.observation.text if step.observation is not None else ""
    if isinstance(step.action, Malformed):
        observation = f"malformed: {step.action.reason}"
    word = "" if verdict is None else badge(verdict)
    return ShownStep(cut(step.text), cut(observation), word, cut(verdict.reason if verdict else "", LONGEST // 3))
