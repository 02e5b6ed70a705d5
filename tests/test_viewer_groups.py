"""What training sampled, by state and update, and the most striking of it."""

import math
from pathlib import Path

import pytest
import torch

from finished_run import finished_run
from sampled import probe_of, put_on_record, sampled_action, sampled_state
from swirl.train.advantages import leave_one_out, weigh
from swirl.train.recorded import SampledState
from swirl.viewer.groups import Groups, gain_of
from swirl.viewer.shelf import Opened


def _groups(run: Path, *records: SampledState) -> Groups:
    put_on_record(run, *records)
    groups = Groups(run)
    groups.refresh()
    return groups


def test_a_state_is_found_by_task_trajectory_and_step_in_the_order_of_updates(tmp_path: Path) -> None:
    wanted = [sampled_state(update, 0, sampled_action("one two"), step=1) for update in (1, 4)]
    others = [sampled_state(2, 0), sampled_state(2, 1, task="q", step=1), sampled_state(3, 0, trajectory="q/1", step=1)]
    groups = _groups(tmp_path, wanted[0], *others, wanted[1])
    assert groups.of_state("world", "q/0", 1) == wanted
    assert groups.of_state("world", "q/0", 1, update=4) == wanted[1:]
    assert [visit.update for visit in groups.visits("world", "q/0", 1)] == [1, 4]
    assert groups.of_state("world", "q/0", 2) == groups.visits("world", "q/0", 2) == []
    assert groups.updates() == [1, 2, 3, 4]
    assert groups.of_update(2) == others[:2]
    assert groups.of_update(2, {1}) == others[1:2]
    assert groups.of_update(9) == []


def test_probes_come_by_checkpoint_and_follow_a_training_that_goes_on(tmp_path: Path) -> None:
    state = sampled_state(1, 0, sampled_action("one two"), sampled_action("three", 0.0))
    groups = _groups(tmp_path, state)
    put_on_record(tmp_path, probe_of(state, 0), probe_of(state, 4))
    version = groups.state().version
    assert groups.refresh()
    assert groups.state().version > version
    found = groups.probes("world", "q/0", 0)
    assert [probe.checkpoint for probe in found] == [0, 4]
    assert [len(logprobs) for logprobs in found[0].logprobs] == [2, 1]


def test_figures_of_a_state_need_no_second_reading(tmp_path: Path) -> None:
    same = [sampled_action("same", score, weight) for score, weight in ((1.0, 0.5), (0.0, -0.5))]
    missing = sampled_action("other", None)
    groups = _groups(tmp_path, sampled_state(1, 3, *same, missing), sampled_state(1, 5, missing))
    (tmp_path / "train" / "samples.jsonl").unlink()
    first, second = groups.measured(1)
    assert (first.place, first.actions, first.judged, first.reward, first.advantage) == (3, 3, 2, 0.5, 0.5)
    assert first.contradicted
    assert first.disagreement == 0.5
    gains = [gain for action in (*same, missing) if (gain := gain_of(action)) is not None]
    assert first.kl == pytest.approx(sum(gains) / 3)
    assert math.isnan(second.reward)
    assert second.disagreement == 0.0
    assert not second.contradicted


def test_the_most_striking_states_of_all_updates_are_ranked(tmp_path: Path) -> None:
    states = [
        sampled_state(update, 0, sampled_action("a", 1.0, weight), sampled_action("b", score, -weight))
        for update, weight, score in ((1, 0.1, 0.5), (2, 0.3, 0.0), (3, 0.2, 1.0))
    ]
    groups = _groups(tmp_path, *states)
    assert [one.update for one in groups.largest("advantage")] == [2, 3, 1]
    assert [one.update for one in groups.largest("disagreement")] == [2, 1]
    assert len(groups.largest("kl", 1)) == 1


def test_advantages_are_got_back_from_what_the_update_weighed(tmp_path: Path) -> None:
    rewards = torch.tensor([[1.0, 0.0, 0.0], [1.0, math.nan, 0.0], [math.nan, math.nan, 1.0]])
    advantages = leave_one_out(rewards)
    states = [
        sampled_state(
            1,
            place,
            *(
                sampled_action(f"{place} {i}", None if math.isnan(reward) else reward, float(f"{weight:.6g}"))
                for i, (reward, weight) in enumerate(zip(*pair, strict=True))
            ),
        )
        for place, pair in enumerate(zip(rewards.tolist(), weigh(advantages).tolist(), strict=True))
    ]
    groups = _groups(tmp_path, *states)
    for state, expected in zip(states, advantages.values_BG.tolist(), strict=True):
        found = groups.advantages(state, "rloo")
        assert [one for one in found if one is not None] == pytest.approx(
            [one for one, action in zip(expected, state.actions, strict=True) if action.score is not None], abs=1e-5
        )
        assert groups.advantages(state, "dpo") == (None, None, None)


def test_a_run_without_samples_has_none(tmp_path: Path) -> None:
    groups = Groups(tmp_path)
    assert not groups.refresh()
    assert groups.updates() == groups.of_update(1) == groups.largest("kl") == groups.probes("t", "q", 0) == []


def test_a_page_is_another_once_more_of_what_was_sampled_is_known(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    opened = Opened(run, "run", tmp_path)
    put_on_record(run, sampled_state(1, 0, sampled_action("a"), trajectory="mine"))
    before = opened.version()
    assert opened.groups.of_state("world", "mine", 0)
    assert opened.version() != before
    assert not opened.follow()
    put_on_record(run, sampled_state(2, 0, sampled_action("a"), trajectory="mine"))
    assert opened.follow()
    assert [visit.update for visit in opened.groups.visits("world", "mine", 0)] == [1, 2]
    opened.close()
