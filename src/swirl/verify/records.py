"""Whether trajectories and verdicts fit together: each trajectory is on its own one question of the run, each step has one verdict."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from swirl.judges.missing import PASSING
from swirl.seeds import derive
from swirl.shards import judges, shard
from swirl.types import JudgedStep, Trajectory
from swirl.verify import Checking, Finding
from swirl.verify.decisions import States
from swirl.verify.questions import Questions, drawn
from swirl.verify.reading import paths, records_of
from swirl.verify.trajectory import problems

_GIVEN, _IN_PASSING = 1, 2
_MEND = "delete the one that should not be there"


class Trajectories:
    """Those of a run, as they are met."""

    def __init__(self, questions: Questions | None) -> None:
        self.questions = questions
        self.ids: dict[str, int] = {}
        """Id -> how many times a decision on it was met."""
        self.steps: dict[str, int] = {}
        """Id -> how many steps it has."""
        self.damaged: set[str] = set()
        """Ids of those that cannot be read."""


def check_records(checking: Checking) -> Trajectories:
    """Check all trajectories, and all verdicts on them, shard by shard."""
    config, folder = checking.run.config, checking.run.path
    draw = config.generate
    met = Trajectories(drawn(checking, draw.tasks, "train", config.seed, draw.questions, draw.samples))
    there, names = paths(checking, checking.run.trajectories), judges(folder)
    verdicts = {name: paths(checking, folder / f"{name}.jsonl") for name in names}
    for number, path in there.items():
        sizes = _shard(checking, met, number, path)
        for name in names:
            _verdicts(checking, shard(folder / f"{name}.jsonl", number), path, sizes, met.damaged)
    for own in verdicts.values():
        for number in own.keys() - there.keys():
            problem = (
                f"expected {shard(checking.run.trajectories, number)} beside it, which its verdicts are on, found none"
            )
            checking.add(
                Finding(str(own[number]), "verdicts on nothing", problem, "put it back, or delete these verdicts")
            )
    missing = [name for name in met.questions.missing() if name not in met.damaged] if met.questions and there else []
    if missing:
        problem = f"{_some(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        remedy = f"restore {'it' if len(missing) == 1 else 'them'} from a copy, or run `swirl generate {folder}`"
        checking.add(Finding(str(checking.run.trajectories), "missing trajectories", problem, remedy, "generate"))
    return met


def _some(names: list[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _shard(checking: Checking, met: Trajectories, number: int, path: Path) -> dict[str, int]:
    """Check the trajectories of a shard; returns how many steps each has."""
    sizes: dict[str, int] = {}
    imported = (checking.run.path / "import.jsonl").exists()
    states = States(checking, shard(checking.run.path / States.FILE, number))
    for place, trajectory in records_of(checking, path, Trajectory, met.damaged):
        again = checking.again("generate")
        for problem in problems(trajectory, own_tools=not imported):
            checking.add(Finding(place, "trajectory at odds", f"trajectory {trajectory.id!r}, {problem}", again))
        if trajectory.id in met.ids:
            checking.add(Finding(place, "double id", f"a trajectory {trajectory.id!r} stands before it already", _MEND))
        elif met.questions and (problem := _about(met.questions, trajectory)):
            checking.add(Finding(place, "foreign question", f"trajectory {trajectory.id!r}: {problem}", again))
        for problem in made_by(checking, "generate", trajectory, checking.run.seed):
            checking.add(Finding(place, "origin", f"trajectory {trajectory.id!r} {problem}", again))
        met.ids.setdefault(trajectory.id, 0)
        sizes[trajectory.id] = met.steps[trajectory.id] = len(trajectory.steps)
        states.check(trajectory)
    states.end()
    return sizes


def _about(questions: Questions, trajectory: Trajectory) -> str:
    expected = f"{trajectory.question.id}/{trajectory.sample}"
    if trajectory.id != expected:
        return f"expected the id {expected!r}, after its question and sample"
    return questions.problem(trajectory.question, trajectory.sample)


def made_by(checking: Checking, stage: str, trajectory: Trajectory, seed: int) -> Iterator[str]:
    """What is wrong with what a trajectory says of where it comes from; nothing where it says nothing."""
    if not trajectory.origin:
        return
    origin = checking.origins.get(trajectory.origin)
    if origin is None or origin.stage != stage:
        yield f"names the origin {trajectory.origin!r}, expected one of stage {stage} in {checking.run.path / 'origins'}"
        return
    if (origin.policy, origin.task) != (trajectory.policy, trajectory.question.task):
        yield (
            f"was written by {trajectory.policy!r} for {trajectory.question.task!r}, and its origin tells of "
            f"{origin.policy!r} for {origin.task!r}"
        )
    if trajectory.seed != derive(seed, "trajectory", trajectory.question.task, trajectory.id):
        yield f"has the seed {trajectory.seed}, which is not the one that the run's seed gives"


def _verdicts(checking: Checking, path: Path, on: Path, sizes: Mapping[str, int], damaged: set[str]) -> None:
    """Check one judge's verdicts on a shard."""
    given = {name: bytearray(size) for name, size in sizes.items()}
    lines, judge = 0, ""
    for place, record in records_of(checking, path, JudgedStep) if path.exists() else ():
        lines, judge = lines + 1, judge or record.judge
        where = f"step {record.step} of trajectory {record.trajectory!r}"
        if record.judge != judge:
            problem = f"the verdict on {where} is by {record.judge!r}, and those before it by {judge!r}"
            checking.add(Finding(place, "another judge", problem, checking.again("judge")))
        _check_origin(checking, place, record)
        if record.trajectory in damaged:
            continue
        problem = _place(given, record, on, where)
        if problem:
            checking.add(Finding(place, "verdict out of place", problem, _MEND))
    missing = [f"step {step} of {name}" for name, own in given.items() for step, value in enumerate(own) if not value]
    if missing:
        problem = f"expected a verdict on every step, found none on {_some(missing)}"
        remedy = f"restore them from a copy, or run `swirl judge {checking.run.path}`"
        checking.add(Finding(str(path), "missing verdicts", problem, remedy, "judge"))


def _place(given: Mapping[str, bytearray], record: JudgedStep, on: Path, where: str) -> str:
    """What is wrong with what a verdict is on; where nothing is, it counts as given."""
    own = given.get(record.trajectory)
    if own is None:
        return f"it is on trajectory {record.trajectory!r}, which is not in {on.name}"
    if not 0 <= record.step < len(own):
        return f"it is on {where}, which has {len(own)}, from 0"
    if own[record.step] == _GIVEN:
        return f"it is on {where}, on which there is a verdict before it"
    own[record.step] = _IN_PASSING if record.verdict.status in PASSING else _GIVEN
    return ""


def _check_origin(checking: Checking, place: str, record: JudgedStep) -> None:
    if not record.origin:
        return
    origin = checking.origins.get(record.origin)
    if origin is None or origin.stage != "judge":
        problem = (
            f"it names the origin {record.origin!r}, expected one of stage judge in {checking.run.path / 'origins'}"
        )
    elif origin.judge != record.judge:
        problem = f"it is by {record.judge!r}, and its origin tells of {origin.judge!r}"
    else:
        return
    checking.add(Finding(place, "origin", problem, checking.again("judge")))
