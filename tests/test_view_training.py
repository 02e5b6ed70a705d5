"""A training and its updates: curves, rows, states, what was sampled at each and what it was compared with."""

import shutil
from pathlib import Path

import pytest
from msgspec import structs

from recorded_run import metrics
from sampled import put_on_record, sampled_action, sampled_state
from swirl.records import log
from swirl.train import TrainConfig
from swirl.viewer.baselines import Rewards, baselines
from swirl.viewer.pages import training, update
from viewing import assert_sound, viewing

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script> javascript:alert(3)'


@pytest.fixture
def run(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "run"))


def test_updates_are_told_newest_first_and_lead_to_their_pages(run: Path, tmp_path: Path) -> None:
    with viewing(tmp_path / "scratch", run) as seen:
        page, data = assert_sound(seen.page("/training")), seen.data("/training")
    assert [row["metrics"]["update"] for row in data["rows"]] == [3, 2, 1]
    assert [row["recorded"] for row in data["rows"]] == [True, False, True]
    assert {f"/runs/run/training/{number}" for number in (1, 2, 3)} <= set(page.links())
    assert any(tag == "svg" for tag, _ in page.elements)


@pytest.mark.parametrize("begun", ["", '{"schema": "swirl.upd'])
def test_a_training_at_its_first_update_says_so(begun: str, run: Path, tmp_path: Path) -> None:
    (run / "train" / "metrics.jsonl").write_text(begun)
    with viewing(tmp_path / "scratch", run) as seen:
        assert "No update is done yet" in assert_sound(seen.page("/training")).text
        assert seen.data("")["trained"]["why_not"].startswith("No update is done yet")


def test_many_updates_have_pages(run: Path, tmp_path: Path) -> None:
    log(run / "train" / "metrics.jsonl", [metrics(number) for number in range(4, 121)])
    with viewing(tmp_path / "scratch", run) as seen:
        pages = [seen.data("/training", page=number)["rows"] for number in (1, 2, 3)]
        assert "Page 2 of 3" in seen.page("/training", page=2)
        for nonsense in ("0", "-1", "x", "1" * 40):
            assert "expected a number from 1 on" in seen.page("/training", status=400, page=nonsense)
    told = [row["metrics"]["update"] for page in pages for row in page]
    assert told == list(range(120, 0, -1))


def test_states_that_stand_out_come_with_the_action_that_shows_it(run: Path, tmp_path: Path) -> None:
    with viewing(tmp_path / "scratch", run) as seen:
        page, found = assert_sound(seen.page("/training")), seen.data("/training")["standing_out"]
    assert [one["text"] for one in found["disagreement"][0]["actions"]] == ["same", "same"]
    assert found["disagreement"][0]["contradicted"]
    assert "equal actions, other verdicts" in page.text
    assert max(abs(one["advantage"]) for one in found["advantage"][0]["actions"]) == pytest.approx(1.0)
    kl = [state["kl"] for state in found["kl"]]
    assert kl == sorted(kl, reverse=True)
    assert "2 updates on record, 1 to 3" in page.text


def test_an_update_shows_rewards_baselines_and_advantages(run: Path, tmp_path: Path) -> None:
    with viewing(tmp_path / "scratch", run) as seen:
        page, data = assert_sound(seen.page("/training/3")), seen.data("/training/3")
    first, second = data["states"]
    told = {one["text"]: (one["reward"], one["baseline"], one["advantage"]) for one in first["actions"]}
    assert told["wrong"] == pytest.approx((0.0, 1.0, -1.0))
    assert told["right"] == pytest.approx((1.0, 0.5, 0.5))
    assert first["actions"][-1]["text"] == "wrong", "by falling advantage"
    missing = next(one for one in second["actions"] if one["badge"] == "MISSING")
    assert (missing["reward"], missing["baseline"], missing["advantage"]) == (None, None, None)
    assert "equal actions were judged differently" in page.text
    assert "leave one out" in page.text


def test_actions_that_are_alike_stand_once_with_their_number(tmp_path: Path, run: Path) -> None:
    put_on_record(run, sampled_state(9, 0, *[sampled_action("again", 1.0)] * 3, sampled_action("again", 0.0)))
    with viewing(tmp_path / "scratch", run) as seen:
        page, [state] = assert_sound(seen.page("/training/9")), seen.data("/training/9")["states"]
    assert [one["times"] for one in state["actions"]] == [3, 0, 0, 1]
    assert ("3 GOOD" in page.text, "1 BAD" in page.text) == (True, True)
    assert page.text.count("3 ×") == page.text.count("1 ×") == 1


def test_its_states_lead_to_the_step_of_their_trajectory(run: Path, tmp_path: Path) -> None:
    with viewing(tmp_path / "scratch", run) as seen:
        links, states = assert_sound(seen.page("/training/1")).links(), seen.data("/training/1")["states"]
    steps = [link for link in links if "/trajectory?id=" in link]
    assert [link.partition("#")[2] for link in steps] == [f"step-{state['step'] + 1}" for state in states]


@pytest.mark.parametrize(
    ("sort", "places"), [("place", [0, 1]), ("disagreement", [1, 0]), ("advantage", [1, 0]), ("reward", [1, 0])]
)
def test_states_can_be_ordered(sort: str, places: list[int], run: Path, tmp_path: Path) -> None:
    with viewing(tmp_path / "scratch", run) as seen:
        assert [state["place"] for state in seen.data("/training/1", sort=sort)["states"]] == places
        assert "expected one of place" in seen.page("/training/1", status=400, sort="colour")


def test_n_and_p_go_to_the_updates_on_record(run: Path, tmp_path: Path) -> None:
    log(run / "train" / "metrics.jsonl", [metrics(4)])
    with viewing(tmp_path / "scratch", run) as seen:
        elements = assert_sound(seen.page("/training/1")).elements
        between = seen.data("/training/2")
    assert [attributes["href"] for _, attributes in elements if "data-next" in attributes] == ["/runs/run/training/3"]
    assert [attributes["href"] for _, attributes in elements if "data-up" in attributes] == ["/runs/run/training"]
    assert (between["previous"], between["next"]) == (1, 3)
    assert "samples of update 2 are not on record" in between["why_not"]


def test_an_update_that_is_not_there_is_told_with_those_that_are(run: Path, tmp_path: Path) -> None:
    with viewing(tmp_path / "scratch", run) as seen:
        assert "there are updates 1 to 3" in seen.page("/training/4", status=404)
        assert "expected a number" in seen.page("/training/x", status=400)


def test_a_training_without_samples_says_so_and_shows_its_metrics(run: Path, tmp_path: Path) -> None:
    (run / "train" / "samples.jsonl").unlink()
    with viewing(tmp_path / "scratch", run) as seen:
        whole, one = assert_sound(seen.page("/training")), assert_sound(seen.page("/training/2"))
        assert seen.data("/training/2")["next"] == 3
    for page in (whole, one):
        assert "train.record_every = 0" in page.text
    assert "0.500" in one.text


def test_before_training_the_command_is_told(run: Path, tmp_path: Path) -> None:
    shutil.rmtree(run / "train")
    with viewing(tmp_path / "scratch", run) as seen:
        assert f"swirl train {run}" in assert_sound(seen.page("/training")).text
        assert "no update is on record" in seen.page("/training/1", status=404)


def test_the_warm_start_has_curves_of_its_own(run: Path, tmp_path: Path) -> None:
    (run / "warm_start").mkdir()
    told = [metrics(number, reward=None, good=None, kl=None, entropy=None, malformed=None) for number in (1, 2)]
    log(run / "warm_start" / "metrics.jsonl", told)
    with viewing(tmp_path / "scratch", run) as seen:
        page = assert_sound(seen.page("/training"))
    assert "2 updates of supervised training" in page.text
    assert sum(tag == "svg" for tag, _ in page.elements) == 2


def test_hostile_texts_are_shown_and_nothing_else(run: Path, tmp_path: Path) -> None:
    action = structs.replace(sampled_action(HOSTILE, 0.0, -0.5), reason=HOSTILE, thinking=HOSTILE)
    other = sampled_action("fine", 1.0, 0.5)
    put_on_record(run, sampled_state(5, 0, action, other, task=HOSTILE, trajectory=HOSTILE))
    log(run / "train" / "metrics.jsonl", [metrics(5)])
    with viewing(tmp_path / "scratch", run) as seen:
        pages = [seen.page("/training"), seen.page("/training/5")]
    for text in pages:
        assert HOSTILE in assert_sound(text).text
        assert "<script>alert" not in text
        assert "<img" not in text


def test_a_line_that_is_half_written_or_no_record_breaks_nothing(run: Path, tmp_path: Path) -> None:
    for name in ("metrics", "samples"):
        with (run / "train" / f"{name}.jsonl").open("ab") as stream:
            stream.write(b'{"schema":"swirl.')
    with viewing(tmp_path / "scratch", run) as seen:
        assert seen.data("/training")["updates"] == 3
        with (run / "train" / "metrics.jsonl").open("ab") as stream:
            stream.write(b"\n")
        assert "metrics.jsonl:4" in assert_sound(seen.page("/training")).text
        assert len(seen.data("/training/3")["states"]) == 2


def test_their_python_loads_the_same(run: Path, tmp_path: Path) -> None:
    with viewing(tmp_path / "scratch", run) as seen:
        whole: dict = {}
        one: dict = {}
        exec(training.view(seen.run, {}).python, whole)  # noqa: S102
        exec(update.view(seen.run, {"update": "3"}).python, one)  # noqa: S102
    assert len(whole["updates"]) == 3
    assert len(list(whole["sampled"])) == 4
    assert one["metrics"].update == 3
    assert [state.place for state in one["states"]] == [0, 1]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (TrainConfig(objective="rloo"), (0.0, 0.5, 0.5, None)),
        (TrainConfig(objective="grpo"), (1 / 3, 1 / 3, 1 / 3, None)),
        (TrainConfig(objective="reinforce", baseline="batch"), (0.5, 0.75, 0.75, None)),
        (TrainConfig(objective="reinforce", baseline="none"), (None,) * 4),
        (TrainConfig(objective="dpo"), (None,) * 4),
    ],
)
def test_a_reward_is_compared_with_what_its_objective_says(config: TrainConfig, expected: tuple) -> None:
    actions = tuple(sampled_action(f"a{i}", score) for i, score in enumerate((1.0, 0.0, 0.0, None)))
    state = sampled_state(1, 0, *actions)
    assert baselines(state, Rewards(3.0, 5), config) == pytest.approx(expected)
