"""Files of records in chunks: what is not whole is made again, what is something else is refused, and no stage goes on from either."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from swirl.decompose import decompose
from swirl.errors import ConfigError, RecordError, RunFolderError
from swirl.judges import JudgeConfig
from swirl.records import Appender, digest, read, write_json
from swirl.run import Run
from swirl.stages.chunks import Item, Plan, finished, in_order, resume, resume_any
from swirl.stages.evaluate import evaluate
from swirl.stages.filter import select
from swirl.stages.judge import judge
from swirl.stages.train import train
from swirl.types import JudgedStep, Question, Rules, Trajectory
from test_stages import CONFIG, begun

QUESTIONS = [Question(id=f"q{i}", task="t", text=f"What is {i} + 1?", answers=(str(i + 1),)) for i in range(6)]
WHOLE = [Trajectory(id=f"{question.id}/0", question=question, rules=Rules()) for question in QUESTIONS]


def plan(folder: Path, questions: Sequence[Question] = QUESTIONS, size: int = 2) -> Plan[Trajectory]:
    items = [Item.about(f"{question.id}/0", question) for question in questions]
    return Plan(
        stage="generate",
        run=folder,
        path=folder / "trajectories.jsonl",
        kind=Trajectory,
        item=lambda trajectory: Item.about(trajectory.id, trajectory.question),
        chunks=[items[i : i + size] for i in range(0, len(items), size)],
        unit="trajectories",
    )


def write(folder: Path, records: Sequence[Trajectory]) -> Plan[Trajectory]:
    with Appender(folder / "trajectories.jsonl", Trajectory) as out:
        out.append(records)
    return plan(folder)


def all_of(asked: Plan[Trajectory]) -> list[Trajectory]:
    return list(finished(asked))


def go_on(asked: Plan[Trajectory]) -> int:
    with Appender(asked.path, Trajectory) as out:
        return resume(out, asked)


@pytest.mark.parametrize(
    ("found", "chunk", "left"),
    [
        (WHOLE, 3, WHOLE),
        (WHOLE[:4], 2, WHOLE[:4]),
        (WHOLE[:5], 2, WHOLE[:4]),
        ([*WHOLE[:2], *WHOLE[3:]], 1, WHOLE[:2]),
        ([*WHOLE[:2], *WHOLE[3:], WHOLE[3]], 1, WHOLE[:2]),
        ([WHOLE[0], *WHOLE], 0, []),
        (WHOLE[::-1], 3, WHOLE[::-1]),
        ([], 0, []),
    ],
    ids=["all", "whole chunks", "half a chunk", "a lost line", "one lost, one twice", "one twice", "any order", "none"],
)
def test_a_stage_goes_on_at_the_first_chunk_that_is_not_whole(
    found: list[Trajectory], chunk: int, left: list[Trajectory], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = write(tmp_path, found)
    assert asked.num_done() == len(left)
    assert go_on(asked) == chunk
    assert list(read(asked.path, Trajectory)) == left
    dropped = len(found) - len(left)
    told = f"trajectories.jsonl: dropped {dropped} of {len(found)} trajectories, from the first chunk on that is not whole; "
    assert capsys.readouterr().err == (f"{told}they are made again\n" if dropped else "")


def test_more_than_was_asked_for_is_refused_with_the_command_that_starts_anew(tmp_path: Path) -> None:
    asked = write(tmp_path, [*WHOLE, WHOLE[0]])
    with pytest.raises(RunFolderError, match=r"expected 6 trajectories in .*, found 7: run `swirl generate .* --redo`"):
        go_on(asked)


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({"text": "What is 5 + 2?"}, "question 'q5' differs in its text"),
        ({"answers": ("7",)}, "question 'q5' differs in its answers"),
        ({"id": "q9"}, "q5/0 is none of the 6 trajectories"),
    ],
)
def test_what_was_asked_something_else_is_refused_and_kept(now: dict[str, object], told: str, tmp_path: Path) -> None:
    asked = write(tmp_path, WHOLE)
    changed = Question(**{"id": "q5", "task": "t", "text": QUESTIONS[5].text, "answers": ("6",), **now})
    for use in (go_on, all_of, Plan.num_done):
        with pytest.raises(RunFolderError, match=rf"trajectories.jsonl:6: .*{told}.*`swirl generate .* --redo`"):
            use(plan(tmp_path, [*QUESTIONS[:5], changed]))
    assert all_of(asked) == WHOLE


def test_what_is_read_on_has_to_be_there_whole_and_once(tmp_path: Path) -> None:
    asked = write(tmp_path, WHOLE[:5])
    with pytest.raises(RunFolderError, match=r"`generate` is unfinished \(5 of 6 trajectories\): run `swirl generate"):
        all_of(asked)
    with pytest.raises(RunFolderError, match=r"trajectories.jsonl:6: q0/0 stands in line 1 already; delete one"):
        all_of(write(tmp_path, WHOLE[:1]))


def test_two_questions_of_one_id_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found two with the id 'q0'"):
        plan(tmp_path, [*QUESTIONS, QUESTIONS[0]])


def go_on_anywhere(asked: Plan[Trajectory]) -> set[str]:
    with Appender(asked.path, Trajectory) as out:
        return resume_any(out, asked)


@pytest.mark.parametrize("found", [[], WHOLE[3:5], WHOLE[::-1]], ids=["none", "some", "all"])
def test_what_a_service_was_asked_for_stays_in_whatever_order_it_came(found: list[Trajectory], tmp_path: Path) -> None:
    asked = write(tmp_path, found)
    with asked.path.open("ab") as stream:
        stream.write(b'{"id": "torn')
    assert go_on_anywhere(asked) == {trajectory.id for trajectory in found}
    assert list(read(asked.path, Trajectory)) == found


@pytest.mark.parametrize("use", [in_order, go_on_anywhere])
def test_what_is_there_twice_is_refused_and_kept(use: Callable[[Plan[Trajectory]], object], tmp_path: Path) -> None:
    asked = write(tmp_path, [WHOLE[2], WHOLE[0], WHOLE[2]])
    with pytest.raises(RunFolderError, match=r"jsonl:3: q2/0 stands in line 1 already; delete one of the two, or run"):
        use(asked)
    assert list(read(asked.path, Trajectory)) == [WHOLE[2], WHOLE[0], WHOLE[2]]


def test_records_are_put_in_order_once_all_are_there(tmp_path: Path) -> None:
    asked = write(tmp_path, WHOLE[:3:-1])
    assert not in_order(asked)
    assert list(read(asked.path, Trajectory)) == WHOLE[:3:-1]
    write(tmp_path, WHOLE[:4])
    written = sorted(asked.path.read_bytes().splitlines())
    assert in_order(asked)
    assert list(read(asked.path, Trajectory)) == WHOLE
    assert sorted(asked.path.read_bytes().splitlines()) == written
    before = asked.path.stat().st_ino
    assert in_order(asked)
    assert asked.path.stat().st_ino == before
    assert [path.name for path in tmp_path.iterdir()] == [asked.path.name]


# What follows is about the stages that read such files.


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return begun(tmp_path / "run")


def cut(path: Path, lines: int) -> None:
    """Keep the first lines of a file, as a stage that was killed leaves it."""
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]))


@pytest.mark.parametrize("stage", [judge, select, train, evaluate])
def test_no_stage_goes_on_from_trajectories_that_are_not_all_there(run: Run, stage: Callable[[Run], object]) -> None:
    judge(run)
    select(run)
    cut(run.trajectories, 3)
    with pytest.raises(RunFolderError, match=r"`generate` is unfinished \(3 of 4 traj.*run `swirl generate .*` first"):
        stage(run)


@pytest.mark.parametrize("lines", [0, 2])
@pytest.mark.parametrize("stage", [select, evaluate])
def test_no_stage_goes_on_from_verdicts_that_are_not_all_there(
    run: Run, stage: Callable[[Run], object], lines: int
) -> None:
    run.config = replace(CONFIG, judge=JudgeConfig(name="rule"))
    judge(run)
    total = len(list(read(run.verdicts("rule"), JudgedStep)))
    cut(run.verdicts("rule"), lines)
    with pytest.raises(RunFolderError, match=rf"`judge` is unfinished \({lines} of {total} verdicts\)"):
        stage(run)


def test_a_step_that_was_judged_twice_is_named(run: Run) -> None:
    judge(run)
    lines = run.verdicts("solver").read_text().splitlines(keepends=True)
    run.verdicts("solver").write_text("".join([*lines, lines[1]]))
    name = next(read(run.trajectories, Trajectory)).id
    with pytest.raises(RunFolderError, match=rf":{len(lines) + 1}: step 1 of trajectory '{name}' stands in line 2"):
        select(run)


def test_verdicts_of_a_lost_line_are_made_again(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    judge(run)
    whole = run.verdicts("solver").read_text()
    lines = whole.splitlines(keepends=True)
    run.verdicts("solver").write_text("".join([lines[0], *lines[2:], lines[0]]))
    judge(run)
    assert run.verdicts("solver").read_text() == whole
    assert f"dropped {len(lines)} of {len(lines)} verdicts" in capsys.readouterr().err


@pytest.mark.parametrize("num_left", [0, 3])
def test_training_asks_for_a_selection_from_all_the_trajectories(run: Run, num_left: int) -> None:
    judge(run)
    select(run)
    told = json.loads(run.selection.read_text())
    run.selection.write_text(json.dumps(told | {"decisions": told["decisions"][:num_left]}))
    with pytest.raises(
        RunFolderError, match=rf"expected 4 decisions .*, found {num_left} on .* run `swirl filter .*` first"
    ):
        train(run)


@pytest.mark.parametrize(("written", "told"), [("[]", "Expected `object`"), ('{"rule": "none"}', "required field")])
def test_a_selection_of_another_shape_is_one_sentence(run: Run, written: str, told: str) -> None:
    run.selection.write_text(written)
    with pytest.raises(RecordError, match=rf"selection.json: .*{told}.*run `swirl filter"):
        train(run)


def train_in_name(run: Run, updates: int, data: list[Trajectory]) -> None:
    """What training on some data leaves, but for the weights."""
    about = {"schema": "swirl.checkpoint/1", "updates": updates, "run": {"training data": digest(data)}}
    write_json(run.path / "train" / "checkpoints" / f"update-{updates:06}" / "checkpoint.json", about)


def test_a_model_that_was_trained_on_other_data_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    judge(run)
    select(run)
    states = [state for each in read(run.trajectories, Trajectory) for state in decompose(each)]
    run.model.mkdir(parents=True)
    train_in_name(run, CONFIG.train.updates, states[:-2])
    train(run)
    assert "train (rloo): all 100 updates are there already" in capsys.readouterr().err
    train_in_name(run, CONFIG.train.updates, states)
    for stage in (train, evaluate):
        with pytest.raises(RunFolderError, match=r"found \d+ records .*: run `swirl train .* --redo`"):
            stage(run)


def test_a_training_that_was_cut_off_is_not_evaluated(run: Run) -> None:
    judge(run)
    select(run)
    train_in_name(run, 7, [state for each in list(read(run.trajectories, Trajectory))[:2] for state in decompose(each)])
    with pytest.raises(RunFolderError, match=r"`train` is unfinished \(7 of 100 updates\): run `swirl train .*` first"):
        evaluate(run)
