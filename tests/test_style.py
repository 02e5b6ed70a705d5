"""The style sheet that the pages share: every colour that text may have is legible on every ground it may stand on, in both schemes."""

import re
from importlib.resources import files
from itertools import product

import pytest

SHEET = files("swirl").joinpath("templates/style.css").read_text("utf-8")
TEXTS = ("ink", "soft", "good", "bad", "warn", "link")
GROUNDS = ("page", "card")


def schemes() -> list[dict[str, str]]:
    """The variables: light, dark, and in print."""
    return [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", SHEET, re.S)
    ]


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG has it."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, as WCAG has it.

    >>> round(contrast("#ffffff", "#000000"))
    21
    """
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("place", range(3))
def test_text_has_the_contrast_of_aa_on_every_ground(place: int) -> None:
    colours = schemes()[place]
    for text, ground in product(TEXTS, GROUNDS):
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["focus"], colours["page"]) >= 3


def test_headings_are_the_smaller_the_deeper() -> None:
    sizes = [float(size) for size in re.findall(r"^h\d \{ font-size: ([\d.]+)rem", SHEET, re.M)]
    assert sizes == sorted(set(sizes), reverse=True)
    assert len(sizes) == 4


def test_the_sheet_loads_nothing() -> None:
    assert "url(" not in SHEET
    assert "@import" not in SHEET
