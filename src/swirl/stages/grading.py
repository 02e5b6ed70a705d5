"""The grader's words on the answers of an evaluation. What is missing for a reason that passes is asked for again by a rerun; where too
much is missing, the evaluation stops, and keeps what came.
"""

from collections.abc import Callable, Sequence

import msgspec

from swirl.errors import ServiceFailure
from swirl.evaluate import EvaluatedTrajectory
from swirl.judges.grader import Grader, Word
from swirl.judges.missing import Missing, hopeless
from swirl.records import read, write_atomically
from swirl.run import Run
from swirl.services.faults import Fault
from swirl.stages.chunks import Plan
from swirl.stages.stream import too_many
from swirl.terminal import say
from swirl.types import Trajectory, VerdictStatus


def words_on(run: Run, grader: Grader | None, trajectories: Sequence[Trajectory], kept: int = 0) -> list[Word]:
    """The grader's word on each answer; where nobody grades, nothing was asked for. `kept` words beside these are missing for good."""
    if grader is None:
        return [Word(None, None) for _ in trajectories]
    share, total = run.config.judge.max_missing, kept + len(trajectories)

    def too_few(lacking: int, asked: int, left: int) -> bool:
        return hopeless(lacking, asked, kept + lacking + left, total, share)

    return grader.grade(trajectories, too_few)


def grade_again(
    run: Run, label: str, plan: Plan[EvaluatedTrajectory], there: int, grader: Callable[[], Grader | None]
) -> None:
    """Ask again for the words that are missing for a reason that passes on the first `there` records of a file, which is replaced whole or
    not at all; raises as `require_words` does where too many are missing in the end."""
    if not run.config.evaluate.grader:
        return
    records = list(read(plan.path, EvaluatedTrajectory))
    again = [place for place, record in enumerate(records[:there]) if record.to_grade]
    words: list[Word] = []
    if again:
        say(f"{label}: the grader's words on {len(again)} answers are missing; they are asked for again")
        answers = sum(record.trajectory.answer is not None for record in records)
        words = words_on(run, grader(), [records[place].trajectory for place in again], answers - len(again))
        for place, word in zip(again, words, strict=True):
            missing = word.status if word.right is None else None
            records[place] = msgspec.structs.replace(records[place], judged=word.right, grading=missing)
        write_atomically(plan.path, b"".join(msgspec.json.encode(record) + b"\n" for record in records))
        run.lap("evaluate", f"{plan.path.stem}, graded again", count=len(again))
    require_words(run, label, records, words, len(records))


def require_words(
    run: Run, label: str, records: Sequence[EvaluatedTrajectory], words: Sequence[Word], total: int
) -> None:
    """Raise where more words are missing on these records than may be of so many in all (`JudgeFailure`), and where the grader was not
    asked any more; `words` are those that it was asked for now. What came is written."""
    over = next((word.reason for word in words if word.status is VerdictStatus.OVER_BUDGET), "")
    if over:
        raise ServiceFailure(
            f"{label}: {over}; all answers and words that came are kept: raise judge_server.budget_usd, then run "
            f"`swirl evaluate {run.path}` again, which goes on with the others",
            Fault.OVER_BUDGET.value,
        )
    found = Missing.among(
        (record.trajectory.steps[-1], record.grading or VerdictStatus.OK)
        for record in records
        if record.trajectory.answer is not None and (record.judged is not None or record.grading is not None)
    )
    stopped = any(word.right is None and word.status is None for word in words)
    if stopped or found.count > run.config.judge.max_missing * total:
        failure = next((word.reason for word in reversed(words) if word.reason), "")
        raise too_many(run, found, failure, stage="evaluate", who="grader")


def tell_missing(label: str, words: Sequence[Word]) -> None:
    """Say how many words are missing, where some are."""
    if lost := sum(word.right is None for word in words):
        say(f"{label}: the grader's word on {lost} of {len(words)} answers is missing, and counts in no figure")
