"""What is on record of a run for the filter, which has to have all of it: a stream that holds one shard's verdicts and one slim trajectory.

All is checked on the way: each trajectory belongs to the run's questions and stands there once, each of its steps has one verdict of each
judge, and there is no other.

Not here: whole trajectories with their verdicts, for the stages that need them (`swirl.stages.judged`).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

from swirl.errors import RunFolderError
from swirl.judges import JudgeName
from swirl.judges.missing import PASSING
from swirl.records import read
from swirl.rollout import begin
from swirl.run import Run
from swirl.settings import RunConfig, nearest
from swirl.shards import ids, judges, shard, shards
from swirl.slim import SlimTrajectory
from swirl.stages.chunks import Item
from swirl.stages.outline import outline
from swirl.stages.start import samples_of
from swirl.types import JudgedStep, Question, Rules, Verdict


class Recorded(NamedTuple):
    """A trajectory, and what the judges asked for said of its steps."""

    trajectory: SlimTrajectory
    verdicts: Mapping[str, tuple[Verdict, ...]]


Said = dict[str, dict[int, Verdict]]
"""Trajectory -> step -> verdict."""


def asked_of(run: Run) -> dict[str, Question]:
    """The trajectories that a run has to hold, by their ids, and the question of each; raises `ConfigError` where two have one id."""
    return {
        begin(question, Rules(), sample=sample).id: question
        for own in outline(run)
        for question in own.questions
        for sample in samples_of(question, own.samples)
    }


def judges_of(config: RunConfig) -> list[str]:
    """The judges that a run needs verdicts of: its own, and the others that its filter names, as far as they are ours; another program may
    have written a file of verdicts too."""
    others = (name for name in config.filter.judges if name in get_args(JudgeName))
    return list(dict.fromkeys([config.judge.name, *others]))


def recorded(run: Run, judges: Sequence[str], asked: Mapping[str, Question], threshold: float) -> Iterator[Recorded]:
    """Every trajectory with the verdicts of some judges, in the order of the files; verdicts from the threshold on are without words.
    `asked` is what has to be there (`asked_of`). Raises `RunFolderError` where something is missing, or is there that does not belong."""
    run.require(run.trajectories, "generate")
    files = {name: require_verdicts(run, name) for name in judges}
    left = dict(asked)
    steps = dict.fromkeys(judges, 0)
    judged = dict.fromkeys(judges, 0)
    foreign = ""
    for number, path in enumerate(shards(run.trajectories)):
        said = {name: _said(shard(file, number), run, threshold) for name, file in files.items()}
        for line, trajectory in enumerate(read(path, SlimTrajectory), start=1):
            _require_asked(run, f"{path}:{line}", trajectory, left, asked)
            verdicts = {}
            for name in judges:
                own = said[name].pop(trajectory.id, {})
                verdicts[name] = tuple(own[i] for i in range(len(trajectory.steps)) if i in own)
                steps[name] += len(trajectory.steps)
                judged[name] += len(verdicts[name])
                if len(own) > len(verdicts[name]):
                    said[name][trajectory.id] = {i: own[i] for i in own if i >= len(trajectory.steps)}
            if all(len(each) == len(trajectory.steps) for each in verdicts.values()):
                yield Recorded(trajectory, verdicts)
        foreign = foreign or next((_place(shard(files[name], number), own) for name, own in said.items() if own), "")
    _require_all(run, len(asked), len(left), foreign, {name: (judged[name], steps[name]) for name in judges})


def require_verdicts(run: Run, judge: str) -> Path:
    """The file of a judge's verdicts, the first where there are several; raises where there is none."""
    path = run.verdicts(judge)
    if judge == run.config.judge.name:
        run.require(path, "judge")
    if not path.exists():
        own = run.config.judge.name
        known = [own, *(name.removeprefix("verdicts-") for name in judges(run.path) if name != "verdicts")]
        make = (
            f"run `swirl judge {run.path} --compare {own} {judge}` first"
            if judge in get_args(JudgeName)
            else "put it there"
        )
        raise RunFolderError(
            f"expected {path.name} in {run.path}, because filter.judges names {judge}, found verdicts of {', '.join(known)}"
            f"{nearest(judge, known)}; {make}, or name one of these"
        )
    return path


def _judging(run: Run, judge: str) -> str:
    """What makes the verdicts of a judge, whatever the run's settings say of it; none is made twice."""
    own = run.config.judge.name
    return f"run `swirl judge {run.path}{f' --compare {own} {judge}' if judge != own else ''}`"


def _said(path: Path, run: Run, threshold: float) -> Said:
    """A shard of verdicts; raises where a step has two, unless the first may be made again. A verdict from the threshold on is kept without
    its words, which nobody asks for and which would take most of the memory."""
    found: Said = {}
    plain: dict[float, Verdict] = {}
    for line, record in enumerate(read(path, JudgedStep) if path.exists() else (), start=1):
        own = found.setdefault(record.trajectory, {})
        if record.step in own and own[record.step].status not in PASSING:
            first = _line_of_step(path, record)
            raise RunFolderError(
                f"{path}:{line}: step {record.step} of trajectory {record.trajectory!r} stands in line {first} already; delete one of "
                f"the two, or run `swirl judge {run.path} --redo`"
            )
        score = record.verdict.score
        wordless = score is not None and score >= threshold
        own[record.step] = plain.setdefault(score, Verdict(score)) if wordless and score is not None else record.verdict
    return found


def _line_of_step(path: Path, wanted: JudgedStep) -> int:
    places = ((each.trajectory, each.step) for each in read(path, JudgedStep))
    return next(line for line, place in enumerate(places, start=1) if place == (wanted.trajectory, wanted.step))


def _place(path: Path, said: Said) -> str:
    """Where the first of some verdicts stands, and what it is on."""
    for line, record in enumerate(read(path, JudgedStep), start=1):
        if record.step in said.get(record.trajectory, {}):
            return f"{path}:{line}: step {record.step} of trajectory {record.trajectory!r}"
    return f"{path}: a step of trajectory {next(iter(said))!r}"


def _require_asked(
    run: Run, place: str, trajectory: SlimTrajectory, left: dict[str, Question], asked: Mapping[str, Question]
) -> None:
    """Take a trajectory from those that are left to come; raises where it is none of them, or was asked something else."""
    question = left.pop(trajectory.id, None)
    again = f"run `swirl generate {run.path} --redo`"
    if question is None and trajectory.id in asked:
        first = next(each.place for each in ids(run.path) if each.id == trajectory.id)
        raise RunFolderError(
            f"{place}: {trajectory.id} stands in {first[0].name}:{first[1]} already; delete one of the two, or {again}"
        )
    if question is None:
        raise RunFolderError(
            f"{place}: {trajectory.id} is none of the {len(asked)} trajectories that belong here now; restore what it was asked, or {again}"
        )
    mine = trajectory.question
    if (mine.id, mine.task, mine.text, mine.answers) != (question.id, question.task, question.text, question.answers):
        field = Item.about(trajectory.id, mine).difference(Item.about(trajectory.id, question))
        raise RunFolderError(
            f"{place}: {trajectory.id} was asked another question than its task gives now (question {mine.id!r} differs in its "
            f"{field}); restore what it was asked, or {again}"
        )


def _require_all(run: Run, total: int, lost: int, foreign: str, judged: Mapping[str, tuple[int, int]]) -> None:
    """Raise where something is missing, or a verdict is on nothing that is there."""
    if lost:
        raise RunFolderError(
            f"`generate` is unfinished ({total - lost} of {total} trajectories): run `swirl generate {run.path}` first"
        )
    for name, (found, steps) in judged.items():
        whose = "" if name == run.config.judge.name else f" of {name}"
        if foreign:
            raise RunFolderError(
                f"{foreign} is none of the {steps} verdicts that belong here now; restore what it was asked, or run "
                f"`swirl judge {run.path} --redo`"
            )
        if found < steps:
            raise RunFolderError(
                f"`judge` is unfinished ({found} of {steps} verdicts{whose}): {_judging(run, name)} first"
            )
