"""The formats that can be read, by name."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from swirl.errors import ConfigError
from swirl.imports import Format, inspect_log, openai, tagged, verifiers
from swirl.settings import nearest

FORMATS: Mapping[str, Format] = MappingProxyType(
    {each.FORMAT.name: each.FORMAT for each in (openai, verifiers, inspect_log, tagged)}
)


def named(name: str) -> Format:
    """The format of a name.

    >>> named("inspct")
    Traceback (most recent call last):
    swirl.errors.ConfigError: --from: expected one of openai, verifiers, inspect, tagged, found 'inspct'; did you mean 'inspect'?
    """
    if name not in FORMATS:
        raise ConfigError(f"--from: expected one of {', '.join(FORMATS)}, found {name!r}{nearest(name, FORMATS)}")
    return FORMATS[name]


def fields(pairs: Iterable[str], of: Format) -> dict[str, str]:
    """`NAME=FIELD`, as `--fields` takes them.

    >>> fields(["text=output"], FORMATS["tagged"])
    {'text': 'output'}
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, _, field = pair.partition("=")
        if name not in of.fields or not field:
            known = f"one of {', '.join(of.fields)} as NAME" if of.fields else f"none for --from {of.name}"
            raise ConfigError(f"--fields: expected NAME=FIELD with {known}, found {pair!r}{nearest(name, of.fields)}")
        found[name] = field
    return found
