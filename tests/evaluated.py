"""Evaluation records and verdicts in a run folder, made without a model."""

from collections.abc import Sequence
from pathlib import Path

from swirl.evaluate import EvaluatedTrajectory, Mode, When
from swirl.protocol import parse
from swirl.records import Appender
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.tasks import Grade
from swirl.types import JudgedStep, Observation, PromptStyle, Question, Rules, Step, StopReason, Trajectory, Verdict

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)> javascript:alert(2)"


def answered(
    id: str,
    policy: When,
    correct: bool,
    *,
    sample: int = 0,
    mode: Mode = "greedy",
    tools: bool = True,
    task: str = "t",
    said: str = "",
    calls: Sequence[str] = (),
    question: str = "",
) -> EvaluatedTrajectory:
    """A question that was answered so, after some calculations."""
    answer = said or ("yes" if correct else "no")
    texts = [f"<math_exp>{call}</math_exp>" for call in calls]
    steps = [Step(text=text, action=parse(text), observation=Observation("5"), token_ids=(1, 2)) for text in texts]
    last = f"So <answer>{answer}</answer>"
    trajectory = Trajectory(
        id=f"{id}/{sample}",
        question=Question(id=id, task=task, text=question or f"Is it {id}?", answers=("yes",)),
        rules=Rules(),
        sample=sample,
        steps=(*steps, Step(text=last, action=parse(last))),
        stop=StopReason.ANSWERED,
    )
    return EvaluatedTrajectory(
        policy=policy,
        task=task,
        mode=mode,
        prompt=PromptStyle.BARE,
        tools=tools,
        trajectory=trajectory,
        grade=Grade(correct=correct, exact_match=correct),
        verdicts=tuple(Verdict(float(correct), f"because of {answer}") for _ in trajectory.steps),
    )


def write(folder: Path, name: str, records: Sequence[EvaluatedTrajectory]) -> Path:
    """A file of an evaluation, or more of it."""
    path = folder / "evaluation" / name
    with Appender(path, EvaluatedTrajectory) as out:
        out.append(records)
    return path


def four(folder: Path, mode: Mode = "greedy") -> None:
    """Four questions of both policies: q0 right both times, q1 lost, q2 gained, q3 wrong both times."""
    before, after = (True, True, False, False), (True, False, True, False)
    for policy, right in (("before", before), ("after", after)):
        records = [answered(f"q{place}", policy, correct, mode=mode) for place, correct in enumerate(right)]
        write(folder, f"{policy}-t-{mode}.jsonl", records)


def bare_run(path: Path) -> Path:
    """A run folder with its settings alone."""
    return Run.create(path, RunConfig()).path


def judged(folder: Path, name: str, verdicts: Sequence[tuple[str, int, Verdict]], judge: str = "") -> Path:
    """A file of verdicts, or more of it."""
    path = folder / name
    with Appender(path, JudgedStep) as out:
        out.append([JudgedStep(trajectory=id, step=step, judge=judge or name, verdict=it) for id, step, it in verdicts])
    return path
