"""Calibration: the run's judge measured against steps whose truth is known, and against a fixed set of adversarial actions.

The truth is a judge that knows the solutions, or a user's own labels. Only the run's own judge is measured, because it is the one that
filters and rewards.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import structs

from swirl.calibrated import Calibration, digest_of, print_calibration
from swirl.catalog import open_judge
from swirl.decompose import decompose
from swirl.errors import ConfigError, RunFolderError
from swirl.judges import Hindsight, Judge, StepSample
from swirl.judges.adversarial import acceptances, adversarial, draw
from swirl.judges.agreement import kind_of
from swirl.judges.asking import settled
from swirl.judges.calibration import Point, calibrate
from swirl.judges.labels import placed, read_labels
from swirl.records import read, write_json
from swirl.run import Run
from swirl.shards import shards
from swirl.stages.generate import generated
from swirl.stages.judge import KNOWING, judged_by, without_reason
from swirl.stages.start import initial_policy, judge_server
from swirl.terminal import say
from swirl.types import JudgedStep, Trajectory, Verdict, VerdictStatus

_Judged = Iterable[tuple[Trajectory, Sequence[Verdict], Sequence[Verdict]]]
"""Trajectories with the verdicts on their steps and the truth of each; without a score where it is not known."""


def require_truth(truth: str, own: str) -> None:
    """Raise `ConfigError` or `RecordError` where nothing can be measured against this truth, before anything is judged or removed."""
    if truth == own:
        raise ConfigError(
            f"--calibrate {truth}: expected another truth than the run's own judge, found itself; name a file of labels, or measure "
            "another judge with --judge.name"
        )
    if truth not in KNOWING:
        if not Path(truth).expanduser().is_file():
            raise ConfigError(
                f"--calibrate: expected {', '.join(KNOWING)} or a file of labels (JSON lines), found {truth!r}, which is none of them"
            )
        read_labels(Path(truth).expanduser())


def calibrate_judge(run: Run, truth: str) -> Calibration:
    """Measure the run's judge, judging where that is not done yet, write `calibration.json`, and print it. Raises as `require_truth` does,
    and where the truth is known of none of the steps."""
    own = run.config.judge.name
    require_truth(truth, own)
    points, left_out = _points(_known(run, own, truth) if truth in KNOWING else _labelled(run, own, truth))
    judging = open_judge(own, run.config.judge, initial_policy(run), run.config.seed, judge_server(run, "judge"))
    _require_made_by(run, judging.name)
    states = draw(_States(run), seed=run.config.seed)
    played = adversarial(states)
    say(f"calibrate ({own}): {len(played)} adversarial actions at {len(states)} states")
    found = _played(judging, [each.sample for each in played])
    calibration = Calibration(
        judge=judging.name,
        truth=truth,
        seed=run.config.seed,
        made_of=_made_of(run, truth),
        measures=calibrate(points, seed=run.config.seed),
        left_out=left_out,
        states=len(states),
        families=acceptances(played, found, lambda each: each.family),
        actions=acceptances(played, found, lambda each: each.name),
    )
    path = run.path / Calibration.FILE
    write_json(path, calibration)
    run.lap("judge", f"calibrate {own} against {truth}", count=len(played))
    print_calibration(calibration)
    say(f"calibration: {path}; `swirl report {run.path}` shows it on the page")
    return calibration


def _require_made_by(run: Run, judge: str) -> None:
    """Raise where the run's verdicts are of another judge than the one that is so called now."""
    for file in shards(run.verdicts(run.config.judge.name)):
        if others := sorted({record.judge for record in read(file, JudgedStep)} - {judge}):
            raise _made_by(file, others[0], judge, run)


def _made_by(file: Path, other: str, judge: str, run: Run) -> RunFolderError:
    return RunFolderError(
        f"{file} holds verdicts of {other}, and the judge now is {judge}, whose verdicts are not comparable; run "
        f"`swirl judge {run.path} --redo`"
    )


def _played(judging: Judge | Hindsight, samples: Sequence[StepSample]) -> Sequence[Verdict]:
    """The verdicts on actions of which nothing came; a judge of whole trajectories judges each as the last step of its state."""
    if not isinstance(judging, Hindsight):
        return judging.judge(samples)
    asked = [each for each in samples if settled(each.step) is None]
    told = dict(judging.judge_whole(structs.replace(s.state, steps=(*s.state.steps, s.step)) for s in asked))
    found = iter([told[place][-1] for place in range(len(asked))])
    return [settled(each.step) or next(found) for each in samples]


class _States:
    """All states of a run, read anew whenever they are gone through."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __iter__(self) -> Iterator[Trajectory]:
        return (state for trajectory in generated(self._run) for state in decompose(trajectory))


def _known(run: Run, own: str, truth: str) -> _Judged:
    return ((trajectory, mine, known) for trajectory, (mine, known) in judged_by(run, (own, truth)))


def _labelled(run: Run, own: str, truth: str) -> _Judged:
    labels = placed(read_labels(Path(truth).expanduser()), generated(run))
    unknown = Verdict(None, "no label", VerdictStatus.REFUSED)
    for each, (mine,) in judged_by(run, [own]):
        yield each, mine, [labels.get((each.id, index), unknown) for index in range(len(each.steps))]


def _points(found: _Judged) -> tuple[list[Point], dict[str, int]]:
    """The steps whose truth is known, and how many of each task's are not; raises `ConfigError` where it is known of none."""
    points, reason, left_out = [], "", Counter[str]()
    for trajectory, verdicts, truths in found:
        for index, (step, judged, truth) in enumerate(zip(trajectory.steps, verdicts, truths, strict=True)):
            if truth.score is None:
                left_out[trajectory.question.task] += 1
                reason = reason or truth.reason
                continue
            question = f"{trajectory.question.task}\x1f{trajectory.question.id}"
            point = Point(without_reason(judged), without_reason(truth), index, len(step.text), kind_of(step), question)
            points.append(point)
    if left_out and not points:
        raise ConfigError(reason)
    return points, dict(left_out)


def _made_of(run: Run, truth: str) -> dict[str, str]:
    recorded = [run.trajectories, run.verdicts(run.config.judge.name)]
    own = [] if truth in KNOWING else [Path(truth).expanduser().resolve()]
    files = [file for first in [*recorded, *([] if own else [run.verdicts(truth)])] for file in shards(first)] + own
    return {file.name if file.parent == run.path else str(file): digest_of(file) for file in files}
