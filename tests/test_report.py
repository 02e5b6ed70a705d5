"""The page and the table: whatever a model wrote is text, what is missing is said, labels by the training judge are named as such."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs
from rich.console import Console

from plain_pages import broken_promises, elements
from sampled import put_on_record, sampled_action, sampled_state
from swirl import plots
from swirl.errors import RecordError
from swirl.evaluate import EvaluatedTrajectory, Mode, When
from swirl.filters import Check, Decision, Rule
from swirl.records import Appender, write_json
from swirl.report import write_report
from swirl.run import Run
from swirl.samples import changed_questions, evaluated_samples, training_samples
from swirl.selection import Selection, document
from swirl.services.ledger import Request, Usage
from swirl.settings import RunConfig
from swirl.spending import spent
from swirl.summary import SCHEMA, read_summary, summarise
from swirl.tables import columns, headings, headline, remarks, rows, terminal_figures, terminal_table, tool_rows
from swirl.tasks import Grade
from swirl.train import Metrics
from swirl.types import Answer, JudgedStep, PromptStyle, Question, Rules, Step, StopReason, Trajectory, Verdict

HOSTILE = "<script>alert('x')</script>&\"<img src=x onerror=alert(1)>"


def record(place: int, policy: When, mode: Mode, correct: bool) -> EvaluatedTrajectory:
    question = Question(id=f"q{place}", task="t", text=f"What? {HOSTILE}", answers=(HOSTILE,))
    steps = (Step(text=HOSTILE, action=Answer(HOSTILE)),)
    trajectory = Trajectory(
        id=f"q{place}/0", question=question, rules=Rules(), steps=steps, stop=StopReason.ANSWERED, policy=HOSTILE
    )
    verdicts = (Verdict(float(correct), HOSTILE),)
    return EvaluatedTrajectory(
        policy=policy,
        task="t",
        mode=mode,
        prompt=PromptStyle.BARE,
        trajectory=trajectory,
        grade=Grade(correct=correct, exact_match=correct, f1=float(correct)),
        verdicts=verdicts,
    )


def records(policy: When, mode: Mode, num_correct: int) -> list[EvaluatedTrajectory]:
    return [record(i, policy, mode, i < num_correct) for i in range(10)]


def summary(*parts: EvaluatedTrajectory) -> dict[str, Any]:
    head = {
        "schema": SCHEMA,
        "seed": 1,
        "judges": {"filter": "solver", "reward": "solver", "labels": "solver"},
        "n": 10,
        "n_trained_on": 0,
        "trained_on": {},
        "trained": any(part.policy == "after" for part in parts),
        "policies": {"before": "bundled", "against": ""},
        "grader": "",
        "seconds": {"total": 3.0, "by_stage": {"train": 2.0}},
        "peak_memory_mb": 900.0,
    }
    return {**head, **summarise(parts)}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(tmp_path / "run", RunConfig())
    run.evaluation.mkdir()
    everything = []
    for policy, num_correct in (("before", 4), ("after", 9)):
        for mode in ("sampled", "greedy"):
            with Appender(run.evaluation / f"{policy}-t-{mode}.jsonl", EvaluatedTrajectory) as out:
                out.append(records(policy, mode, num_correct))
            everything += records(policy, mode, num_correct)
    write_json(run.summary, summary(*everything))
    return run


def test_a_gain_is_the_paired_difference_with_greedy_beside_it() -> None:
    found = summarise(
        [*records("before", "sampled", 4), *records("after", "sampled", 9), *records("before", "greedy", 5)]
    )
    assert found["before"]["accuracy"] == 0.4
    assert found["after"]["process_label"] == 0.9
    assert found["gain"]["mean"] == 0.5
    assert found["gain"]["ci95"][0] < 0.5 < found["gain"]["ci95"][1]
    assert found["greedy"]["before"]["accuracy"] == 0.5
    assert "after" not in found["greedy"]
    assert found["tasks"]["t"]["gain"] == found["gain"]


def test_every_figure_stands_on_the_page_and_fits_the_terminal(run: Run) -> None:
    write_report(run.path)
    page = (run.path / "report.html").read_text("utf-8")
    told = read_summary(run.path)
    console = Console(width=80, record=True)
    console.print(terminal_figures(told))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for sheet in told["table"]:
        for label, *cells in rows(sheet):
            line = next(line for line in text.splitlines() if line.startswith(label))
            assert f'<th scope="row">{label}</th>' in page
            for cell in cells:
                assert f'<td class="number">{cell}</td>' in page
                assert cell in line
    assert "Gained 5 questions, lost 0; McNemar's exact test: p = 0.062" in text
    assert "What tools are worth" not in text


def test_one_policy_has_no_second_column_and_no_difference() -> None:
    told = summary(*records("before", "greedy", 4))
    assert columns(told) == ("figure", "policy")
    assert headline(told)[0] == ("", "decoding", "policy", "labels")
    console = Console(width=80, record=True)
    console.print(terminal_figures(told))
    text = console.export_text()
    assert "difference [" not in text
    assert "Gained" not in text


def test_gold_passages_are_of_the_questions_that_have_some_and_the_table_says_how_many() -> None:
    some = [
        structs.replace(one, trajectory=structs.replace(one.trajectory, question=with_gold(one, place < 3)))
        for place, one in enumerate(records("before", "greedy", 4))
    ]
    [sheet] = summary(*some)["table"]
    found = dict(row[:2] for row in rows(sheet))
    assert (found["gold passages found"], found["  questions with gold"]) == ("0.0", "3")
    [without] = summary(*records("before", "greedy", 4))["table"]
    assert "  questions with gold" not in dict(row[:2] for row in rows(without))


def with_gold(one: EvaluatedTrajectory, has_gold: bool) -> Question:
    return structs.replace(one.trajectory.question, meta={"gold": ["p1"]} if has_gold else {})


def test_two_policies_are_called_by_what_they_are() -> None:
    told = summary(*records("before", "greedy", 4), *records("after", "greedy", 9))
    assert headings(told) == ("before", "after")
    assert (columns(told)[-1], headline(told)[0][-2]) == ("difference [95 %]", "gain [95 %]")
    other = {**told, "policies": {"before": "bundled", "against": "other"}}
    assert headings(other) == ("policy", "against")
    assert (columns(other)[-1], headline(other)[0][-2]) == ("against - policy [95 %]", "against - policy [95 %]")


def test_an_evaluation_on_its_own_speaks_of_no_training(run: Run) -> None:
    told = json.loads(run.summary.read_text())
    write_json(run.summary, {**told, "trained": False, "policies": {"before": "bundled", "against": "other"}})
    write_report(run.path)
    page = (run.path / "report.html").read_text("utf-8")
    assert "t, greedy, against: right" in page
    assert "wrong by policy, right by against" in page
    for word in ("swirl train", "swirl filter", "Training trajectories", "right after", "greedy, before"):
        assert word not in page


def test_a_policy_on_its_own_shows_what_it_answered(run: Run) -> None:
    write_json(
        run.summary, {**summary(*records("before", "greedy", 4), *records("before", "sampled", 4)), "trained": False}
    )
    write_report(run.path)
    page = (run.path / "report.html").read_text("utf-8")
    assert page.count("t, greedy, policy: right") == page.count("t, greedy, policy: wrong") == 2
    assert "Nothing to compare" not in page


def test_questions_gained_and_lost_are_listed_as_text(run: Run) -> None:
    (run.evaluation / "after-t-sampled.jsonl").unlink()
    with Appender(run.evaluation / "after-t-sampled.jsonl", EvaluatedTrajectory) as out:
        out.append([record(i, "after", "sampled", correct=i >= 2) for i in range(10)])
    found = {(way, kind): (count, len(some)) for way, kind, count, some in changed_questions(run.evaluation, most=3)}
    assert found == {
        ("t, greedy, with tools, prompt bare", "gained"): (5, 3),
        ("t, sampled, with tools, prompt bare", "gained"): (6, 3),
        ("t, sampled, with tools, prompt bare", "lost"): (2, 2),
    }
    write_report(run.path)
    page = (run.path / "report.html").read_text("utf-8")
    assert "t, sampled, with tools, prompt bare: 2 lost" in page
    assert "<script" not in page


def test_with_and_without_tools_stand_side_by_side(run: Run) -> None:
    alone = [structs.replace(one, tools=False) for one in records("before", "greedy", 1)]
    told = summary(*records("before", "greedy", 4), *alone)
    write_json(run.summary, told)
    [row] = tool_rows(told)
    assert row == ("t, greedy, policy", "10.0", "40.0", "+30.0 [+0.0, +60.0]", "0.25")
    write_report(run.path)
    page = (run.path / "report.html").read_text("utf-8")
    assert "With and without tools" in page
    assert '<td class="number">+30.0 [+0.0, +60.0]</td>' in page
    console = Console(width=80, record=True)
    console.print(terminal_figures(told))
    text = console.export_text()
    assert "What tools are worth" in text
    assert "p is McNemar's, on first answers alone" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_what_tools_are_worth_is_whole_on_a_narrow_terminal_however_long_its_names() -> None:
    sheet = summary(*records("before", "greedy", 4), *records("after", "greedy", 4))["table"][0]
    name = {"task": "mquake_hard", "mode": "sampled", "prompt": "reasoned", "policy": "after"}
    figures = {"with_tools": {"mean": 1.0}, "without": {"mean": 0.0}, "mcnemar": {"p": 0.0}}
    one = {**name, **figures, "difference": {"mean": 1.0, "ci95": [1.0, 1.0]}}
    told = {"table": [sheet], "policies": {"against": "other"}, "prompts": {"bare": {}}, "tools": [one]}
    console = Console(width=80, record=True)
    console.print(terminal_figures(told))
    text = console.export_text()
    assert "…" not in text
    assert "< 0.001" in text
    assert "+100.0 [+100.0, +100.0]" in text


def test_what_a_model_wrote_is_shown_as_text(run: Run) -> None:
    write_report(run.path)
    page = (run.path / "report.html").read_text("utf-8")
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page


def test_the_page_needs_no_network_and_names_the_training_judge(run: Run) -> None:
    write_report(run.path)
    page = (run.path / "report.html").read_text("utf-8")
    assert not [word for word in ("src=", "@import", "url(http", "<link") if word in page.replace("&lt;img src=", "")]
    assert "training judge (solver)" in page
    assert "mere sharpening" in page


def page_of(run: Run) -> str:
    write_report(run.path)
    return (run.path / "report.html").read_text("utf-8")


def test_nothing_on_the_page_runs_or_loads_whatever_the_records_hold(run: Run) -> None:
    fill(run, HOSTILE)
    page = page_of(run)
    assert not list(broken_promises(page))
    assert not [each for each in elements(page) if each.tag == "svg" and "script" in each.inside]
    assert page.count("&lt;script&gt;") > 20


def test_the_style_of_the_page_is_the_one_its_policy_allows(run: Run) -> None:
    page = page_of(run)
    [style] = re.findall(r"<style>(.*?)</style>", page, re.S)
    assert b64encode(sha256(style.encode()).digest()).decode() in page.partition("<style>")[0]
    assert "unsafe" not in page.partition("<style>")[0]


def test_headings_go_down_by_one_and_the_contents_lead_to_the_parts(run: Run) -> None:
    fill(run, "text")
    found = elements(page_of(run))
    levels = [int(each.tag[1]) for each in found if re.fullmatch(r"h\d", each.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert [each.tag for each in found if each.inside == ("html", "body")] == ["a", "header", "nav", "main"]
    parts = [each.attributes["id"] for each in found if each.tag == "h2"]
    links = [each.attributes["href"].removeprefix("#") for each in found if each.tag == "a" and "nav" in each.inside]
    assert links == parts
    assert {"overview", "accuracy", "figures", "changed", "training", "filter", "steps", "held-out", "run"} < set(parts)


def test_tables_and_plots_say_what_they_are_to_those_who_cannot_see_them(run: Run) -> None:
    fill(run, "text")
    found = elements(page_of(run))
    count = {tag: sum(each.tag == tag for each in found) for tag in ("table", "caption", "svg", "title", "desc")}
    assert count["table"] == count["caption"] > 8
    assert count["svg"] == count["desc"] == count["title"] - 1
    assert count["svg"] >= 5
    assert all(each.attributes.get("scope") in ("col", "row") for each in found if each.tag == "th")


def test_what_training_sampled_at_a_state_is_shown_with_reward_and_advantage(run: Run) -> None:
    fill(run, "text")
    table = page_of(run).partition("Update 1: what was sampled at one state")[2].partition("</table>")[0]
    assert "q0/0, step 1" in table
    for told in ("GOOD", "BAD", "MISSING", ">1.00<", ">none<", ">+0.500<", ">-0.500<"):
        assert told in table


def test_the_page_of_a_fat_run_is_small_and_says_what_it_leaves_out(run: Run) -> None:
    """Long texts, many steps, thousands of updates, a dozen evaluations: below 5 MB."""
    fat = '"<' * 20_000
    fill(run, fat, steps=30, updates=3000, actions=300)
    for place in range(12):
        for policy in ("before", "after"):
            with Appender(run.evaluation / f"{policy}-t{place}-greedy.jsonl", EvaluatedTrajectory) as out:
                out.append([long(one, fat[:4000]) for one in records(policy, "greedy", 4 if policy == "before" else 9)])
    page = page_of(run)
    assert len(page.encode()) < 5_000_000
    assert "more are left out, so that the page stays small" in page
    assert "more characters)" in page
    assert "284 more actions were sampled there" in page
    assert not list(broken_promises(page))


def long(one: EvaluatedTrajectory, text: str) -> EvaluatedTrajectory:
    steps = (Step(text=text, action=Answer(text)),) * 20
    return structs.replace(one, trajectory=structs.replace(one.trajectory, steps=steps))


def fill(run: Run, text: str, steps: int = 1, updates: int = 3, actions: int = 3) -> None:
    """Trajectories, verdicts, a selection and training, full of some text."""
    step = Step(text=text, action=Answer(text))
    made = [structs.replace(record(i, "before", "greedy", True).trajectory, steps=(step,) * steps) for i in range(4)]
    decisions = tuple(
        Decision(trajectory=each.id, kept=place < 2, reason=text[:99], check=None if place < 2 else Check.STEPS)
        for place, each in enumerate(made)
    )
    survival = {rule: {Check.STEPS: 2} for rule in Rule}
    fallen = {Check.STEPS: {text[:99]: 2}}
    judges = (text[:99],)
    kept = Selection(
        rule=Rule.NONE, judges=judges, num_trajectories=4, survival=survival, fallen=fallen, decisions=decisions
    )
    run.selection.write_bytes(document(kept))
    scores = [
        JudgedStep(trajectory=each.id, step=i, judge="rule", verdict=Verdict(1.0, text[:999]))
        for each in made
        for i in range(steps)
    ]
    with Appender(run.trajectories, Trajectory) as out, Appender(run.verdicts("rule"), JudgedStep) as verdicts:
        out.append(made)
        verdicts.append(scores)
    about = {"num_samples": 8, "loss": 0.5, "grad_norm": 1.0, "learning_rate": 0.1, "mean_tokens": 6.0}
    run.metrics.parent.mkdir(exist_ok=True)
    with Appender(run.metrics, Metrics) as log:
        log.append([Metrics(update=i + 1, reward=i / updates, kl=0.1, malformed=0.1, **about) for i in range(updates)])
    group = [
        structs.replace(sampled_action("a", (1.0, 0.0, None)[i % 3], (0.25, -0.25, 0.0)[i % 3]), text=text, reason=text)
        for i in range(actions)
    ]
    put_on_record(run.path, sampled_state(1, 0, *group, task=text, trajectory="q0/0"))


def test_a_run_that_has_only_begun_has_a_page_that_says_what_is_missing(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", RunConfig())
    write_report(run.path)
    page = (run.path / "report.html").read_text("utf-8")
    for stage in ("evaluate", "train", "filter"):
        assert f"swirl {stage}" in page


def test_the_curves_show_what_sharing_saved_and_where_history_was_rewritten(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = {"num_samples": 4, "loss": 0.5, "grad_norm": 1.0, "learning_rate": 0.1, "mean_tokens": 6.0}
    drawn: dict[str, list[float | None]] = {}
    monkeypatch.setattr(plots, "curves", lambda series, counts: drawn.update(series) or "")
    run.metrics.unlink(missing_ok=True)
    with Appender(run.metrics, Metrics) as log:
        log.append(
            [Metrics(update=1, tokens_read=30, naive_tokens=120, unshared=0.5, **about), Metrics(update=2, **about)]
        )
    write_report(run.path)
    assert drawn["tokens read, of all rows (share)"] == [0.25, None]
    assert drawn["states that share nothing (share)"] == [0.5, None]


def test_samples_show_what_training_repaired(run: Run) -> None:
    kinds = [kind for kind, _, _ in evaluated_samples(run.evaluation)]
    assert kinds == ["wrong before, right after"] * 2 + ["wrong both times"]


def test_before_and_after_are_paired_by_question(run: Run) -> None:
    """Whatever the files hold: in another order, with questions missing, with more verdicts than steps."""
    (run.evaluation / "after-t-greedy.jsonl").unlink()
    odd = msgspec.structs.replace(record(1, "after", "greedy", correct=True), verdicts=(Verdict(1.0), Verdict(0.0)))
    with Appender(run.evaluation / "after-t-greedy.jsonl", EvaluatedTrajectory) as out:
        out.append([record(9, "after", "greedy", correct=True), odd])
    found = evaluated_samples(run.evaluation)
    assert [(kind, after.question == before.question) for kind, before, after in found] == [
        ("wrong before, right after", True)
    ]
    write_report(run.path)


def test_a_step_that_was_judged_twice_is_shown_with_the_last_verdict(run: Run) -> None:
    decisions = (Decision(trajectory="q0/0", kept=True, reason="passed"),)
    kept = Selection(
        rule=Rule.NONE,
        judges=("solver",),
        num_trajectories=1,
        survival={Rule.NONE: {Check.STEPS: 1}},
        fallen={Check.STEPS: {}},
        decisions=decisions,
    )
    run.selection.write_bytes(document(kept))
    judged = [JudgedStep(trajectory="q0/0", step=0, judge="solver", verdict=Verdict(score)) for score in (1.0, 0.0)]
    with Appender(run.trajectories, Trajectory) as out, Appender(run.verdicts("rule"), JudgedStep) as verdicts:
        out.append([record(0, "before", "greedy", correct=True).trajectory])
        verdicts.append(judged)
    [shown] = training_samples(run.path, kept)
    assert [step.badge for step in shown.steps] == ["BAD"]
    write_report(run.path)


@pytest.mark.parametrize(
    ("file", "written", "told"),
    [
        ("selection.json", "[]", "Expected `object`, got `array`; run `swirl filter"),
        (
            "selection.json",
            '{"schema": "swirl.selection/2", "rule": "none", "judges": ["x"], "num_trajectories": 0, "survival": {}, "fallen": {}}',
            "missing required field `decisions`; run `swirl filter",
        ),
        (
            "selection.json",
            '{"schema": "swirl.selection/1", "rule": "none", "judge": "x", "num_trajectories": 0, "rules": {}, "decisions": []}',
            "schema 'swirl.selection/2', found another.*run `swirl filter",
        ),
        ("summary.json", '{"n": 3}', "missing required field `seed`; run `swirl evaluate"),
        (
            "summary.json",
            '{"schema": "swirl.summary/9"}',
            "schema 'swirl.summary/2', found another.*run `swirl evaluate",
        ),
        ("summary.json", '{"schema": "swirl.summary/2", "seed": "one"}', "field seed: .*run `swirl evaluate"),
    ],
)
def test_a_file_of_another_shape_is_one_sentence_that_names_it(run: Run, file: str, written: str, told: str) -> None:
    (run.path / file).write_text(written)
    with pytest.raises(RecordError, match=rf"{file}: .*{told}"):
        write_report(run.path)


@pytest.mark.parametrize("parts", [records("before", "sampled", 4), records("before", "greedy", 4)])
def test_the_table_fits_eighty_columns_even_before_training(parts: list[EvaluatedTrajectory]) -> None:
    console = Console(width=80, record=True)
    console.print(terminal_table(summary(*parts)))
    text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text
    assert re.search(r"^ *overall|^ *t ", text, re.MULTILINE)
    assert "40.0%" in text
    assert "labels are by solver" in text


@pytest.mark.parametrize(
    ("labels", "reward", "said"),
    [
        ("solver", "solver", ["they are the training reward"]),
        ("solver", "random", ["labels are by solver; training was rewarded by random"]),
        ("rule", None, ["labels are by rule; training imitated, and nothing was rewarded"]),
        (None, "model", []),
    ],
)
def test_process_labels_are_named_after_who_gave_them(labels: str | None, reward: str | None, said: list[str]) -> None:
    found = remarks({"judges": {"labels": labels, "reward": reward}})[1:]
    assert len(found) == len(said)
    assert all(part in remark for part, remark in zip(said, found, strict=True))


def test_labels_of_a_policy_that_nobody_trained_are_no_reward() -> None:
    found = remarks({"trained": False, "judges": {"labels": "solver", "reward": "solver"}})
    assert found == ["Process labels are by solver."]


def test_agreement_with_a_judge_that_knows_is_told() -> None:
    agreeing = {
        "judge": "rule",
        "against": "reference",
        "accuracy": 0.75,
        "n": 8,
        "precision": 0.5,
        "recall": 1.0,
        "kappa": 0.25,
    }
    [_, told] = remarks({"judges": {"labels": None, "reward": "rule"}, "agreement": agreeing})
    assert "agrees with reference, which knows the solutions, on 75.0% of 8 steps (precision 0.50" in told
    [_, told] = remarks({"judges": {"labels": None, "reward": "rule"}, "agreement": {**agreeing, "missing": 3}})
    assert "on 75.0% of 8 steps, 3 more having no verdict (precision 0.50" in told


def test_what_services_were_asked_is_a_table_in_which_unknown_is_not_nothing(run: Run) -> None:
    asked = [Request(stage="judge", service="judge", model=HOSTILE, seconds=1.25, usage=Usage(tokens_in=1234))]
    asked.append(Request(stage="judge", service="judge", model="m", seconds=2.0, status="timed_out", attempts=6))
    found = {**json.loads(run.summary.read_text()), "services": msgspec.to_builtins(spent(asked))}
    write_json(run.summary, found)
    assert list(read_summary(run.path)["services"]) == found["services"]
    write_report(run.path)
    page = (run.path / "report.html").read_text("utf-8")
    assert HOSTILE not in page
    table = page.partition("What services were asked")[2].partition("</table>")[0]
    for told in ("1,234", "unknown", "1 timed_out", "1.25", ">6<"):
        assert told in table
    assert "$" not in table


def test_a_total_stands_under_the_services_where_there_are_several(run: Run) -> None:
    asked = [
        Request(stage="judge", service="judge", model="m", seconds=1.0, usd=0.25, usage=Usage(tokens_in=1000)),
        Request(stage="evaluate", service="grader", model="m", seconds=1.0, usd=0.5, usage=Usage(tokens_in=234)),
    ]
    summary = json.loads(run.summary.read_text())
    pages = []
    for requests in (asked, asked[:1]):
        write_json(run.summary, {**summary, "services": msgspec.to_builtins(spent(requests))})
        write_report(run.path)
        page = (run.path / "report.html").read_text("utf-8")
        pages.append(page.partition("What services were asked")[2].partition("</table>")[0])
    [_, total] = pages[0].split('<th scope="row">all</th>')
    assert [told in total for told in (">2<", ">1,234<", ">$0.7500<")] == [True] * 3
    assert ">all<" not in pages[1], "it would say the same again"
