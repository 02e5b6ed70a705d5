"""A run at a glance, and several beside each other."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from msgspec import structs
from starlette import requests
from starlette.exceptions import HTTPException

from recorded_run import answer_after, metrics, recorded_run
from swirl.calls import Call
from swirl.manifest import File, Manifest
from swirl.overview import state_of
from swirl.records import log, write_json
from swirl.services.ledger import Request
from swirl.train import ByAction
from swirl.types import JudgedStep, Verdict, VerdictStatus
from swirl.viewer import concerns, growing, progress
from swirl.viewer.app import Viewer
from swirl.viewer.page import Asked, Page
from swirl.viewer.pages import front, overview
from swirl.viewer.shelf import Opened, Shelf
from test_study_report import row, study
from viewing import assert_sound, viewing

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>'


@pytest.fixture
def run(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "run"))


def test_it_tells_how_far_each_stage_is_and_what_it_made(run: Path, tmp_path: Path) -> None:
    with viewing(tmp_path / "scratch", run) as seen:
        page, stages = assert_sound(seen.page("")), {each["name"]: each for each in seen.data("")["stages"]}
    assert {name: (each["count"], each["state"]) for name, each in stages.items()} == {
        "generate": (8, "done"),
        "judge": (16, "done"),
        "filter": (stages["filter"]["count"], "done"),
        "train": (3, "begun"),
        "evaluate": (3, "done"),
    }
    assert stages["train"]["of"] == 100
    assert stages["train"]["command"] == f"swirl train {run}"
    assert "of 8 trajectories kept" in page.text
    assert "3 updates" in page.text or "of 100 updates" in page.text


def test_it_shows_steps_and_scores_once_they_are_indexed(run: Path, tmp_path: Path) -> None:
    with viewing(tmp_path / "scratch", run) as seen:
        page, steps = assert_sound(seen.page("")), seen.data("")["steps"]
        counted = seen.run.index.steps_distribution()
        for each in steps["lengths"]:
            assert f"/runs/run/trajectories?steps={each['steps']}" in page.links()
            assert seen.data("/trajectories", steps=each["steps"])["total"] == each["trajectories"]
    assert {each["steps"]: each["trajectories"] for each in steps["lengths"]} == counted
    assert steps["scores"][0]["step"] == 1
    for each in steps["scores"]:
        assert each["ci95"][0] <= each["mean"] <= each["ci95"][1]
    assert "What the judge gave each step" in page.text


def test_it_shows_what_each_rule_keeps_with_the_least_strict_first(run: Path, tmp_path: Path) -> None:
    with viewing(tmp_path / "scratch", run) as seen:
        page, survival = assert_sound(seen.page("")), seen.data("")["survival"]
    rules = [rule for rule, _ in survival["rules"]]
    assert rules[:3] == ["none", "process", "outcome"]
    assert survival["kept"] == dict(map(tuple, survival["rules"]))[survival["rule"]]
    assert {f"/runs/run/trajectories?rule={rule}" for rule in rules[1:]} <= set(page.links())


def test_its_figures_have_intervals_and_the_gain(run: Path, tmp_path: Path) -> None:
    answer_after(run)
    with viewing(tmp_path / "scratch", run) as seen:
        page, data = assert_sound(seen.page("")), seen.data("")
    [row] = data["evaluated"]["rows"]
    assert row["before"] == row["after"]
    assert row["gain"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert row["before"]["low"] < row["before"]["mean"] or row["before"]["mean"] == 0
    assert "+0.0 [+0.0, +0.0]" in page.text
    assert sum(tag == "svg" for tag, _ in page.elements) == 6


def test_parts_that_are_not_there_yet_name_the_command_that_makes_them(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", updates=0, stages=("generate",))
    shutil.rmtree(run / "train")
    with viewing(tmp_path / "scratch", run) as seen:
        page = assert_sound(seen.page(""))
    for command in ("judge", "filter", "train", "evaluate"):
        assert f"swirl {command} {run}" in page.text


def test_a_training_that_ended_before_more_updates_were_asked_for_is_not_done() -> None:
    told = Manifest(files={"train/metrics.jsonl": File(1, ""), "evaluation/a.jsonl": File(1, "")})
    assert state_of("train", told, begun=True, complete=False) == "begun"
    assert state_of("train", told, begun=True, complete=True) == "done"
    assert state_of("evaluate", told, begun=True, complete=False) == "done", "there may be fewer questions"
    assert state_of("judge", told, begun=False, complete=True) == "not begun"
    assert state_of("train", None, begun=True, complete=True) == "done", "older runs have no manifest"


def test_it_leads_to_bad_steps_in_one_click(run: Path, tmp_path: Path) -> None:
    with viewing(tmp_path / "scratch", run) as seen:
        links = assert_sound(seen.page("")).links()
        for link in (link for link in links if link.startswith("/runs/")):
            assert seen.client.get(link).status_code == 200, link
    assert "/runs/run/trajectories?verdict=bad" in links


def test_what_is_half_written_or_damaged_breaks_nothing(run: Path, tmp_path: Path) -> None:
    for name in ("train/metrics.jsonl", "verdicts.jsonl", "trajectories.jsonl", "calls.jsonl"):
        with (run / name).open("ab") as stream:
            stream.write(b'{"schema":"swirl.')
    for name in ("selection.json", "summary.json", "manifest.json", "calibration.json"):
        (run / name).write_text('{"half')
    with viewing(tmp_path / "scratch", run) as seen:
        page = assert_sound(seen.page(""))
    assert "selection.json: expected JSON, found a damaged file" in page.text
    assert "summary.json: expected JSON, found a damaged file" in page.text


def test_it_follows_a_training(run: Path, tmp_path: Path) -> None:
    with viewing(tmp_path / "scratch", run) as seen:
        before = seen.data("")
        log(run / "train" / "metrics.jsonl", [metrics(4)])
        log(run / "calls.jsonl", [Call(stage="train", item="update 4", seconds=100.0)])
        after = seen.data("")
    assert (before["trained"]["updates"], after["trained"]["updates"]) == (3, 4)
    assert after["seconds"] == pytest.approx(before["seconds"] + 100.0)


def test_what_services_took_is_told_with_its_cost(run: Path, tmp_path: Path) -> None:
    log(run / "calls.jsonl", [Request(stage="judge", service="judge", model=HOSTILE, seconds=1.0, usd=0.25)] * 2)
    with viewing(tmp_path / "scratch", run) as seen:
        text, data = seen.page(""), seen.data("")
    assert data["services"][0][:4] == ["judge", "judge", HOSTILE, "2"]
    assert "cost $0.5000" in assert_sound(text).text
    assert "<script>alert" not in text


def test_its_python_loads_the_same(run: Path, tmp_path: Path) -> None:
    answer_after(run)
    with viewing(tmp_path / "scratch", run) as seen:
        page = seen.page("")
        found: dict[str, object] = {}
        exec(overview.view(seen.run, {}).python, found)  # noqa: S102
        exec(front.front(Shelf([run], tmp_path)).python, found)  # noqa: S102
    assert 'id="python"' in page
    assert [each.path for each in found["runs"]] == [run]
    assert len(found["updates"]) == 3
    assert found["summary"]["n"] == 3


def test_several_runs_are_beside_each_other_on_the_front_page_and_on_each_overview(run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    answer_after(other)
    with viewing(tmp_path / "scratch", run, other) as seen:
        front, data = assert_sound(seen.page("/")), seen.client.get("/?format=json").json()
        page = assert_sound(seen.page(""))
    assert [each["slug"] for each in data["runs"]] == ["run", "other"]
    assert data["runs"][1]["headline"]["gain"]["mean"] == 0.0
    assert "/runs/other" in front.links()
    assert "(this one)" in page.text
    assert "/runs/other" in page.links()


def test_a_study_shows_its_matrix_and_curve(run: Path, tmp_path: Path) -> None:
    home = tmp_path / "study"
    home.mkdir()
    for name in ("few-seed1", "many-seed1"):
        shutil.copytree(run, home / name)
    arms = {"few": {"filter.size": 100}, "many": {"filter.size": 1000, HOSTILE: 1}}
    told = study([row("few", "world", 0.4), row("many", "world", 0.6)], arms)
    told["scale"] = {"setting": "filter.size", "values": {"few": 100, "many": 1000}}
    write_json(home / "study.json", {"schema": "swirl.study/2", **told})
    with viewing(tmp_path / "scratch", home) as seen:
        page = assert_sound(seen.page("/"))
        (home / "study.json").write_text("{")
        assert "damaged" in assert_sound(seen.page("/")).text
    assert "Trained on, evaluated on" in page.text
    assert sum(tag == "svg" for tag, _ in page.elements) == 2


def warned(found: list[concerns.Concern]) -> list[str]:
    return [each.about for each in found]


def test_nothing_is_said_of_a_training_that_goes_well() -> None:
    assert list(concerns.alarming([metrics(update) for update in range(1, 41)], None)) == []


@pytest.mark.parametrize(
    ("first", "last", "at_once", "about"),
    [
        ({"malformed": 0.01}, {"malformed": 0.2}, ["Malformed actions"], "Malformed actions grow"),
        ({}, {"truncated": 0.3}, [], "Actions cut short"),
        ({"entropy": 0.5}, {"entropy": 0.05}, [], "Entropy has collapsed"),
        ({}, {"signal": 0.1}, [], "Little signal"),
    ],
)
def test_a_training_that_goes_wrong_is_warned_of(first: dict, last: dict, at_once: list[str], about: str) -> None:
    updates = [metrics(update, **(first if update <= 10 else last)) for update in range(1, 21)]
    assert warned(list(concerns.alarming(updates, None))) == [*at_once, about]
    assert warned(list(concerns.alarming([*updates[:4], *updates[-3:]], None))) == at_once, "too few to say more"


def test_verdicts_that_are_missing_unevenly_are_warned_of() -> None:
    update = metrics(1, sampled=ByAction(tool_call=6, answer=2), missing=ByAction(answer=2))
    rewards, concern = concerns.alarming([update], None)
    assert rewards.about == "Missing rewards"
    assert "100.0 % of answers" in concern.sentence
    assert "25.0 % of all" in concern.sentence
    evenly = metrics(1, missing=ByAction(tool_call=2, answer=1))
    assert warned(list(concerns.alarming([evenly], None))) == ["Missing rewards"]


def test_what_the_report_warns_of_is_warned_of_here_with_where_to_look() -> None:
    updates = [metrics(update, kl=9.0, reward=update / 20) for update in range(1, 21)]
    found = list(concerns.alarming(updates, {"gain": {"mean": -0.01, "ci95": [-0.1, 0.1]}}, None, ["verdicts.jsonl"]))
    told = {"KL": "training", "Reward without accuracy": "judge", "Calibration out of date": "judge"}
    assert {each.about: each.view for each in found} == told
    assert all(
        each.sentence[:1].isupper() or each.sentence[:1].isdigit()
        for each in found
        if each.about != "Calibration out of date"
    )


def test_a_judge_that_disagrees_with_those_who_know_is_warned_of() -> None:
    agreement = {"judge": "rule", "against": "solver", "accuracy": 0.6, "n": 50}
    [concern] = concerns.alarming([], {"agreement": agreement})
    assert "on 60.0 % of 50 steps alone" in concern.sentence
    assert list(concerns.alarming([], {"agreement": {**agreement, "accuracy": 0.9}})) == []


def test_a_file_that_has_changed_since_its_stage_ended_is_warned_of(run: Path) -> None:
    told = progress.known_manifest(run)
    assert list(concerns.of_files(run, told)) == []
    with (run / "trajectories.jsonl").open("ab") as stream:
        stream.write(b"\n")
    [concern] = concerns.of_files(run, told)
    assert "trajectories.jsonl" in concern.sentence


def test_lines_are_counted_as_they_come_and_anew_where_a_file_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    found = growing.Lines(path)
    counted = []
    for data, mode in ((b"", "wb"), (b"a\nb", "ab"), (b"c\nd\n", "ab"), (b"x\n", "wb")):
        with path.open(mode) as stream:
            stream.write(data)
        found.refresh()
        counted.append(found.count)
    assert counted == [0, 1, 3, 1]
    path.unlink()
    found.refresh()
    assert found.count == 0


def test_a_file_made_anew_under_the_same_number_is_counted_anew_also_where_it_has_grown_longer(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    found = growing.Lines(path)
    path.write_bytes(b"a\nb\n")
    found.refresh()
    path.write_bytes(b"other\nlines\nthan before\n")  # in place: the file's number stays
    found.refresh()
    assert found.count == 3


def test_a_reason_that_looks_like_a_verdict_counts_as_none(tmp_path: Path) -> None:
    path, found = tmp_path / "verdicts.jsonl", growing.Verdicts(tmp_path / "verdicts.jsonl")
    one = JudgedStep(trajectory="q/0", step=0, judge="rule", verdict=Verdict(1.0, '"verdict":{"score":null'))
    others = (Verdict(0.0), Verdict(None, status=VerdictStatus.UNREADABLE))
    log(path, [one, *(structs.replace(one, verdict=other) for other in others)])
    found.refresh()
    assert (found.count, found.good, found.bad, found.missing) == (3, 1, 1, 1)


def test_a_view_as_json_is_json_whatever_the_files_say(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run")
    log(run / "calls.jsonl", [Call(stage="judge", item=str(number), seconds=1e308) for number in range(2)])
    with viewing(tmp_path / "scratch", run) as seen:
        seconds = seen.data("")["seconds"]
    assert seconds is None


def test_files_whose_names_are_no_text_are_passed_over(tmp_path: Path) -> None:
    run = recorded_run(Path(os.fsdecode(os.fsencode(tmp_path) + b"/run-\xff")))
    for name in (b"verdicts-\xff.jsonl", b"evaluation/before-\xff-greedy.jsonl"):
        Path(os.fsdecode(os.fsencode(run) + b"/" + name)).write_bytes(b"{}\n")
    with viewing(tmp_path / "scratch", run) as seen:
        assert seen.run.index.state().complete
        for view in ("", "/trajectories", "/evaluation", "/judge"):
            assert_sound(seen.page(view))


def test_a_round_that_has_no_settings_yet_keeps_nobody_from_looking_at_the_others(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run")
    (run / "rounds" / "2").mkdir(parents=True)
    assert list(Shelf([run], tmp_path).runs) == ["run"]


def test_what_cannot_be_read_is_named_in_a_sentence(tmp_path: Path) -> None:
    def page(run: Opened, asked: Asked) -> Page:
        raise PermissionError(errno.EACCES, "Permission denied", str(run.path / "train" / "metrics.jsonl"))

    answer = Viewer(Shelf([recorded_run(tmp_path / "run")], tmp_path)).endpoint("training", page)
    asked = {"type": "http", "path": "/", "query_string": b"", "headers": [], "path_params": {"slug": "run"}}
    with pytest.raises(HTTPException, match=r"metrics.jsonl: expected a file .* found: Permission denied") as refused:
        answer(requests.Request(asked))
    assert refused.value.status_code == 404
