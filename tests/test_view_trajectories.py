"""The table of all trajectories and the page of one: what they show, where they lead, and that hostile text does nothing there."""

import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec import structs

from finished_run import finished_run
from sampled import probe_of, put_on_record, sampled_action, sampled_state
from swirl.evaluate import EvaluatedTrajectory
from swirl.records import Appender, read, reorder
from swirl.train.recorded import SampledState
from swirl.types import JudgedStep, Observation, Trajectory, Verdict
from swirl.viewer.page import NotThere
from swirl.viewer.pages import trajectories, trajectory
from viewing import Viewing, assert_sound, viewing

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)> javascript:alert(3) {{ 7 * 7 }} </textarea>'


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, one state of which has a training group with all that there can be."""
    folder = finished_run(tmp_path_factory.mktemp("view") / "run")
    shutil.rmtree(folder / "train")
    (folder / "train").mkdir()
    (folder / "train" / "metrics.jsonl").touch()
    drawn = next(read(folder / Trajectory.FILE, Trajectory))
    actions = [sampled_action("one two", 1.0, 0.25), sampled_action("three four five", 0.0, -0.25)]
    about = {"task": drawn.question.task, "trajectory": drawn.id}
    first = sampled_state(1, 0, *actions, sampled_action("one two", 1.0, 0.0), actions[1], **about)
    put_on_record(folder, first, sampled_state(7, 2, sampled_action("later", None), **about))
    put_on_record(folder, *(probe_of(first, checkpoint) for checkpoint in (0, 5, 10)))
    return folder


@pytest.fixture(scope="module")
def seen(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewing]:
    """The viewer over it."""
    with viewing(tmp_path_factory.mktemp("scratch"), run) as viewer:
        yield viewer


def _rows(seen: Viewing, **query: object) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", seen.data("/trajectories", **query)["rows"])


def _one(seen: Viewing, name: str, **query: object) -> dict[str, Any]:
    return cast("dict[str, Any]", seen.data("/trajectory", id=name, **query))


def test_the_table_lists_every_trajectory_and_leads_to_each(seen: Viewing, run: Path) -> None:
    page = assert_sound(seen.page("/trajectories"))
    recorded = list(read(run / Trajectory.FILE, Trajectory))
    assert [row["id"] for row in _rows(seen)] == [one.id for one in recorded]
    assert f"{len(recorded)} of {len(recorded)} found" in " ".join(page.text.split())
    leading = [link for link in page.links() if "/trajectory?" in link and "#" not in link]
    assert len(leading) == len(recorded)
    for link in leading:
        assert_sound(seen.page(link))


def test_a_page_depends_on_the_run_and_what_is_asked_alone(seen: Viewing) -> None:
    table = trajectories.view(seen.run, {"verdict": "bad"})
    assert table.data["rows"] == _rows(seen, verdict="bad")
    name = table.data["rows"][0]["id"]
    assert trajectory.view(seen.run, {"id": name}).data["steps"] == _one(seen, name)["steps"]
    with pytest.raises(NotThere, match="expected a trajectory"):
        trajectory.view(seen.run, {"id": name, "of": "evaluation"})


def test_menus_say_how_many_there_are_and_filter_what_is_shown(seen: Viewing) -> None:
    menus = {menu["name"]: menu for menu in cast("list[dict[str, Any]]", seen.data("/trajectories")["menus"])}
    for name in ("task", "stop", "verdict", "steps", "kept", "rule", "correct", "tool"):
        for option in menus[name]["options"]:
            assert len(_rows(seen, **{name: option["value"]})) == option["count"], (name, option)
    files = [option["value"] for option in menus["of"]["options"]]
    assert files[:2] == ["trajectories", "evaluation"]
    assert any(name.startswith("before-") for name in files)


def test_headings_sort_both_ways_and_say_how_it_is_sorted(seen: Viewing) -> None:
    page = assert_sound(seen.page("/trajectories", sort="-steps"))
    assert [row["steps"] for row in _rows(seen, sort="-steps")] == sorted(
        (row["steps"] for row in _rows(seen)), reverse=True
    )
    sorts = [attributes["aria-sort"] for tag, attributes in page.elements if tag == "th" and "aria-sort" in attributes]
    assert sorts.count("descending") == 1
    assert set(sorts) == {"descending", "none"}
    assert any("sort=steps" in link for link in page.links())
    assert any("sort=-bad" in link for link in page.links())


def test_pages_follow_one_another_and_keep_what_was_asked(seen: Viewing) -> None:
    first = assert_sound(seen.page("/trajectories", size=2, sort="-steps"))
    [following] = {link for link in first.links() if "page=2" in link}
    assert "size=2" in following
    assert "sort=-steps" in following
    second = assert_sound(seen.page(following))
    assert "page 2 of" in second.text
    whole = [row["id"] for row in _rows(seen, sort="-steps")]
    assert [row["id"] for row in _rows(seen, size=2, sort="-steps", page=2)] == whole[2:4]


def test_nothing_found_says_what_to_change(seen: Viewing) -> None:
    page = assert_sound(seen.page("/trajectories", q="nosuchword", task="world"))
    assert "take one away" in page.text
    assert "fewer words find more" in page.text
    assert any(link.endswith("/trajectories?task=world") for link in page.links())


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/trajectories?sort=nonsense", 400),
        ("/trajectories?steps=many", 400),
        ("/trajectory?id=nowhere", 404),
        ("/trajectory", 404),
        ("/trajectory?id=nowhere&update=x", 400),
    ],
)
def test_an_address_that_leads_nowhere_is_answered_with_a_sentence(seen: Viewing, address: str, status: int) -> None:
    page = assert_sound(seen.page(address, status=status))
    assert "expected" in page.text


def test_one_trajectory_is_told_step_by_step(seen: Viewing, run: Path) -> None:
    recorded = next(read(run / Trajectory.FILE, Trajectory))
    page, told = assert_sound(seen.page("/trajectory", id=recorded.id)), _one(seen, recorded.id)
    assert len(told["steps"]) == len(recorded.steps)
    for step, shown in zip(recorded.steps, told["steps"], strict=True):
        assert "".join(piece["text"] for piece in shown["action"]) == step.text
        assert shown["verdicts"][0]["badge"] in ("GOOD", "BAD")
        assert shown["verdicts"][0]["reason"] in page.text
        assert len(shown["context"]) == 2 * (shown["number"] - 1) + 1
        assert ("section", f"step-{shown['number']}") in [(tag, each.get("id")) for tag, each in page.elements]
    assert told["steps"][0]["context"][0]["text"].endswith(recorded.question.text)


def test_a_click_leads_from_the_table_to_the_first_bad_step_and_its_reason(seen: Viewing) -> None:
    page = assert_sound(seen.page("/trajectories", verdict="bad"))
    link = next(link for link in page.links() if link.endswith("#first-bad"))
    row = _rows(seen, verdict="bad")[0]
    told = _one(seen, row["id"])
    bad = told["steps"][told["first_bad"] - 1]["verdicts"][0]
    text = seen.page(link.partition("#")[0])
    beginning = text.index('id="first-bad"')
    assert text.index(f'id="step-{told["first_bad"]}"') > beginning
    assert bad["badge"] == "BAD"
    assert bad["reason"] in assert_sound(text).text
    assert f'href="#step-{told["first_bad"]}"' in text


def test_next_and_previous_go_through_the_order_of_the_table(seen: Viewing) -> None:
    query = {"sort": "-steps", "verdict": "good"}
    names = [row["id"] for row in _rows(seen, **query)]
    for before, name, after in zip([None, *names], names, [*names[1:], None], strict=False):
        told = _one(seen, name, **query)
        assert (told["previous"], told["next"]) == (before, after)
    page = assert_sound(seen.page("/trajectory", id=names[0], **query))
    following = next(each["href"] for tag, each in page.elements if tag == "a" and "data-next" in each)
    assert "sort=-steps" in following
    assert names[1] in assert_sound(seen.page(following)).text


def test_a_state_shows_what_training_sampled_there_by_advantage(seen: Viewing) -> None:
    name = _rows(seen)[0]["id"]
    step = _one(seen, name)["steps"][0]
    assert [(visit["update"], visit["chosen"]) for visit in step["visits"]] == [(1, True), (7, False)]
    actions = step["group"]["actions"]
    assert [action["place"] for action in actions] == [0, 2, 1, 3]
    assert [action["advantage"] for action in actions] == [1.0, 0.0, -1.0, -1.0]
    assert [action["badge"] for action in actions] == ["GOOD", "GOOD", "BAD", "BAD"]
    page = assert_sound(seen.page("/trajectory", id=name))
    assert "because of three four five" in page.text
    assert "told above: the same action, judged otherwise" in page.text
    assert any(re.search(r"/training/1#state-0$", link) for link in page.links())
    assert any("update=7#step-1" in link for link in page.links())


def test_actions_that_are_alike_stand_once_with_their_number(seen: Viewing) -> None:
    name = _rows(seen)[0]["id"]
    actions = _one(seen, name)["steps"][0]["group"]["actions"]
    assert [action["times"] for action in actions] == [1, 1, 2, 0], "what counts otherwise stands apart"
    text = assert_sound(seen.page("/trajectory", id=name)).text
    assert (text.count("1 ×"), text.count("2 ×")) == (2, 1)
    assert text.count("because of three four five") == 1


def test_where_a_trajectory_comes_from_is_folded(seen: Viewing) -> None:
    page = seen.page("/trajectory", id=_rows(seen)[0]["id"])
    shown, _, folded = page.partition("Where it comes from")
    assert "<dt>Ending</dt>" in shown
    assert "<dt>Seed</dt>" in folded.partition("</details>")[0]


def test_tokens_say_how_each_moved_from_checkpoint_to_checkpoint(seen: Viewing) -> None:
    name = _rows(seen)[0]["id"]
    best = _one(seen, name)["steps"][0]["group"]["actions"][0]
    labels = [column["label"] for column in best["columns"]]
    assert labels == ["before training", "when sampled", "checkpoint 5", "checkpoint 10"]
    for row in best["rows"]:
        first, last = row["cells"][0]["logprob"], row["cells"][-1]["logprob"]
        assert row["moved"] == pytest.approx(last - first)
    assert best["moved"] == pytest.approx(best["columns"][-1]["sum"] - best["columns"][0]["sum"])
    assert "likelier" in seen.page("/trajectory", id=name)


def test_another_update_can_be_asked_for(seen: Viewing) -> None:
    step = _one(seen, _rows(seen)[0]["id"], update=7)["steps"][0]
    assert step["group"]["update"] == 7
    assert [action["badge"] for action in step["group"]["actions"]] == ["MISSING"]
    assert step["group"]["reward"] is None


def test_a_state_that_was_not_trained_on_says_why(seen: Viewing) -> None:
    for row in _rows(seen)[1:]:
        told = _one(seen, row["id"])
        assert all(step["group"] is None for step in told["steps"])
        expected = "No update that is on record" if row["kept"] else row["reason"]
        assert expected in assert_sound(seen.page("/trajectory", id=row["id"])).text


def test_an_evaluated_trajectory_shows_its_grade_and_leads_to_its_question(seen: Viewing, run: Path) -> None:
    row = _rows(seen, of="evaluation")[0]
    record = next(read(run / "evaluation" / row["of"], EvaluatedTrajectory))
    page = assert_sound(seen.page("/trajectory", id=row["id"], of=row["of"]))
    told = {each["name"]: each["value"] for each in _one(seen, row["id"], of=row["of"])["grade"]}
    assert told["F1"] == f"{record.grade.f1:.2f}"
    assert told["Policy"] == f"{record.policy} training"
    assert any("/question?" in link and f"task={record.task}" in link for link in page.links())
    assert "Training at this state" not in page.text


@pytest.mark.parametrize("query", [{}, {"of": "evaluation"}])
def test_the_lines_of_python_load_the_same(seen: Viewing, query: dict[str, str]) -> None:
    told = _loaded(seen.page("/trajectories", verdict="good", **query))
    rows = _rows(seen, verdict="good", **query)
    assert [row.id for row in told["found"].rows] == [row["id"] for row in rows]
    one = _loaded(seen.page("/trajectory", id=rows[0]["id"], of=rows[0]["of"]))
    found = one["record"].trajectory if query else one["found"].trajectory
    assert found.id == rows[0]["id"]
    assert query or [state.update for state in one["sampled"]] in ([1, 7], [])


def _loaded(page: str) -> dict[str, Any]:
    """What the lines of Python on a page load."""
    found = re.search(r'<pre id="python"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert found
    loaded: dict[str, Any] = {}
    exec(unescape(found[1]), loaded)  # noqa: S102
    return loaded


def test_hostile_text_is_shown_and_nothing_else(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "run")
    (folder / "selection.json").unlink()
    one = next(read(folder / Trajectory.FILE, Trajectory))
    step = structs.replace(
        one.steps[0], text=f"{HOSTILE} {one.steps[0].text}", thinking=HOSTILE, observation=Observation(HOSTILE)
    )
    question = structs.replace(one.question, text=HOSTILE, answers=(HOSTILE,))
    changed = structs.replace(one, id=HOSTILE, question=question, steps=(step, *one.steps[1:]), policy=HOSTILE)
    for path, kind, record in (
        (folder / Trajectory.FILE, Trajectory, changed),
        (
            folder / JudgedStep.FILE,
            JudgedStep,
            JudgedStep(trajectory=HOSTILE, step=0, judge="x", verdict=Verdict(0.0, HOSTILE)),
        ),
    ):
        reorder(path, [])
        with Appender(path, kind) as file:
            file.append([record])
    (folder / "train" / SampledState.FILE).unlink(missing_ok=True)
    action = structs.replace(sampled_action("a b", 0.0, 0.5), text=HOSTILE, reason=HOSTILE, tokens=(HOSTILE, "b"))
    put_on_record(folder, sampled_state(1, 0, action, task=one.question.task, trajectory=HOSTILE))
    with viewing(tmp_path / "scratch", folder) as seen:
        for text in (seen.page("/trajectories"), seen.page("/trajectories", q=HOSTILE[:60])):
            assert "<script>alert" not in text
            assert "<img" not in text
            assert_sound(text)
        link = next(link for link in assert_sound(seen.page("/trajectories")).links() if "/trajectory?" in link)
        text = seen.page(link)
        page = assert_sound(text)
        assert "<script>alert" not in text
        assert "<img" not in text
        assert page.text.count(HOSTILE) >= 8
        assert _loaded(text)["found"].trajectory.id == HOSTILE


def test_a_run_whose_parts_are_not_there_yet_says_which_command_makes_them(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "run")
    for path in folder.iterdir():
        if path.name in ("train", "evaluation"):
            shutil.rmtree(path)
        elif path.name not in ("run.toml", Trajectory.FILE):
            path.unlink() if path.is_file() else shutil.rmtree(path)
    with viewing(tmp_path / "scratch", folder) as seen:
        name = _rows(seen)[0]["id"]
        text = assert_sound(seen.page("/trajectory", id=name)).text
        assert "swirl judge" in text
        assert "swirl filter" in text
        assert "swirl evaluate" in assert_sound(seen.page("/trajectories", of="evaluation")).text
        (folder / Trajectory.FILE).unlink()
        seen.follow()
        assert "swirl generate" in assert_sound(seen.page("/trajectories")).text
        assert_sound(seen.page("/trajectory", status=404, id=name))


def test_a_run_at_work_is_followed_and_half_a_line_breaks_nothing(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "run")
    lines = (folder / Trajectory.FILE).read_bytes().splitlines(keepends=True)
    (folder / Trajectory.FILE).write_bytes(lines[0] + lines[1][:40])
    with viewing(tmp_path / "scratch", folder) as seen:
        assert len(_rows(seen)) == 1
        (folder / Trajectory.FILE).write_bytes(b"".join(lines))
        seen.follow()
        assert len(_rows(seen)) == len(lines)
        (folder / "train" / SampledState.FILE).write_bytes(b'{"schema":"swirl.sampled/1","upd')
        assert_sound(seen.page("/trajectory", id=_rows(seen)[0]["id"]))
