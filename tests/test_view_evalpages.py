"""The viewer's pages of evaluation, of one question and of judges, without a browser: what they tell, where they lead, what they escape."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from evaluated import HOSTILE, answered, bare_run, four, judged, write
from finished_run import finished_run
from swirl.calibrated import Calibration, digest_of
from swirl.judges import StepSample
from swirl.judges.adversarial import ATTACKS, Adversarial, acceptances
from swirl.judges.calibration import Point, calibrate
from swirl.protocol import parse
from swirl.records import write_json
from swirl.types import Question, Rules, Step, Trajectory, Verdict, VerdictStatus
from swirl.viewer.beside import parting
from swirl.viewer.page import Page
from swirl.viewer.pages import evaluation, judge, question
from swirl.viewer.trusted import standing_of
from viewing import Parsed, Viewing, assert_sound, viewing

GREEDY = {"task": "t", "mode": "greedy", "prompt": "bare", "tools": "with"}


def sound(text: str) -> Parsed:
    """Plots aside, which have tests of their own."""
    return assert_sound(re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL))


def executed(page: Page) -> dict[str, object]:
    """What the page's lines of Python come to."""
    found: dict[str, object] = {}
    exec(page.python, found)  # noqa: S102
    return found


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Viewing]:
    run = bare_run(tmp_path / "run")
    four(run)
    four(run, "sampled")
    with viewing(tmp_path / "scratch", run) as found:
        yield found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewing]:
    folder = tmp_path_factory.mktemp("finished")
    with viewing(folder / "scratch", finished_run(folder / "run")) as found:
        yield found


def test_a_finished_run_shows_every_figure_and_every_question(finished: Viewing) -> None:
    text = finished.page("/evaluation")
    page = sound(text)
    for words in ("Accuracy", "McNemar", "What became of the questions", "Every figure", "steps judged good"):
        assert words in page.text
    data = finished.data("/evaluation")
    assert data["total"] == 16
    assert not data["out_of_date"]
    assert text.count("<svg") >= 2


def test_a_run_of_nothing_yet_says_which_commands_make_it(tmp_path: Path) -> None:
    with viewing(tmp_path / "scratch", bare_run(tmp_path / "run")) as found:
        assert "swirl evaluate RUN" in sound(found.page("/evaluation")).text
        text = sound(found.page("/judge")).text
        assert "swirl judge RUN" in text
        assert "--calibrate" in text
        assert "none yet" in found.page("/question", status=404, id="q0", **GREEDY)


def test_questions_are_listed_by_what_became_of_them(seen: Viewing) -> None:
    found = seen.data("/evaluation", kind="gained", mode="greedy")
    [row] = found["rows"]
    assert (row["id"], row["before"], row["after"]) == (
        "q2",
        {"answer": "no", "right": False},
        {"answer": "yes", "right": True},
    )
    page = sound(seen.page("/evaluation", kind="gained", mode="greedy"))
    assert "1 question found" in page.text
    [link] = [link for link in page.links() if "id=q2" in link]
    assert "Step" in seen.page(link)
    assert "No question is like that" in seen.page("/evaluation", q="nowhere to be found")


def test_the_list_is_paged_and_a_page_beyond_the_last_is_the_last(tmp_path: Path) -> None:
    run = bare_run(tmp_path / "run")
    write(run, "before-t-greedy.jsonl", [answered(f"q{i}", "before", False) for i in range(60)])
    with viewing(tmp_path / "scratch", run) as found:
        ids = [row["id"] for page in (1, 2, 3) for row in found.data("/evaluation", page=page)["rows"]]
        assert ids == [f"q{i}" for i in range(60)]
        assert found.data("/evaluation", page=99)["page"] == 3
        page = sound(found.page("/evaluation", page=2, q="it"))
        turning = [link for link in page.links() if "page=" in link and "format=" not in link]
        assert {parse_qs(urlsplit(link).query)["page"][0] for link in turning} == {"1", "3"}
        assert all("q=it" in link for link in turning)
        assert found.data("/evaluation")["kinds"] == {"right": "right", "wrong": "wrong"}
        alone = sound(found.page("/question", id="q3", **GREEDY))
        assert "Policy: wrong" in alone.text
        assert "4 of 60 questions" in alone.text


@pytest.mark.parametrize("asked", [{"kind": "won"}, {"page": "none"}, {"mode": HOSTILE}, {"tools": "maybe"}])
def test_nonsense_in_an_address_is_a_sentence(seen: Viewing, asked: dict[str, str]) -> None:
    text = seen.page("/evaluation", status=400, **asked)
    assert "expected" in text
    assert "<script>alert" not in text


def test_a_question_stands_in_two_columns_and_the_first_difference_is_marked_in_words(tmp_path: Path) -> None:
    run = bare_run(tmp_path / "run")
    write(run, "before-t-greedy.jsonl", [answered("q", "before", False, calls=("2 + 3", "4 * 5"), said="20")])
    write(run, "after-t-greedy.jsonl", [answered("q", "after", True, calls=("2 + 3", "4 * 6"), said="24")])
    with viewing(tmp_path / "scratch", run) as found:
        page = sound(found.page("/question", id="q", **GREEDY))
        assert "Step 2 is the first that differs (another action); before it 1 step is the same." in page.text
        assert page.text.count("First difference") == 2
        assert "because of 24" in page.text
        data = found.data("/question", id="q", **GREEDY)
        assert [[step["parts"] for step in data[when]["steps"]] for when in ("before", "after")] == [
            [False, True, False]
        ] * 2
        assert [data[when]["tokens"] for when in ("before", "after")] == [4, 4]
        assert any("of=before-t-greedy.jsonl" in link for link in page.links())


def test_answers_part_by_action_words_or_result() -> None:
    def trajectory(*texts: str) -> Trajectory:
        steps = tuple(Step(text=text, action=parse(text)) for text in texts)
        return Trajectory(id="q/0", question=Question(id="q", task="t", text="?"), rules=Rules(), steps=steps)

    one = trajectory("a <math_exp>1 + 1</math_exp>", "<answer>2</answer>")
    assert parting(one, trajectory("b <math_exp>1 + 1</math_exp>"))[1].startswith(
        "Step 1 is the first that differs (the same action, other"
    )
    assert parting(one, trajectory("<answer>2</answer>"))[1].startswith(
        "Step 1 is the first that differs (another kind"
    )
    assert parting(one, trajectory("a <math_exp>1 + 1</math_exp>")) == (
        1,
        "The first 1 steps are the same; one of the two goes on with step 2.",
    )


def test_next_and_previous_go_through_the_list_a_question_was_reached_from(seen: Viewing) -> None:
    data = seen.data("/question", id="q1", **GREEDY, **{"in": "mode"})
    assert (data["place"], data["of"]) == (2, 4)
    assert [data[side]["id"] for side in ("previous", "next")] == ["q2", "q0"]
    lost = seen.data("/question", id="q1", kind="lost", **GREEDY)
    assert (lost["place"], lost["of"], lost["previous"]) == (1, 2, None)
    assert (lost["next"]["mode"], lost["next"]["kind"], lost["next"]["id"]) == ("sampled", "lost", "q1")
    [other] = lost["others"]
    assert (other["mode"], other["kind"]) == ("sampled", "lost")
    elsewhere = seen.data("/question", id="q1", kind="gained", **GREEDY)
    assert (elsewhere["place"], elsewhere["next"]) == (0, None)
    assert "not in that list" in seen.page("/question", id="q1", kind="gained", **GREEDY)


def test_every_sample_of_a_question_can_be_looked_at(tmp_path: Path) -> None:
    run = bare_run(tmp_path / "run")
    for policy in ("before", "after"):
        records = [answered("q", policy, s == 1, sample=s, mode="sampled", said=f"{policy} {s}") for s in range(3)]
        write(run, f"{policy}-t-sampled.jsonl", records)
    way = {**GREEDY, "mode": "sampled"}
    with viewing(tmp_path / "scratch", run) as found:
        page = sound(found.page("/question", id="q", sample=3, **way))
        assert "after 2" in page.text
        assert "sample 2: right → right" in page.text
        assert found.data("/question", id="q", **way)["sample"] == 1
        assert "there are 3" in found.page("/question", status=404, id="q", sample=4, **way)
        [row] = found.data("/evaluation")["rows"]
        assert row["samples"] == ["1 of 3", "1 of 3"]


@pytest.mark.parametrize("asked", [{}, {"id": "q0"}, {"id": "q0", "in": "x", **GREEDY}])
def test_an_address_of_no_question_is_a_sentence(seen: Viewing, asked: dict[str, str]) -> None:
    assert "expected" in seen.page("/question", status=400, **asked)


def test_a_question_that_is_not_there_is_not_found(seen: Viewing) -> None:
    text = seen.page("/question", status=404, **{**GREEDY, "id": HOSTILE})
    assert "<script>alert" not in text
    assert "<img" not in text


def test_whatever_models_and_data_say_is_text(tmp_path: Path) -> None:
    run = bare_run(tmp_path / "run")
    for policy in ("before", "after"):
        own = answered(
            HOSTILE, policy, policy == "after", said=HOSTILE, question=HOSTILE, task=HOSTILE, calls=(HOSTILE,)
        )
        write(run, f"{policy}-t-greedy.jsonl", [own])
    judged(run, "verdicts.jsonl", [(HOSTILE, 0, Verdict(1.0, HOSTILE))], HOSTILE)
    judged(run, "verdicts-rule.jsonl", [(HOSTILE, 0, Verdict(0.0, HOSTILE))], HOSTILE)
    with viewing(tmp_path / "scratch", run) as found:
        way = {**GREEDY, "task": HOSTILE}
        for text in (
            found.page("/evaluation"),
            found.page("/evaluation", q="script", task=HOSTILE),
            found.page("/question", id=HOSTILE, **way),
            found.page("/judge"),
        ):
            page = sound(text)
            assert "<script>alert('x')</script>" in page.text
            assert not [link for link in page.links() if link.startswith("javascript:")]
        assert found.data("/question", id=HOSTILE, **way)["question"] == HOSTILE


def test_an_evaluation_that_goes_on_shows_what_is_there(tmp_path: Path) -> None:
    run = bare_run(tmp_path / "run")
    four(run)
    after = run / "evaluation" / "after-t-greedy.jsonl"
    whole = after.read_bytes()
    lines = whole.splitlines(keepends=True)
    after.write_bytes(lines[0] + lines[1][:40])
    (run / "summary.json").write_text('{"schema": "swirl.summ')
    with viewing(tmp_path / "scratch", run) as found:
        page = sound(found.page("/evaluation"))
        assert "Unreadable summary" in page.text
        assert "Not summed up yet" in page.text
        tag = found.client.get(f"/runs/{found.run.slug}/evaluation").headers["etag"]
        assert found.data("/evaluation", kind="waiting")["total"] == 3
        with after.open("ab") as stream:
            stream.write(whole[after.stat().st_size :])
        answer = found.client.get(f"/runs/{found.run.slug}/evaluation", headers={"if-none-match": tag})
        assert answer.status_code == 200
        assert found.data("/evaluation", kind="waiting")["total"] == 0
        assert "Not answered yet" not in found.page("/question", id="q3", **GREEDY)


def test_figures_of_other_answers_are_called_out_of_date(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    for path in (run / "evaluation").glob("*-world-*"):
        path.unlink()
    with viewing(tmp_path / "scratch", run) as found:
        assert "Out of date" in sound(found.page("/evaluation")).text


def test_the_lines_of_python_load_the_same(seen: Viewing, finished: Viewing) -> None:
    found = executed(evaluation.view(seen.run, {}))
    assert len(found["gained"]) == len(found["lost"]) == 2  # type: ignore[arg-type]
    assert executed(evaluation.view(finished.run, {}))["summary"]
    for each in executed(question.view(seen.run, {"id": "q1", **GREEDY}))["asked_so"]:  # type: ignore[attr-defined]
        assert (each.trajectory.question.id, each.mode) == ("q1", "greedy")
    assert executed(judge.view(finished.run, {}))["verdicts"]


@pytest.fixture
def two_judges(tmp_path: Path) -> Path:
    run = finished_run(tmp_path / "run")
    lines = [json.loads(line) for line in (run / "verdicts.jsonl").read_text("utf-8").splitlines()]
    said = [(line["trajectory"], line["step"], Verdict(1.0, "all is well")) for line in lines]
    said[0] = (*said[0][:2], Verdict(None, "", VerdictStatus.UNREADABLE))
    judged(run, "verdicts-rule.jsonl", said, "rule")
    return run


def test_two_judges_are_compared_and_what_they_see_differently_is_listed(two_judges: Path, tmp_path: Path) -> None:
    with viewing(tmp_path / "scratch", two_judges) as found:
        data = found.data("/judge")
        [agreed] = data["agreement"]
        assert (agreed["judge"], agreed["against"], agreed["missing"]) == ("verdicts-rule", "verdicts", 1)
        page = sound(found.page("/judge"))
        assert "1 unreadable" in page.text
        assert f"{data['differences']['total']} steps" in page.text
        for row in data["differences"]["rows"]:
            assert (row["judge"]["standing"], row["against"]["standing"]) == ("GOOD", "BAD")
            assert row["judge"]["reason"] == "all is well"
        first = data["differences"]["rows"][0]
        assert any(link.endswith(f"#step-{first['step']}") and "/trajectory?" in link for link in page.links())
        assert found.data("/judge", good="against")["differences"]["total"] == 0
        differing = executed(judge.view(found.run, {}))["found"]
        assert {(id, step + 1) for id, step in differing} >= {
            (r["trajectory"], r["step"]) for r in data["differences"]["rows"]
        }  # type: ignore[attr-defined]
        assert len(differing) == data["differences"]["total"]  # type: ignore[arg-type]


@pytest.mark.parametrize("asked", [{"judge": "nobody"}, {"judge": "verdicts", "against": "verdicts"}, {"good": "both"}])
def test_judges_that_are_not_there_are_a_sentence(two_judges: Path, tmp_path: Path, asked: dict[str, str]) -> None:
    with viewing(tmp_path / "scratch", two_judges) as found:
        assert "expected" in found.page("/judge", status=400, **asked)


def calibration(run: Path) -> Calibration:
    good, bad = Verdict(1.0), Verdict(0.0)
    points = [
        Point(mine, truth, 0, 9, "answers", f"q{i}") for i, (mine, truth) in enumerate([(good, good), (good, bad)] * 3)
    ]
    state = Trajectory(id="q/0", question=Question(id="q", task="t", text="?"), rules=Rules(tools=("search",)))
    played = [
        Adversarial(attack.name, attack.family, StepSample(state, Step(text=text, action=parse(text))))
        for attack in ATTACKS
        for text in attack.text(state)
    ]
    accepted = [good] * len(played)
    return Calibration(
        judge="solver",
        truth="reference",
        seed=1,
        made_of={name: digest_of(run / name) for name in ("trajectories.jsonl", "verdicts.jsonl")}
        | {"/elsewhere/labels": "x"},
        measures=calibrate(points, seed=1),
        left_out={"t": 3},
        states=1,
        families=acceptances(played, accepted, lambda each: each.family),
        actions=acceptances(played, accepted, lambda each: each.name),
    )


def test_a_calibration_is_shown_until_what_it_was_made_of_changes(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    write_json(run / "calibration.json", calibration(run))
    with viewing(tmp_path / "scratch", run) as found:
        text = found.page("/judge")
        page = sound(text)
        for words in (
            "Reliability",
            "false-positive rate",
            "opener as the answer",
            "Left out: 3 steps of t",
            "searches",
        ):
            assert words in page.text or words == "searches"
        assert text.count("<svg") >= 2
        with (run / "verdicts.jsonl").open("ab") as stream:
            stream.write(b"\n")
        page = sound(found.page("/judge"))
        assert "verdicts.jsonl changed since it was measured" in page.text
        assert "false-positive rate" not in page.text
        (run / "calibration.json").write_text("{")
        assert "Unreadable calibration" in sound(found.page("/judge")).text


def test_a_large_file_is_believed_where_the_manifest_has_seen_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished_run(tmp_path / "run")
    measured = calibration(run)
    monkeypatch.setattr("swirl.viewer.trusted._SMALL", 10)
    assert standing_of(run, measured) == ([], [])
    (run / "manifest.json").unlink()
    assert standing_of(run, measured) == ([], ["trajectories.jsonl", "verdicts.jsonl"])


def test_a_run_that_is_removed_under_the_viewer_breaks_no_page(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    with viewing(tmp_path / "scratch", run) as found:
        found.page("/evaluation")
        shutil.rmtree(run / "evaluation")
        (run / "summary.json").unlink()
        (run / "verdicts.jsonl").unlink()
        assert "Not evaluated yet" in found.page("/evaluation")
        assert "Not judged yet" in found.page("/judge")
