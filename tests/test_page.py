"""A page in one file: nothing but its own style sheet is allowed, by a hash that is the sheet's; what does not fit is left out."""

import re
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st

from swirl.page import fitting, rendered, weight


@dataclass(frozen=True)
class Told:
    """Something that is shown."""

    text: str
    more: tuple[str, ...] = ()


def test_the_style_element_is_the_one_that_the_policy_allows() -> None:
    page = rendered("report/frame.html.jinja", contents=[]).decode()
    [style] = re.findall(r"<style>(.*?)</style>", page, re.S)
    allowed = f"style-src 'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'"
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy == f"default-src 'none'; {allowed}; img-src data:"
    assert page.index("Content-Security-Policy") < page.index("<style>")


@given(st.lists(st.text()), st.integers(0, 60))
@settings(deadline=None)
def test_what_is_taken_fits_and_the_next_would_not(texts: list[str], most: int) -> None:
    taken = fitting(texts, most)
    assert taken == texts[: len(taken)]
    assert weight(taken) <= most
    assert len(taken) == len(texts) or weight(texts[: len(taken) + 1]) > most


def test_all_texts_of_a_thing_count_as_they_are_escaped() -> None:
    assert weight([Told("<é", ("&", "a")), 3]) == len("&lt;") + 2 + len("&amp;") + 1
