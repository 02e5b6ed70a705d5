"""Of what training sampled, a page shows the first state that taught something, of the first recorded update and of the last."""

from pathlib import Path

import pytest
from msgspec import structs

from sampled import put_on_record, sampled_action, sampled_state
from swirl.sampled import at_checkpoints, shown_groups
from swirl.train.recorded import SampledState
from swirl.types import Verdict, VerdictStatus


def state(update: int, place: int, weights: list[float]) -> SampledState:
    actions = [sampled_action(f"{place} {weight}", 1.0 if weight > 0 else 0.0, weight) for weight in weights]
    return sampled_state(update, place, *actions, step=place)


def test_the_first_and_the_last_update_show_the_first_state_that_was_told_apart(tmp_path: Path) -> None:
    put_on_record(
        tmp_path,
        *(state(1, 0, [0.0, 0.0]), state(1, 1, [0.25, -0.25])),
        *(state(2, 0, [0.5, -0.5]), state(3, 2, [-0.5, 0.5])),
    )
    first, last = shown_groups(tmp_path / "train", "rloo")
    assert (first.state.update, first.state.step, first.advantages) == (1, 1, (1.0, -1.0)), "of two states"
    assert (last.state.update, last.state.step, last.advantages) == (3, 2, (-1.0, 1.0))


@pytest.mark.parametrize(("objective", "states"), [("rloo", 1), ("grpo", 1), ("reinforce", 2)])
def test_a_state_counts_where_it_has_verdicts_enough(tmp_path: Path, objective: str, states: int) -> None:
    alone = sampled_state(1, 1, sampled_action("a", 1.0, 0.0), sampled_action("b", None, 0.0))
    put_on_record(tmp_path, state(1, 0, [0.25, -0.25]), alone)
    [shown] = shown_groups(tmp_path / "train", objective)
    assert shown.advantages == (0.5 * states, -0.5 * states)


def test_a_record_that_contradicts_itself_has_no_verdict() -> None:
    action = sampled_action("a", 1.0)
    assert action.verdict == Verdict(1.0, "because of a")
    assert structs.replace(action, status=VerdictStatus.UNREADABLE).verdict is None


def test_an_objective_without_advantages_has_none(tmp_path: Path) -> None:
    put_on_record(tmp_path, state(1, 0, [0.025, -0.025]))
    assert [shown.advantages for shown in shown_groups(tmp_path / "train", "dpo")] == [(None, None)]


def test_one_update_is_shown_once_and_none_not_at_all(tmp_path: Path) -> None:
    train = tmp_path / "train"
    assert shown_groups(train, "rloo") == []
    put_on_record(tmp_path, state(1, 0, [0.0]))
    assert shown_groups(train, "rloo") == []
    put_on_record(tmp_path, state(1, 1, [0.5, -0.5]), state(1, 2, [0.5, -0.5]))
    assert [shown.state.step for shown in shown_groups(train, "rloo")] == [1]


def test_a_line_that_is_not_ended_is_not_read(tmp_path: Path) -> None:
    put_on_record(tmp_path, state(1, 0, [0.5, -0.5]), state(2, 0, [0.5, -0.5]))
    file = tmp_path / "train" / SampledState.FILE
    file.write_bytes(file.read_bytes().removesuffix(b"\n"))
    assert [shown.state.update for shown in shown_groups(tmp_path / "train", "rloo")] == [1]


def test_the_first_states_of_checkpoints_are_those_that_are_told(tmp_path: Path) -> None:
    assert at_checkpoints(tmp_path / "train", 2) == []
    put_on_record(tmp_path, *(state(update, place, [0.5]) for update in (1, 2, 3, 4, 5) for place in (3, 7)))
    assert [(one.update, one.place) for one in at_checkpoints(tmp_path / "train", 2)] == [(2, 3), (4, 3), (5, 3)]
