"""A page in one file that needs no network and runs no script: a template, the style sheet, and a policy that allows only that sheet.

The sheet is allowed by its hash, so that no style and no script can come in with what a page shows: whatever a model, a tool, a data set or
a judge wrote is escaped, and would not be obeyed if it were not.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Any, TypeVar

T = TypeVar("T")


def rendered(template: str, **told: Any) -> bytes:
    """The page that a template of ours makes of what it is told; `style` and `policy` are told too."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("swirl"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = style_sheet()
    ours = {"style": Markup(style), "policy": Markup(policy(style))}
    return environment.get_template(template).render(**ours, **told).encode()


def style_sheet() -> str:
    """What stands between `<style>` and `</style>`, to the letter."""
    return files("swirl").joinpath("templates/style.css").read_text("utf-8")


def policy(style: str) -> str:
    """What a page allows: this one style sheet, and pictures that stand in the page.

    >>> policy("")
    "default-src 'none'; style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; img-src data:"
    """
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:"


def fitting(shown: Sequence[T], most: int) -> list[T]:
    """As many of these, the first, as take at most so many bytes of a page.

    >>> fitting(["abc", "<<<", "d"], most=10)
    ['abc']
    """
    taken, left = [], most
    for one in shown:
        left -= weight(one)
        if left < 0:
            break
        taken.append(one)
    return taken


def weight(shown: object) -> int:
    """Bytes that all texts in something take on a page, where they are escaped.

    >>> weight(("a", ["<", "é"]))
    7
    """
    if isinstance(shown, str):
        return len(escape(shown).encode("utf-8", "surrogatepass"))
    if is_dataclass(shown):
        return sum(weight(getattr(shown, each.name)) for each in fields(shown))
    if isinstance(shown, Sequence):
        return sum(map(weight, shown))
    return 0
