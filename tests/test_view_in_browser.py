"""Every view in a real browser: it opens, filters, pages, follows a live run, is reached by keys, and axe-core finds nothing serious."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import Window, needs_chromium, until, viewer, violations, window
from finished_run import finished_run, small
from swirl.cli import main

pytestmark = [needs_chromium, pytest.mark.slow]

VIEWS = ("", "/trajectories", "/training", "/training/1", "/evaluation", "/judge")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training sees all states in it, those of steps that were judged bad too."""
    folder = tmp_path_factory.mktemp("view") / "mine"
    assert main(small(folder, "--filter.rule", "none", "--train.states", "60", "--train.actions", "2")) == 0
    return folder


@pytest.fixture(scope="module")
def address(run: Path) -> Iterator[str]:
    with viewer(run) as found:
        yield found


@pytest.fixture
def seen(browser: Any, address: str) -> Iterator[Window]:
    with window(browser, address) as found:
        yield found


def indexed(page: Any) -> None:
    """Wait until the table holds all of the run."""
    page.wait_for_selector("table [data-row]")
    until(page, "!document.querySelector('[data-indexing]')")


def without_anchor(address: str) -> str:
    return address.partition("#")[0]


def test_the_overview_leads_to_all_views(seen: Window) -> None:
    page = seen.open()
    assert page.url == f"{seen.home}/runs/mine"
    for label in ("Trajectories", "Training", "Evaluation", "Judge", "Overview"):
        page.get_by_role("navigation", name="Views").get_by_role("link", name=label, exact=True).click()
        assert page.get_by_role("heading", level=1).count() == 1
        assert page.get_by_role("link", name=label, exact=True).first.get_attribute("aria-current") == "page"


def test_three_clicks_lead_from_the_overview_to_a_bad_step_with_its_reason_rewards_and_advantages(seen: Window) -> None:
    page = seen.open()
    page.locator("main a[href*='verdict=bad']").first.click()
    indexed(page)
    page.locator("table [data-row] a").first.click()
    bad = page.locator("section.step").filter(has=page.locator(".verdicts .badge.BAD")).first
    assert bad.locator(".verdicts .badge.BAD").first.inner_text() == "BAD"
    assert bad.locator(".verdicts .said").first.inner_text().strip()
    columns = [heading.lower() for heading in bad.locator(".training > .wide > table > thead th").all_inner_texts()]
    assert {"reward", "advantage"} <= set(columns)
    assert bad.locator(".training > .wide > table > tbody tr").count() >= 2


def test_the_table_searches_filters_sorts_and_pages(seen: Window) -> None:
    page = seen.open("/runs/mine/trajectories")
    indexed(page)
    everything = page.locator("table [data-row]").count()
    word = page.locator("table [data-row]").first.locator("td").nth(1).inner_text().split()[-1].strip("?.")
    page.get_by_role("searchbox").fill(f'"{word}"')
    page.get_by_role("searchbox").press("Enter")
    page.wait_for_url("**q=**")
    assert 0 < page.locator("table [data-row]").count() <= everything
    page.get_by_role("searchbox").fill("")
    page.get_by_role("searchbox").press("Enter")
    page.wait_for_url(lambda url: "q=" not in url)
    page.locator("select[name=task]").select_option("world")
    page.wait_for_url("**task=world**")
    assert 0 < page.locator("table [data-row]").count() < everything
    page.locator("th a[href*='sort=']").first.click()
    page.wait_for_url("**sort=**")
    assert "task=world" in page.url


def test_a_table_of_many_has_pages(seen: Window) -> None:
    page = seen.open("/runs/mine/trajectories?size=3")
    indexed(page)
    first = page.locator("table [data-row]").first.inner_text()
    page.keyboard.press("n")
    page.wait_for_url("**page=2**")
    assert page.locator("table [data-row]").count() == 3
    assert page.locator("table [data-row]").first.inner_text() != first
    page.keyboard.press("p")
    until(page, f"document.querySelector('table [data-row]').innerText === {first!r}")


def test_a_trajectory_is_walked_through_by_keys(seen: Window) -> None:
    page = seen.open("/runs/mine/trajectories")
    indexed(page)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/trajectory?**")
    first = page.url
    page.keyboard.press("n")
    page.wait_for_url(lambda url: without_anchor(url) != without_anchor(first))
    page.keyboard.press("p")
    page.wait_for_url(lambda url: without_anchor(url) == without_anchor(first))
    page.keyboard.press("u")
    page.wait_for_url("**/trajectories**")
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_url("**/training")


def test_keys_are_listed(seen: Window) -> None:
    page = seen.open()
    page.keyboard.press("?")
    assert page.get_by_role("dialog", name="Keys").is_visible()
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog", name="Keys").is_visible()


def test_an_update_shows_its_states_samples_rewards_and_advantages(seen: Window) -> None:
    page = seen.open("/runs/mine/training")
    page.locator("main a[href$='/training/2']").first.click()
    assert page.get_by_role("heading", level=1).inner_text().startswith("Update 2")
    text = page.locator("main").inner_text().lower()
    assert "reward" in text
    assert "advantage" in text
    page.keyboard.press("p")
    page.wait_for_url("**/training/1")


def test_a_question_is_seen_before_and_after_side_by_side(seen: Window) -> None:
    page = seen.open("/runs/mine/evaluation")
    page.locator("main a[href*='/question?']").first.click()
    before, after = page.locator("main .beside > section").all()
    headings = [each.get_by_role("heading").first.inner_text() for each in (before, after)]
    assert [heading.partition(":")[0] for heading in headings] == ["Before", "After"]
    left, right = before.bounding_box(), after.bounding_box()
    assert left["x"] + left["width"] <= right["x"]


@pytest.mark.parametrize("path", VIEWS)
def test_a_view_is_the_same_as_json_and_as_python(seen: Window, path: str) -> None:
    page = seen.open(f"/runs/mine{path}")
    seen.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as JSON").click()
    until(page, "document.getElementById('status').textContent.includes('copied')")
    assert page.evaluate("navigator.clipboard.readText().then((text) => typeof JSON.parse(text))") == "object"
    page.get_by_role("button", name="Copy as Python").click()
    until(page, "document.getElementById('status').textContent.includes('Python')")
    copied = page.evaluate("navigator.clipboard.readText()")
    compile(copied, "copied", "exec")
    assert "swirl" in copied


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, address: str, scheme: str) -> None:
    with window(browser, address, color_scheme=scheme) as seen:
        page = seen.open("/runs/mine/trajectories")
        indexed(page)
        hrefs = [page.locator("table [data-row] a").first.get_attribute("href")]
        page.goto(f"{address}/runs/mine/evaluation")
        hrefs.append(page.locator("main a[href*='/question?']").first.get_attribute("href"))
        for path in [*(f"/runs/mine{view}" for view in VIEWS), *hrefs, "/runs/none"]:
            page.goto(f"{address}{path}")
            page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            assert violations(page) == [], path
        seen.wrong = [each for each in seen.wrong if "404" not in each]  # the browser says so of the last one


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_the_report(browser: Any, run: Path, scheme: str) -> None:
    with window(browser, color_scheme=scheme) as seen:
        seen.page.goto((run / "report.html").as_uri())
        seen.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert violations(seen.page) == []


def test_a_run_is_followed_while_it_goes_on(browser: Any, tmp_path: Path) -> None:
    done, run = finished_run(tmp_path / "done"), tmp_path / "mine"
    lines = (done / "trajectories.jsonl").read_bytes().splitlines(keepends=True)
    run.mkdir()
    shutil.copy(done / "run.toml", run)
    (run / "trajectories.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:50])
    with viewer(run) as address, window(browser, address) as seen:
        page = seen.open("/runs/mine/trajectories")
        until(page, "document.querySelectorAll('table [data-row]').length === 3")
        (run / "trajectories.jsonl").write_bytes(b"".join(lines))
        until(page, f"document.querySelectorAll('table [data-row]').length === {len(lines)}")
        page.goto(f"{address}/runs/mine/training")
        assert page.get_by_text("Not trained yet").count()
        shutil.copytree(done / "train", run / "train")
        until(page, "!document.querySelector('main').innerText.includes('Not trained yet')")


def test_what_is_read_stays_where_it_is_and_what_is_open_stays_open(browser: Any, tmp_path: Path) -> None:
    run = finished_run(tmp_path / "mine")
    lines = (run / "train" / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (run / "train" / "metrics.jsonl").write_bytes(lines[0])
    top = "document.getElementById('cost-title').getBoundingClientRect().top"
    opened = "[...document.querySelectorAll('#main details')].map((each) => each.open)"
    with viewer(run) as address, window(browser, address, viewport={"width": 1000, "height": 500}) as seen:
        page = seen.open()
        until(page, "document.getElementById('steps-title') !== null")
        page.wait_for_timeout(2500)  # one look at least: nothing has changed
        page.locator("#main details summary").first.click()
        page.evaluate("document.getElementById('cost-title').scrollIntoView({block: 'center'})")
        page.evaluate("document.getElementById('main').firstElementChild.dataset.mark = 'same'")
        before, open_before = page.evaluate(top), page.evaluate(opened)
        page.wait_for_timeout(4500)  # two looks
        assert page.evaluate("document.getElementById('main').firstElementChild.dataset.mark") == "same"
        with (run / "calls.jsonl").open("ab") as stream:  # what it took is written above and below
            stream.write(b"{}\n")
        (run / "summary.json").unlink(missing_ok=True)
        (run / "train" / "metrics.jsonl").unlink()
        until(page, "document.getElementById('main').firstElementChild.dataset.mark !== 'same'")
        assert abs(page.evaluate(top) - before) < 2, "the page above has become shorter"
        assert page.evaluate(opened) == open_before


def test_an_address_opens_what_it_names(seen: Window) -> None:
    page = seen.open("/runs/mine/training/1")
    last = page.locator("details.state-group").last
    assert not last.evaluate("(each) => each.open")
    page.evaluate("(id) => { location.hash = id; }", last.get_attribute("id"))
    until(page, "document.querySelector('details.state-group:last-of-type').open")


def test_two_runs_are_seen_beside_each_other(browser: Any, tmp_path: Path) -> None:
    runs = finished_run(tmp_path / "one"), finished_run(tmp_path / "two")
    with viewer(*runs) as address, window(browser, address) as seen:
        page = seen.open()
        assert {"one", "two"} <= set(page.locator("main a").all_inner_texts())
        page.get_by_role("main").get_by_role("link", name="two").first.click()
        assert page.url == f"{address}/runs/two"
