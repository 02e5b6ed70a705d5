"""What can go wrong with a request, and what is to be done about it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from swirl.services.ledger import Usage
from swirl.services.secrets import redacted


class Fault(StrEnum):
    """How a request failed for good."""

    REFUSED = "refused"
    """The service will not answer this request; it may answer others."""
    TIMED_OUT = "timed_out"
    OVER_BUDGET = "over_budget"
    """It was not made, because it could have cost more than is left."""
    DOWN = "down"
    """No connection, an error of the service's own, or a reply that cannot be read."""
    UNUSABLE = "unusable"
    """No request will be answered before a setting is mended: a wrong key, model or address."""


class Trouble(Exception):
    """One attempt that failed. `problem` is told to people, and holds nothing of the request."""

    def __init__(self, fault: Fault, problem: str, *, again: bool = False, wait: float | None = None) -> None:
        super().__init__(problem)
        self.fault = fault
        self.problem = problem
        self.again = again
        """Whether another attempt may succeed."""
        self.wait = wait
        """Seconds that the service asks to wait first, where it says."""
        self.usage = Usage()
        """Tokens that it took all the same, where the service says so: a reply that is of no use is billed as any other."""


@contextmanager
def opening() -> Iterator[None]:
    """Whatever goes wrong in here, where a client is made, is due to what the environment tells it. What that says may hold a login, and is
    not quoted."""
    try:
        yield
    except Exception:
        raise Trouble(
            Fault.UNUSABLE,
            "no client can be made with the proxy (ALL_PROXY, HTTP_PROXY, HTTPS_PROXY; one for SOCKS needs `pip install socksio`) or the "
            "certificates (SSL_CERT_FILE, SSL_CERT_DIR) that the environment names",
        ) from None


_BUSY = (408, 409, 425, 429)
_ELSEWHERE = "it sends to another address, and nothing is told to any but the one that was named"
_SETTINGS = {
    301: _ELSEWHERE,
    302: _ELSEWHERE,
    303: _ELSEWHERE,
    307: _ELSEWHERE,
    308: _ELSEWHERE,
    401: "it does not accept the key",
    402: "it wants to be paid first",
    403: "the key does not allow this",
    404: "it knows no such model or address",
    405: "it does not take requests at this address",
}


def trouble_of_status(status: int, said: str = "", retry_after: str = "") -> Trouble:
    """What an HTTP status means; `said` is the service's own explanation, `retry_after` its header.

    >>> trouble_of_status(429, retry_after="3").wait, trouble_of_status(503).again, trouble_of_status(400).fault.value
    (3.0, True, 'refused')
    >>> trouble_of_status(401).fault.value
    'unusable'
    """
    explanation = f" ({redacted(said.strip()):.200})" if said.strip() else ""
    if status in _BUSY or status >= 500:
        return Trouble(
            Fault.DOWN, f"it answered {status}{explanation}", again=True, wait=seconds_asked_for(retry_after)
        )
    if status in _SETTINGS:
        return Trouble(Fault.UNUSABLE, f"it answered {status}: {_SETTINGS[status]}{explanation}")
    return Trouble(Fault.REFUSED, f"it answered {status}{explanation}")


def seconds_asked_for(retry_after: str) -> float | None:
    """Seconds that a service asks us to wait: a number, or until a date; None where it says nothing that can be read.

    >>> seconds_asked_for("3"), seconds_asked_for("soon"), seconds_asked_for("Wed, 21 Oct 2015 07:28:00 GMT")
    (3.0, None, 0.0)
    """
    said = retry_after.strip()
    if said.isascii() and said.replace(".", "", 1).isdigit():
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
