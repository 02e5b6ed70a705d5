"""Secrets come from the environment, and are told to nobody but the service that they are for."""

import json
import logging
import os
from urllib.parse import quote

_SHORTEST = 6
"""What is shorter would be found, and blacked out, in ordinary words."""
_known: set[str] = set()


def secret(variable: str) -> str:
    """The value of an environment variable, empty where it is not set; from now on `redacted` blacks it out."""
    value = os.environ.get(variable, "").strip()
    keep_secret(value)
    return value


def keep_secret(value: str) -> None:
    """From now on `redacted` blacks this out, also where it is written as in an address or in JSON."""
    if len(value) >= _SHORTEST:
        _known.update((value, quote(value, safe=""), quote(value), json.dumps(value)[1:-1]))


def redacted(text: str) -> str:
    """The text without any secret that was handed out so far.

    >>> keep_secret("sk-example")
    >>> redacted("Bearer sk-example was refused")
    'Bearer [secret] was refused'
    """
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, "[secret]")
    return text


def redact_log(name: str) -> None:
    """Have a library's logger black secrets out: one for HTTP may tell whole addresses."""
    logging.getLogger(name).addFilter(_redact_record)


def _redact_record(record: logging.LogRecord) -> bool:
    record.msg, record.args = redacted(record.getMessage()), ()
    return True
