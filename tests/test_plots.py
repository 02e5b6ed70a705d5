"""Plots: whatever page they stand on, they bring no style, no script and no name that another has; they say what they show, to all eyes."""

import re
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plain_pages import broken_promises, elements, texts
from swirl.plots import (
    Point,
    alone,
    bars,
    by_step,
    curves,
    distribution,
    flow,
    growth,
    heat_map,
    kept,
    lines,
    reliability,
)
from swirl.plots.canvas import AFTER, ALONE, BEFORE, INK, KINDS, SHADES
from swirl.plots.comparing import ink_on
from test_style import contrast, schemes

ODD = "<script>alert(1)</script>\"'&$x_\x00\ud800\n日本" * 3


def every_plot(label: str) -> dict[str, str]:
    """One of each kind, with a label wherever there may be one."""
    return {
        "bars": bars([(label, "before", 0.4, (0.3, 0.5)), (label, "after", 0.6, (0.5, 0.7))], (label, "after")),
        "growth": growth({label: {label: [(1, 0.2), (2, 0.4)], "after": [(1, 0.3), (2, 0.6)]}}, "after step"),
        "curves": curves({label: [0.1, None, 0.5], "loss": [1.0, 0.5, 0.25]}, {label: [64, 64, 64]}),
        "flow": flow([("all", 40), (label, 12)]),
        "kept": kept([("none", 40), (label, 12)], 40, label),
        "distribution": distribution({1: 4, 2: 9, 40: 1}, label, label),
        "by_step": by_step([(1, 0.8, (0.7, 0.9), 40), (2, 0.6, (0.4, 0.7), 31)], label or "mean"),
        "lines": lines({label: [Point(100, 0.4, (0.3, 0.5)), Point(1000, 0.6)]}, label, "accuracy", doubling=True),
        "reliability": reliability([(0.1, 0.2, (0.1, 0.4), 30), (0.9, 0.7, (0.5, 0.8), 40)]),
        "heat_map": heat_map([label], ["world"], {(label, "world"): (0.7, f"0.7\n{label}")}),
    }


PLOTS = every_plot("world")


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_brings_nothing_that_a_strict_policy_forbids(name: str) -> None:
    assert not list(broken_promises(PLOTS[name]))
    assert not re.search(r"<style|style=|xlink|url\((?!#)|http(?!://www\.w3\.org/2000/svg)", PLOTS[name])


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_says_what_it_shows_in_words_and_figures(name: str) -> None:
    [root] = [each for each in elements(PLOTS[name]) if each.tag == "svg"]
    ids = {each.attributes.get("id"): each.tag for each in elements(PLOTS[name])}
    assert root.attributes["role"] == "img"
    assert [ids[id] for id in root.attributes["aria-labelledby"].split()] == ["title", "desc"]
    [title], [about] = texts(PLOTS[name], "title"), texts(PLOTS[name], "desc")
    assert title
    assert re.search(r"\d", about)


def test_no_two_plots_on_a_page_have_a_name_in_common() -> None:
    assert not list(broken_promises("".join([*PLOTS.values(), curves({"loss": [1.0, 0.4]})])))


@pytest.mark.parametrize("name", PLOTS)
def test_ink_is_the_colour_of_the_text_around_it(name: str) -> None:
    assert INK not in PLOTS[name]
    assert "currentColor" in PLOTS[name]
    blacks = re.findall(r'<text[^>]*fill="(?:black|#000000)"', PLOTS[name])
    assert not blacks or name == "heat_map", "a cell's ground is known"


@pytest.mark.parametrize("name", sorted({*PLOTS} - {"heat_map"}))
def test_text_that_has_no_colour_of_its_own_is_ink(name: str) -> None:
    """SVG's own default is black, which nobody sees on a dark page."""
    assert all("fill" in each.attributes for each in elements(PLOTS[name]) if each.tag == "text" or each.tag == "use")


def test_a_plot_is_the_same_each_time() -> None:
    assert every_plot("world") == PLOTS


def test_labels_may_be_anything() -> None:
    for plot in every_plot(ODD).values():
        assert not list(broken_promises(plot))
        assert "\x00" not in plot
        plot.encode()


@given(st.text(min_size=1))
@settings(deadline=None, max_examples=8)
def test_no_label_breaks_a_plot(label: str) -> None:
    for plot in (flow([("all", 3), (label, 1)]), bars([(label, "before", 0.5, (0.4, 0.6))])):
        assert {each.tag for each in elements(plot)} <= {
            "svg", "title", "desc", "g", "path", "defs", "use", "text", "clippath", "rect", "pattern",
        }  # fmt: skip


@pytest.mark.parametrize("colour", [BEFORE, AFTER, ALONE, *(colour for colour, _ in KINDS)])
def test_marks_stand_out_from_light_and_dark(colour: str) -> None:
    assert all(contrast(colour, scheme["page"]) >= 3 for scheme in schemes())


def test_kinds_differ_without_colour() -> None:
    assert len({style for _, style in KINDS}) == len(KINDS)
    assert all(one != other for (one, _), (other, _) in combinations(KINDS, 2))


@pytest.mark.parametrize("share", [i / 20 for i in range(21)])
def test_a_caption_can_be_read_on_its_cell(share: float) -> None:
    shade = "#" + "".join(f"{round(255 * part):02x}" for part in SHADES(share)[:3])
    assert contrast({"black": "#000000", "white": "#ffffff"}[ink_on(SHADES(share))], shade) >= 4.5


def test_a_file_of_its_own_has_ink_of_its_own() -> None:
    [root] = [each for each in elements(alone(PLOTS["bars"])) if each.tag == "svg"]
    assert root.attributes["color"] == ALONE


def test_what_is_not_there_is_not_drawn() -> None:
    assert [curves({}), curves({"reward": [None]}), flow([]), kept([], 0, "none"), distribution({})] == [""] * 5
    assert [by_step([]), reliability([]), growth({}, "k")] == [""] * 3


def test_many_updates_are_drawn_as_few_means() -> None:
    few, many = (curves({"reward": [0.5] * n}, {"reward": [64] * n}) for n in (160, 20_000))
    assert len(many) < 1.2 * len(few)
    assert "over 20000 updates" in texts(many, "title")[0]


def test_a_curve_is_told_by_the_ends_of_its_running_mean() -> None:
    [about] = texts(curves({"reward": [0.0] * 20 + [1.0] * 20}), "desc")
    assert about == "reward: 0 at first, 1 at last."


def test_a_running_mean_weighs_updates_by_what_they_are_means_of() -> None:
    [about] = texts(curves({"reward": [0.0, 1.0]}, {"reward": [30, 10]}), "desc")
    assert about == "reward: 0.25 at first, 0.25 at last."


def test_figures_that_cannot_be_break_no_curve() -> None:
    assert curves({"malformed": [0.2, 3.0, -1.0]}, {"malformed": [4, 4, -4]}).startswith("<svg")
    assert curves({"malformed": [0.2]}, {"malformed": [-4]}).startswith("<svg") is False


def test_a_flow_tells_what_fell_at_each_check() -> None:
    told = texts(flow([("all", 4000), ("ended with an answer", 3500), ("every step judged good", 1200)]), "text")
    assert {"4,000", "3,500 left, 500 fell", "1,200 left, 2,300 fell"} <= set(told)


def test_all_beyond_twenty_is_one_bar() -> None:
    told = texts(distribution({1: 5, 30: 2, 31: 3}), "text")
    assert "21+" in told
    assert told.count("5") >= 2
